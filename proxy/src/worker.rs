//! One worker: a thread, its runtime, and all that it does not share.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use squall_config::model::Name;
use squall_fault::budget::Budget;
use squall_fault::snapshot::Snapshot;
use squall_fault::store::SnapshotReader;
use tokio::sync::{mpsc, watch};

use crate::balance::{Claim, Loads, Sharing};
use crate::http::wire::Wire;
use crate::life::{Control, Life};
use crate::net::own::OwnAddresses;
use crate::telemetry::access_log::{AccessLog, Line};
use crate::telemetry::outcome::buffer::Buffer;
use crate::telemetry::outcome::observing::{Beginning, Observing};
use crate::telemetry::shard::Shard;
use crate::telemetry::tap::Taps;
use crate::telemetry::trace::Traces;
use crate::upstream::registry::Registry;
use crate::view::{ListenerView, View};

/// Dropped when a socket is closed.
pub(crate) type Closing = std::sync::mpsc::Sender<()>;

/// Serves a stream of a connection that another worker serves.
pub(crate) type ServeStream = Box<dyn FnOnce(&Rc<Worker>) + Send>;

/// What the rest of the process, and other workers, ask of a worker.
pub(crate) enum Command {
    /// Accept on this socket, in place of any socket of the same listener.
    Listen(Name, std::net::TcpListener),
    /// Accept no more for this listener; drop the sender once its socket is closed.
    Unlisten(Name, Closing),
    /// Accept no more at all; end what is idle, finish what is going on.
    Drain,
    /// End now.
    Cut,
    /// Serve a connection that another worker accepted for this listener.
    Serve { listener: Name, stream: std::net::TcpStream, source: SocketAddr, claim: Claim },
    /// Those who watch are others now.
    Tap,
    /// From now on note what becomes of exchanges, for the observation with this number; or do no longer.
    Observe(Option<Beginning>),
    /// Serve a stream of a connection that another worker serves.
    ServeStream(ServeStream),
}

/// What a worker is made from.
#[derive(Debug)]
pub(crate) struct WorkerParts {
    pub(crate) reader: SnapshotReader,
    pub(crate) changes: watch::Receiver<Arc<Snapshot>>,
    pub(crate) shard: Arc<Shard>,
    pub(crate) budget: Budget,
    pub(crate) upstreams: Arc<Registry>,
    pub(crate) access_log: Option<AccessLog>,
    pub(crate) traces: Option<Arc<Traces>>,
    pub(crate) taps: Arc<Taps>,
    pub(crate) outcomes: Arc<Buffer>,
    /// Which of the workers this is.
    pub(crate) index: usize,
    pub(crate) loads: Arc<Loads>,
    /// The command queues of all workers; weak, because a worker ends when the process has forgotten it.
    pub(crate) all: Arc<[mpsc::WeakUnboundedSender<Command>]>,
    pub(crate) commands: mpsc::UnboundedReceiver<Command>,
}

/// A connection with the listener whose time limits it has.
type Watched = (Rc<Wire>, Rc<ListenerView>);

/// The state of one worker.
#[derive(Debug)]
pub(crate) struct Worker {
    reader: RefCell<SnapshotReader>,
    view: RefCell<Rc<View>>,
    changes: watch::Receiver<Arc<Snapshot>>,
    shard: Arc<Shard>,
    budget: Budget,
    upstreams: Arc<Registry>,
    /// There is an access log, or exchanges are traced, or somebody watches, or an experiment wants to know of each.
    takes_notes: Cell<bool>,
    is_tapped: Cell<bool>,
    taps: Arc<Taps>,
    outcomes: Arc<Buffer>,
    observing: RefCell<Option<Rc<Observing>>>,
    has_access_log: bool,
    traces: Option<Arc<Traces>>,
    access_log: RefCell<Option<AccessLog>>,
    index: usize,
    loads: Arc<Loads>,
    all: Arc<[mpsc::WeakUnboundedSender<Command>]>,
    sharing: RefCell<Sharing>,
    life: watch::Sender<Life>,
    /// Whether `life` is past serving, for a look that takes no lock.
    is_draining: Cell<bool>,
    /// HTTP connections that the sweeper looks at.
    wires: RefCell<HashMap<u64, Watched>>,
    next_wire: Cell<u64>,
    /// Exchanges that the budget was told of, and when.
    told: Cell<(u64, Instant)>,
}

