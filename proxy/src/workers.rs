//! The data plane as the rest of the process sees it: all workers, their sockets, their counters.

mod thread;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, mpsc as std_mpsc};
use std::time::{Duration, Instant};

use prometheus::proto::MetricFamily;
use rustls::ServerConfig;
use squall_config::Problems;
use squall_config::model::{Config, Name, ServerTls};
use squall_fault::budget::Budget;
use squall_fault::share::Used;
use squall_fault::store::SnapshotStore;
use squall_fault::trace_share::TraceShare;
use squall_telemetry::{CertificateStatus, EndpointStatus, Observation, Outcome, TapFilter, TrafficTotals};
use tokio::sync::{mpsc, watch};
use tracing_appender::non_blocking::WorkerGuard;

use crate::balance::Loads;
use crate::net::socket;
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::metrics::{self, Counted};
use crate::telemetry::outcome::buffer::Buffer;
use crate::telemetry::outcome::observing::{Beginning, SharedShare};
use crate::telemetry::shard::Shard;
use crate::telemetry::tap::{Tap, Taps};
use crate::telemetry::totals;
use crate::telemetry::trace::Traces;
use crate::telemetry::trace::queue::SpanCounts;
use crate::tls::store::TlsStore;
use crate::upstream::registry::Registry;
use crate::upstream::shared::SharedCluster;
use crate::upstream::status;
use crate::worker::{Command, WorkerParts};

/// A worker that does not come to closing a socket for so long is not waited for.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// How the data plane is laid out.
#[derive(Clone, Debug)]
pub struct ProxyOptions {
    /// Threads that carry traffic; at least 1. One for each core that Squall may use is right.
    pub workers: usize,
    /// How exchanges are traced; `None` leaves the fields of traces as they come.
    pub traces: Option<Traces>,
}

/// The running data plane. All calls may come from any thread.
#[derive(Debug)]
pub struct Proxy {
    store: Arc<SnapshotStore>,
    tls: Arc<TlsStore>,
    budget: Budget,
    workers: Vec<WorkerHandle>,
    listening: Mutex<BTreeMap<Name, Listening>>,
    loads: Arc<Loads>,
    upstreams: Arc<Registry>,
    is_accepting: AtomicBool,
    taps: Arc<Taps>,
    /// How many observations there have been.
    observations: AtomicU64,
    /// Of the last of them.
    noted_share: SharedShare,
    /// What became of spans, when exchanges are traced.
    spans: Option<Arc<SpanCounts>>,
    /// Writes what is left of the access log when the proxy is dropped.
    _access_log: Option<WorkerGuard>,
}

#[derive(Debug)]
struct WorkerHandle {
    /// Unbounded, because the sender must never wait; it carries a few commands for each change of listeners, and what
    /// workers hand to each other: at most as much as there are connections and streams.
    commands: mpsc::UnboundedSender<Command>,
    shard: Arc<Shard>,
    outcomes: Arc<Buffer>,
    /// Answers with an error once the thread has ended.
    ended: Mutex<std_mpsc::Receiver<()>>,
}

#[derive(Clone, Copy, Debug)]
struct Listening {
    /// As configured, perhaps with port 0.
    configured: SocketAddr,
    /// As the system bound it.
    bound: SocketAddr,
    is_transparent: bool,
}

/// A listener that was not there before, or elsewhere.
#[derive(Debug)]
struct Fresh {
    name: Name,
    listening: Listening,
    /// One for each worker.
    sockets: Vec<TcpListener>,
}

/// Sockets that are bound but not yet served.
#[derive(Debug)]
#[must_use = "they are served by Proxy::apply, and closed when they are dropped"]
pub struct BoundListeners {
    fresh: Vec<Fresh>,
    /// All that are to accept.
    names: Vec<Name>,
}

/// A listener whose address cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("listener {listener}: cannot listen on {address}")]
pub struct BindError {
    /// The listener's name.
    pub listener: Name,
    /// The address as configured.
    pub address: SocketAddr,
    /// What the system says.
    #[source]
    pub source: std::io::Error,
}

impl BindError {
    /// What can be done about it, where that is known.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self.source.kind() {
            std::io::ErrorKind::AddrInUse => "another program uses this port; choose another port, or 0 for a free one",
            std::io::ErrorKind::PermissionDenied => "choose a port above 1023 or give the right to bind it",
            std::io::ErrorKind::Unsupported => "transparent needs the capability NET_ADMIN; REDIRECT does without",
            std::io::ErrorKind::AddrNotAvailable => {
                "this machine does not have that address; 127.0.0.1 and 0.0.0.0 always work"
            }
            _ => return None,
        })
    }
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Everything came to its own end.
    pub finished: bool,
    /// Connections that were cut at the deadline.
    pub cut: usize,
}

