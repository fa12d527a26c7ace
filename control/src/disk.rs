//! Writes down what happened by itself, on another thread.

use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::publish::Publisher;

/// Writes down what happened, one after the other: a disk that hangs takes one thread, and nothing waits for it.
#[derive(Default)]
pub(crate) struct Disk(Option<JoinHandle<()>>);

impl Disk {
    /// Begins to write, unless the write before is not done.
    pub(crate) fn write(&mut self, publisher: &Arc<Publisher>, write: fn(&Publisher)) {
        if publisher.outlives() && self.0.as_ref().is_none_or(JoinHandle::is_finished) {
            let publisher = Arc::clone(publisher);
            self.0 = Some(tokio::task::spawn_blocking(move || write(&publisher)));
        }
    }
}
