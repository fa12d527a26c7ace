//! Tells subscribers what happened, in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};

/// A subscriber that is this many events behind loses the oldest and is told so.
const BACKLOG_MAX: usize = 1024;

/// Each subscriber costs a connection.
pub(crate) const SUBSCRIBERS_MAX: usize = 64;

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventKind {
    /// Rules were changed through the API.
    Rule,
    /// All faults were halted.
    Halt,
    /// Faults were resumed.
    Resume,
    /// The configuration was loaded anew, or could not be.
    Reload,
    /// Rules ended with their ttl.
    Expired,
    /// A guard is in another state.
    Guard,
    /// The lease was taken, given back or lost.
    Lease,
    /// An experiment is in another phase, or has ended.
    Experiment,
    /// The controller of the cluster answers again, or fell silent.
    Controller,
    /// Proxies or toxics were changed through Toxiproxy's API.
    Proxy,
}

impl EventKind {
    /// The word of the API.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Halt => "halt",
            Self::Resume => "resume",
            Self::Reload => "reload",
            Self::Expired => "expired",
            Self::Guard => "guard",
            Self::Lease => "lease",
            Self::Experiment => "experiment",
            Self::Controller => "controller",
            Self::Proxy => "proxy",
        }
    }
}

/// Something that happened.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// Counts events of this process from 1.
    pub(crate) id: u64,
    /// What kind.
    pub(crate) kind: EventKind,
    /// An object; always has `generation` and `at`.
    pub(crate) data: Value,
}

/// Hands events to subscribers.
#[derive(Debug)]
pub(crate) struct Events {
    sender: broadcast::Sender<Arc<Event>>,
    places: Arc<Semaphore>,
    last_id: AtomicU64,
}

impl Default for Events {
    fn default() -> Self {
        let (sender, _) = broadcast::channel(BACKLOG_MAX);
        Self { sender, places: Arc::new(Semaphore::new(SUBSCRIBERS_MAX)), last_id: AtomicU64::new(0) }
    }
}

impl Events {
    /// Tells all subscribers; does not block.
    pub(crate) fn tell(&self, kind: EventKind, data: Value) {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        // An error means that nobody listens.
        let _ = self.sender.send(Arc::new(Event { id, kind, data }));
    }

    /// Everything from now on; `None` when there are [`SUBSCRIBERS_MAX`] already.
    pub(crate) fn subscribe(&self) -> Option<Subscription> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some(Subscription { receiver: self.sender.subscribe(), _place: place })
    }
}

/// One subscriber.
#[derive(Debug)]
pub(crate) struct Subscription {
    receiver: broadcast::Receiver<Arc<Event>>,
    _place: OwnedSemaphorePermit,
}

/// What a subscriber gets.
#[derive(Clone, Debug)]
pub(crate) enum Received {
    /// The next event.
    Event(Arc<Event>),
    /// So many events were lost, because this subscriber was too slow.
    Lagged(u64),
}

impl Subscription {
    /// Waits for the next event; `None` when there will be no more. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Received> {
        match self.receiver.recv().await {
            Ok(event) => Some(Received::Event(event)),
            Err(broadcast::error::RecvError::Lagged(n)) => Some(Received::Lagged(n)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