impl Proxy {
    /// Starts the workers; they serve nothing until [`Proxy::apply`].
    ///
    /// # Errors
    /// When a thread, its runtime or the access log cannot be made.
    pub fn start(store: Arc<SnapshotStore>, options: ProxyOptions) -> std::io::Result<Arc<Self>> {
        let snapshot = store.load();
        let (log, guard) = match snapshot.config.access_log.as_ref().map(AccessLog::open).transpose()? {
            Some((log, guard)) => (Some(log), Some(guard)),
            None => (None, None),
        };
        let budget = Budget::new(snapshot.config.limits.active_faults_max);
        budget.set_share(snapshot.config.limits.blast_radius.traffic_share, Instant::now());
        let changes = watch::Sender::new(Arc::clone(&snapshot));
        let tls = Arc::<TlsStore>::default();
        // For those who need it before a listener is bound, such as health checks; whoever binds reports what is wrong.
        let _reported_later = tls.prepare(&snapshot.config);
        let upstreams = Arc::new(Registry::new(Arc::clone(&tls)));
        let taps = Arc::<Taps>::default();
        let traces = options.traces.map(Arc::new);
        let spans = traces.as_ref().map(|traces| Arc::clone(&traces.queue.counts));
        let loads = Loads::of(options.workers.max(1));
        let (all, queues): (Vec<_>, Vec<_>) = loads.each().iter().map(|_| mpsc::unbounded_channel()).unzip();
        let weak = all.iter().map(mpsc::UnboundedSender::downgrade).collect::<Arc<[_]>>();
        let mut workers = Vec::new();
        for (index, (commands, received)) in all.into_iter().zip(queues).enumerate() {
            let (shard, outcomes) = (Arc::<Shard>::default(), Arc::<Buffer>::default());
            let parts = WorkerParts {
                reader: store.reader(),
                changes: changes.subscribe(),
                shard: Arc::clone(&shard),
                budget: budget.clone(),
                upstreams: Arc::clone(&upstreams),
                access_log: log.clone(),
                traces: traces.clone(),
                taps: Arc::clone(&taps),
                outcomes: Arc::clone(&outcomes),
                index,
                loads: Arc::clone(&loads),
                all: Arc::clone(&weak),
                commands: received,
            };
            let ended = Mutex::new(thread::spawn(parts)?);
            workers.push(WorkerHandle { commands, shard, outcomes, ended });
        }
        let of_workers = budget.clone();
        store.on_publish(move |snapshot| {
            of_workers.set_max(snapshot.config.limits.active_faults_max);
            of_workers.set_share(snapshot.config.limits.blast_radius.traffic_share, Instant::now());
            changes.send_replace(Arc::clone(snapshot));
        });
        let (listening, is_accepting) = (Mutex::default(), AtomicBool::new(true));
        Ok(Arc::new(Self {
            store,
            tls,
            budget,
            workers,
            listening,
            loads,
            upstreams,
            is_accepting,
            taps,
            observations: AtomicU64::new(0),
            noted_share: SharedShare::default(),
            spans,
            _access_log: guard,
        }))
    }

    /// Loads the certificates, keys and authorities that a configuration names and that are not in use yet. To be
    /// called before a snapshot of it is published.
    ///
    /// # Errors
    /// Every problem of every file. What is in use stays, whatever became of its files.
    pub fn load_certificates(&self, config: &Config) -> Result<(), Problems> {
        self.tls.prepare(config)
    }

    /// TLS of the control API, which stays what it is for the life of the proxy. Each call of the result gives what the next
    /// handshake is to use; the files are followed like those of listeners.
    ///
    /// # Errors
    /// What is wrong with the files.
    pub fn control_tls(&self, tls: &ServerTls) -> Result<impl Fn() -> Option<Arc<ServerConfig>> + use<>, Problems> {
        let cell = self.tls.serve_control(tls)?;
        Ok(move || cell.current())
    }

    /// Takes into use what changed in the files of certificates, keys and authorities, for the handshakes from now on.
    /// Files that changed and are not good change nothing, and are reported once, in the log and the metrics.
    pub fn reload_certificates(&self) {
        self.tls.reload();
    }

    /// The files of certificates, keys and authorities in use.
    pub fn certificate_files(&self) -> Vec<PathBuf> {
        self.tls.files()
    }

