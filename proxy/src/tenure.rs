//! Connections that end with their listener: those of listeners that were made at run time.

use std::future::ready;
use std::net::Shutdown;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use squall_config::model::Name;
use squall_fault::snapshot::Snapshot;
use tokio::sync::watch;

use crate::connection;
use crate::downstream::Opened;
use crate::view::ListenerView;

/// How long the server of a connection may take to see that it has ended.
const PATIENCE: Duration = Duration::from_secs(1);

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

    async fn over(self, listener: Name, mut changes: watch::Receiver<Arc<Snapshot>>) {
        // The sender lives as long as the process.
        let _ = changes.wait_for(|snapshot| self.is_over(snapshot, &listener)).await;
    }
}

/// Serves a connection to its end, at the latest to that of its listener.
pub(crate) async fn serve(
    tenure: Tenure,
    listener: Name,
    changes: watch::Receiver<Arc<Snapshot>>,
    opening: Pin<Box<impl Future<Output = Option<Opened>>>>,
) {
    let mut over = pin!(tenure.over(listener, changes));
    let opened = tokio::select! {
        biased;
        () = &mut over => return,
        opened = opening => opened,
    };
    let Some(opened) = opened else { return };
    if opened.is_relayed() {
        return connection::serve(Box::pin(ready(Some(opened)))).await; // it looks itself, so that it can end in its own way
    }
    let socket = opened.second_handle();
    let mut serving = pin!(connection::serve(Box::pin(ready(Some(opened)))));
    tokio::select! {
        biased;
        () = &mut serving => return,
        () = &mut over => {}
    }
    // As if the client had gone: every exchange ends and is accounted for in the way in which it does then.
    if socket.is_ok_and(|socket| socket.shutdown(Shutdown::Read).is_ok()) {
        // Either end is fine; what still lies in front of the end may not be read.
        let _ = tokio::time::timeout(PATIENCE, serving).await;
    }
}
