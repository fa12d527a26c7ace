//! Writes down what happened by itself, on another thread.

use tokio::task::JoinHandle;

/// Writes down what happened, one after the other: a disk that hangs takes one thread, and nothing waits for it.
#[derive(Default)]
pub(crate) struct Disk(Option<JoinHandle<()>>);

impl Disk {
    /// Begins to write, unless the write before is not done.
    pub(crate) fn write(&mut self, write: impl FnOnce() + Send + 'static) {
        if self.0.as_ref().is_none_or(JoinHandle::is_finished) {
            self.0 = Some(tokio::task::spawn_blocking(write));
        }
    }
}