impl Worker {
    /// One without sockets, and without others beside it.
    #[cfg(any(test, feature = "bench"))]
    pub(crate) fn alone(config: Arc<squall_config::model::Config>) -> Rc<Self> {
        let first = squall_fault::compile(config, None, squall_fault::Stamp::first(7));
        let store = squall_fault::store::SnapshotStore::new(first);
        let parts = WorkerParts {
            reader: store.reader(),
            changes: watch::Sender::new(store.load()).subscribe(),
            shard: Arc::default(),
            budget: Budget::new(1_000),
            upstreams: Arc::default(),
            access_log: None,
            traces: None,
            taps: Arc::default(),
            outcomes: Arc::default(),
            index: 0,
            loads: Loads::of(1),
            all: Arc::new([]),
            commands: mpsc::unbounded_channel().1,
        };
        Self::new(parts).0
    }

    pub(crate) fn new(parts: WorkerParts) -> (Rc<Self>, mpsc::UnboundedReceiver<Command>) {
        let mut reader = parts.reader;
        let view = Rc::new(View::adopt(Arc::clone(reader.current()), None, &parts.shard, &parts.upstreams));
        let worker = Self {
            reader: RefCell::new(reader),
            view: RefCell::new(view),
            changes: parts.changes,
            shard: parts.shard,
            budget: parts.budget,
            upstreams: parts.upstreams,
            takes_notes: Cell::new(parts.access_log.is_some() || parts.traces.is_some()),
            is_tapped: Cell::new(false),
            taps: parts.taps,
            outcomes: parts.outcomes,
            observing: RefCell::default(),
            has_access_log: parts.access_log.is_some(),
            traces: parts.traces,
            access_log: RefCell::new(parts.access_log),
            index: parts.index,
            loads: parts.loads,
            all: parts.all,
            sharing: RefCell::default(),
            life: watch::Sender::new(Life::Serving),
            is_draining: Cell::new(false),
            wires: RefCell::default(),
            next_wire: Cell::new(0),
            told: Cell::new((0, Instant::now())),
        };
        (Rc::new(worker), parts.commands)
    }

    /// The current view; adopts a new snapshot when there is one.
    pub(crate) fn view(&self) -> Rc<View> {
        let mut reader = self.reader.borrow_mut();
        let mut view = self.view.borrow_mut();
        let current = reader.current();
        if !Arc::ptr_eq(current, &view.snapshot) {
            *view = Rc::new(View::adopt(Arc::clone(current), Some(&view), &self.shard, &self.upstreams));
        }
        Rc::clone(&view)
    }