    /// The certificates of the configuration in force.
    pub fn certificates(&self) -> Vec<CertificateStatus> {
        self.tls.status(&self.store.load().config)
    }

    /// Binds the sockets of listeners that are new or that moved. Nothing changes yet; dropping the result gives the
    /// sockets back.
    ///
    /// # Errors
    /// The first listener whose address cannot be had.
    pub fn bind(&self, config: &Config) -> Result<BoundListeners, BindError> {
        let listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
        let mut fresh = Vec::new();
        for listener in config.listeners.iter().filter(|listener| listener.is_enabled) {
            let (configured, original) = (listener.address, listener.original_dst.as_ref());
            let is_transparent = original.is_some_and(|original| original.is_transparent);
            let is_same = |l: &Listening| l.configured == configured && l.is_transparent == is_transparent;
            if listening.get(&listener.name).is_some_and(is_same) {
                continue;
            }
            let is_ours = listening.values().any(|l| l.bound == configured);
            let sockets = self.bind_one(configured, is_ours).and_then(|sockets| {
                sockets.iter().filter(|_| is_transparent).try_for_each(socket::accept_transparently)?;
                Ok(sockets)
            });
            let failed = |source| BindError { listener: listener.name.clone(), address: configured, source };
            let sockets = sockets.map_err(failed)?;
            let bound = sockets.first().and_then(|s| s.local_addr().ok()).unwrap_or(configured);
            let listening = Listening { configured, bound, is_transparent };
            fresh.push(Fresh { name: listener.name.clone(), listening, sockets });
        }
        Ok(BoundListeners {
            fresh,
            names: config.listeners.iter().filter(|l| l.is_enabled).map(|l| l.name.clone()).collect(),
        })
    }

    /// One socket for each worker, on one address; the first one chooses the port when it is 0.
    fn bind_one(&self, address: SocketAddr, is_ours: bool) -> std::io::Result<Vec<TcpListener>> {
        if !is_ours && address.port() != 0 {
            // The workers share the port; a socket that does not tells whether somebody else has it already.
            drop(socket::bind_alone(address)?);
        }
        let mut sockets = vec![socket::bind_shared(address)?];
        let bound = sockets[0].local_addr()?;
        for _ in 1..self.workers.len() {
            sockets.push(socket::bind_shared(bound)?);
        }
        Ok(sockets)
    }

    /// Serves what was bound, and stops what is not in the configuration any more, or not enabled. To be called after the
    /// snapshot with these listeners was published. The sockets that are stopped are closed when this returns, but for those
    /// of a worker that takes too long.
    pub fn apply(&self, bound: BoundListeners) {
        let mut listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
        self.tls.retain(&self.store.load().config);
        let (closing, closed) = std_mpsc::channel();
        let gone: Vec<Name> = listening.keys().filter(|name| !bound.names.contains(name)).cloned().collect();
        for name in gone {
            listening.remove(&name);
            self.tell(|| Command::Unlisten(name.clone(), closing.clone()));
        }
        listening.extend(bound.fresh.iter().map(|fresh| (fresh.name.clone(), fresh.listening)));
        self.upstreams.own.set_listeners(listening.values().map(|state| state.bound).collect());
        for Fresh { name, sockets, .. } in bound.fresh {
            for (worker, socket) in self.workers.iter().zip(sockets) {
                // A worker that ended serves nothing more, and nobody misses the command.
                let _ = worker.commands.send(Command::Listen(name.clone(), socket));
            }
        }
        // Whoever asks for addresses does not wait for a worker.
        drop(listening);
        drop(closing);
        // Nobody sends: it ends when the last socket is closed.
        let _ = closed.recv_timeout(CLOSE_TIMEOUT);
    }

    /// Lets no connection to an upstream be made to this address of the control API or of telemetry, whatever a
    /// configuration, a name or a request says; it never is to those of listeners.
    pub fn keep_from(&self, address: SocketAddr) {
        self.upstreams.own.add_api(address);
    }

    /// The listeners with the addresses that they are really bound to.
    pub fn addresses(&self) -> Vec<(Name, SocketAddr)> {
        let listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
        listening.iter().map(|(name, state)| (name.clone(), state.bound)).collect()
    }

    /// All metrics of the data plane, merged over the workers.
    pub fn metric_families(&self) -> Vec<MetricFamily> {
        let shards: Vec<Arc<Shard>> = self.workers.iter().map(|w| Arc::clone(&w.shard)).collect();
        let (loads, spans) = (self.loads.each(), self.spans.as_deref());
        let counted = Counted { shards: &shards, loads, clusters: &self.clusters(), tls: &self.tls, spans };
        metrics::families(counted, &self.store.load())
    }

