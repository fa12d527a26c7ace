//! What comes to traffic from outside: its worker's end, and other rules.

use std::sync::Arc;

use squall_fault::snapshot::Snapshot;
use tokio::sync::watch;

/// A stage of a worker's life; each comes at most once, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// Accepts, and applies faults.
    Serving,
    /// Accepts nothing more, and faults hold nothing more; what is going on goes on.
    Draining,
    /// What is left of the traffic is cut.
    Cut,
}

/// Everything that can change what faults do to traffic, for what follows it from task to task.
#[derive(Clone, Debug)]
pub(crate) struct Control {
    /// Published snapshots.
    pub(crate) changes: watch::Receiver<Arc<Snapshot>>,
    /// Of the worker.
    pub(crate) life: watch::Receiver<Life>,
}