    /// The newest snapshot.
    pub(crate) fn latest_snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(self.reader.borrow_mut().current())
    }

    /// Follows published snapshots.
    pub(crate) fn changes(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.changes.clone()
    }

    /// Where this process listens itself.
    pub(crate) fn own_addresses(&self) -> &OwnAddresses {
        &self.upstreams.own
    }

    pub(crate) fn shard(&self) -> &Shard {
        &self.shard
    }

    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.is_draining.get()
    }

    /// Completes when the process begins to drain.
    pub(crate) async fn draining(&self) {
        // The sender lives as long as the worker.
        let _ = self.life.subscribe().wait_for(|life| *life == Life::Draining).await;
    }

    /// What changes what faults do here.
    pub(crate) fn control(&self) -> Control {
        Control { changes: self.changes(), life: self.life.subscribe() }
    }

    /// Whether anybody wants to know of single exchanges.
    pub(crate) fn takes_notes(&self) -> bool {
        self.takes_notes.get()
    }

    /// Those who watch, when there are any.
    pub(crate) fn taps(&self) -> Option<&Taps> {
        self.is_tapped.get().then_some(&*self.taps)
    }

    /// Looks whether there is somebody who watches.
    pub(crate) fn look_at_taps(&self) {
        self.is_tapped.set(!self.taps.is_empty());
        self.look_who_wants_notes();
    }

    /// The observation that an exchange which begins now is part of.
    pub(crate) fn observing(&self) -> Option<Rc<Observing>> {
        self.observing.borrow().clone()
    }

    /// Begins an observation, or ends the one before.
    pub(crate) fn observe(&self, observation: Option<Beginning>) {
        let begin = |beginning| Rc::new(Observing::new(beginning, Arc::clone(&self.outcomes)));
        let observing = observation.map(begin);
        if let Some(before) = self.observing.replace(observing) {
            before.end();
        }
        self.look_who_wants_notes();
    }

    fn look_who_wants_notes(&self) {
        let is_observed = self.observing.borrow().is_some();
        self.takes_notes.set(self.notes_more_than_outcomes() || is_observed);
    }

    /// Whether anybody but an experiment wants to know of single exchanges.
    pub(crate) fn notes_more_than_outcomes(&self) -> bool {
        self.has_access_log || self.traces.is_some() || self.is_tapped.get()
    }

    /// How exchanges are traced, when they are.
    pub(crate) fn traces(&self) -> Option<&Traces> {
        self.traces.as_deref()
    }

    pub(crate) fn has_access_log(&self) -> bool {
        self.has_access_log
    }

    pub(crate) fn write_access_log(&self, line: &Line<'_>) {
        if let Some(log) = self.access_log.borrow_mut().as_mut() {
            log.write(line);
        }
    }

    /// Whether the process is at its limit of connections.
    pub(crate) fn is_full(&self) -> bool {
        self.loads.connections() >= self.view.borrow().snapshot.config.limits.connections_max
    }

    /// Counts a downstream connection until the guard is dropped.
    pub(crate) fn open(self: &Rc<Self>, listener: &ListenerView, claim: Claim) -> OpenConnection {
        listener.shard.connections.add(1);
        OpenConnection { worker: Rc::clone(self), shard: Arc::clone(&listener.shard), wire: None, _claim: claim }
    }

    /// A place for a new connection: here, or with a worker that has less to do.
    pub(crate) fn claim(&self) -> Claim {
        self.loads.place(self.index)
    }

    /// Whether that place is here.
    pub(crate) fn has(&self, claim: &Claim) -> bool {
        claim.worker == self.index
    }

    /// The worker that is to serve a new stream of a connection of this one; `None` for this one.
    pub(crate) fn helper(&self) -> Option<usize> {
        self.sharing.borrow_mut().next()
    }

    /// Gives a stream to another worker.
    pub(crate) fn hand_over(&self, helper: usize, serve: ServeStream) {
        self.loads.each()[self.index].streams_handed_over.fetch_add(1, Relaxed);
        self.tell(helper, Command::ServeStream(serve));
    }

    /// Asks something of another worker.
    pub(crate) fn tell(&self, worker: usize, command: Command) {
        // A worker that ended takes nothing any more: the process ends, and what was to be served with it.
        if let Some(queue) = self.all[worker].upgrade() {
            let _ended = queue.send(command);
        }
    }

    /// Looks how busy this worker was for so long, and whether others are to take streams of it.
    pub(crate) fn look_at_load(&self, interval: Duration) {
        let busy = tokio::runtime::Handle::current().metrics().worker_total_busy_duration(0);
        self.sharing.borrow_mut().adjust(&self.loads, self.index, busy, interval);
    }

    /// From now on ends what is idle, and finishes what is going on.
    pub(crate) fn begin_drain(&self) {
        self.is_draining.set(true);
        self.life.send_replace(Life::Draining);
        for (wire, _) in self.wires.borrow().values() {
            wire.wake();
        }
    }

    /// Tells all that is going on to end now.
    pub(crate) fn cut(&self) {
        self.life.send_replace(Life::Cut);
    }

    /// Looks at the time limits of connections.
    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        for (wire, view) in self.wires.borrow().values() {
            let listener = &view.compiled.listener;
            wire.sweep(now, listener.header_timeout, listener.idle_timeout);
        }
        self.view().sweep(now);
        let exchanges = self.shard.exchanges();
        let (before, since) = self.told.replace((exchanges, now));
        self.budget.see(exchanges.wrapping_sub(before), since);
    }
}

/// A downstream connection that counts.
#[derive(Debug)]
#[must_use = "the connection counts as open until it is dropped"]
pub(crate) struct OpenConnection {
    worker: Rc<Worker>,
    shard: Arc<crate::telemetry::shard::ListenerShard>,
    wire: Option<u64>,
    _claim: Claim,
}

impl OpenConnection {
    /// Puts the connection's time limits under watch.
    pub(crate) fn watch(&mut self, wire: &Rc<Wire>, listener: &Rc<ListenerView>) {
        let id = self.worker.next_wire.get();
        self.worker.next_wire.set(id + 1);
        self.worker.wires.borrow_mut().insert(id, (Rc::clone(wire), Rc::clone(listener)));
        self.wire = Some(id);
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.shard.connections.subtract_one();
        if let Some(id) = self.wire {
            self.worker.wires.borrow_mut().remove(&id);
        }
    }
}