    /// What has gone through the listeners since the start.
    pub fn traffic(&self) -> Vec<TrafficTotals> {
        let shards: Vec<Arc<Shard>> = self.workers.iter().map(|w| Arc::clone(&w.shard)).collect();
        totals::totals(&shards)
    }

    /// Shows HTTP exchanges as they end, until the result is dropped; to be called on a runtime. `None` when too many watch
    /// already.
    pub fn tap(&self, filter: TapFilter) -> Option<Tap> {
        let commands: Vec<_> = self.workers.iter().map(|worker| worker.commands.downgrade()).collect();
        let tell = move || {
            for queue in commands.iter().filter_map(mpsc::WeakUnboundedSender::upgrade) {
                // A worker that ended shows nothing more.
                let _ = queue.send(Command::Tap);
            }
        };
        self.taps.watch(filter, Box::new(tell))
    }

    /// From now on notes what becomes of HTTP exchanges that begin, for [`Proxy::outcomes`]; `None` ends that. What was noted
    /// for another observation and not taken is forgotten.
    pub fn observe(&self, observation: Option<Observation>) {
        let begin = |observation: Observation| {
            self.note_share(observation.share);
            let number = self.observations.fetch_add(1, Relaxed) + 1;
            Beginning { number, observation: Arc::new(observation), share: Arc::clone(&self.noted_share) }
        };
        let beginning = observation.map(begin);
        self.tell(|| Command::Observe(beginning.clone()));
    }

    /// From now on notes this share of all traces: of exchanges that begin, on each worker at once.
    pub fn note_share(&self, share: TraceShare) {
        self.noted_share.store(share.to_bits(), Relaxed);
    }

    /// Takes what was noted since the last call, in no particular order, also after the observation's end; gives how many more
    /// there was no room for. To be called several times a second: 32,768 are kept for each worker.
    pub fn outcomes(&self, into: &mut Vec<Outcome>) -> u64 {
        let number = self.observations.load(Relaxed);
        self.workers.iter().map(|worker| worker.outcomes.take(number, into)).sum()
    }

    /// The endpoints of each cluster in force, as they are now.
    pub fn endpoints(&self) -> Vec<(Name, Vec<EndpointStatus>)> {
        let now = Instant::now();
        self.clusters().iter().map(|shared| (shared.cluster.name.clone(), status::endpoints(shared, now))).collect()
    }

    /// Those in force, as soon as a worker has taken them over.
    fn clusters(&self) -> Vec<Arc<SharedCluster>> {
        let snapshot = self.store.load();
        snapshot.clusters.iter().filter_map(|cluster| self.upstreams.find(cluster)).collect()
    }

    /// What of `limits.traffic_share` is used now; `None` without that bound.
    pub fn traffic_used(&self) -> Option<Used> {
        self.budget.used(Instant::now())
    }

    /// Whether new connections are accepted: from the start until a drain begins.
    pub fn is_accepting(&self) -> bool {
        self.is_accepting.load(Relaxed)
    }

    /// Stops accepting, lets go what faults hold, and waits until all connections came to their end, at most for
    /// `timeout`; what is left then is cut. Blocks the calling thread.
    pub fn drain(&self, timeout: Duration) -> Drained {
        self.is_accepting.store(false, Relaxed);
        self.tell(|| Command::Drain);
        let deadline = Instant::now() + timeout;
        // Connections that wait in the sockets' queues are taken before the workers are done with the command.
        let mut quiet = 0;
        while quiet < 2 && Instant::now() < deadline {
            quiet = if self.loads.connections() == 0 { quiet + 1 } else { 0 };
            self.wait_for_end(Duration::from_millis(20));
        }
        let cut = self.loads.connections();
        self.drain_now();
        Drained { finished: cut == 0, cut }
    }

    /// Ends everything now.
    pub fn drain_now(&self) {
        self.is_accepting.store(false, Relaxed);
        self.tell(|| Command::Cut);
        self.wait_for_end(Duration::from_secs(2));
    }

    /// Waits until every worker ended, at most for `limit`.
    fn wait_for_end(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        for worker in &self.workers {
            let ended = worker.ended.lock().unwrap_or_else(PoisonError::into_inner);
            // An answer of any kind but a time-out is the end.
            let _ = ended.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        }
    }

    fn tell(&self, command: impl Fn() -> Command) {
        for worker in &self.workers {
            // A worker that ended has nothing left to do.
            let _ = worker.commands.send(command());
        }
    }
}
