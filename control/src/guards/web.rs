//! What guards ask for over HTTP; `cli` hands the client in, which it has anyway.

use std::path::PathBuf;
use std::pin::Pin;

use http::Uri;

/// One GET, on a connection of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebRequest {
    /// Absolute; http or https.
    pub url: Uri,
    /// A file with a bearer token to show.
    pub token_file: Option<PathBuf>,
    /// The authorities that vouch for an https address; `None` takes those of the system.
    pub ca: Option<PathBuf>,
    /// How much of the body is wanted; a longer one is an error. With 0 it is not read.
    pub body_bytes_max: usize,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebAnswer {
    /// The status.
    pub status: u16,
    /// The body, whole.
    pub body: Vec<u8>,
}

/// The answer, or in words why there is none.
pub type WebFuture = Pin<Box<dyn Future<Output = Result<WebAnswer, String>> + Send>>;

/// Asks over HTTP.
pub trait Web: Send + Sync + 'static {
    /// Asks; called on a runtime. Dropping the future gives it up.
    fn get(&self, request: WebRequest) -> WebFuture;
}
