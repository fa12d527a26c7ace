//! What every call shares: the state, the guards around the routes, the answer to a panic.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use tokio::sync::watch;

use crate::audit::Note;
use crate::error::ApiError;
use crate::publish::Publisher;

/// What handlers get.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) publisher: Arc<Publisher>,
    /// Turns true when the server ends; endless answers end with it.
    pub(crate) shutdown: watch::Receiver<bool>,
}

impl App {
    /// Notes that somebody was refused. The answer does not wait until that is written down.
    pub(crate) fn note(&self, note: Note) {
        self.publisher.audit.note(note);
        if self.publisher.outlives() {
            let publisher = Arc::clone(&self.publisher);
            drop(tokio::task::spawn_blocking(move || publisher.audit.flush()));
        }
    }

    /// Runs something that may take long on another thread, so that this one stays free for the kill switch.
    ///
    /// # Errors
    /// 500 when it panicked.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Publisher) -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let publisher = Arc::clone(&self.publisher);
        tokio::task::spawn_blocking(move || work(&publisher)).await.map_err(|error| {
            tracing::error!(%error, "a call of the control API panicked");
            ApiError::internal("the call failed inside Squall")
        })
    }
}

/// A panic ends the call alone: 500.
pub(crate) async fn catch_panic(answer: impl Future<Output = Response>) -> Response {
    AssertUnwindSafe(answer).catch_unwind().await.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
        tracing::error!(panic = text.unwrap_or("?"), "a call of the control API panicked");
        ApiError::internal("the call failed inside Squall").into_response()
    })
}
