//! Connections that end with their listener: those of listeners that were made at run time.

use std::sync::Arc;

use squall_config::model::Name;
use squall_fault::snapshot::Snapshot;
use tokio::sync::watch;

use crate::view::ListenerView;

/// The start of a listener that a connection lives with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tenure {
    start: u64,
    /// The generation in which it was found. Who follows snapshots may still see an earlier one.
    generation: u64,
}

impl Tenure {
    /// `None` where connections outlive their listener.
    pub(crate) fn of(listener: &ListenerView) -> Option<Self> {
        Self::new(listener.compiled.listener.start, &listener.snapshot)
    }

    pub(crate) fn new(start: Option<u64>, snapshot: &Snapshot) -> Option<Self> {
        start.map(|start| Self { start, generation: snapshot.generation })
    }

    /// Whether the listener is gone, or has started anew.
    pub(crate) fn is_over(self, snapshot: &Snapshot, listener: &Name) -> bool {
        let now = snapshot.listener(listener.as_str()).and_then(|now| now.listener.start);
        snapshot.generation > self.generation && now != Some(self.start)
    }

    /// Returns when the listener is gone, or has started anew.
    pub(crate) async fn over(self, listener: Name, mut changes: watch::Receiver<Arc<Snapshot>>) {
        // The sender lives as long as the process.
        let _ = changes.wait_for(|snapshot| self.is_over(snapshot, &listener)).await;
    }
}
