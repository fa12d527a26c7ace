//! What Squall asks for over HTTP: what guards and experiments look at, and the orders of a controller. `cli` hands the client
//! in, which it has anyway.

use std::path::PathBuf;
use std::pin::Pin;

use http::{Method, Uri};

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebRequest {
    /// What is done there.
    pub method: Method,
    /// Absolute; http or https.
    pub url: Uri,
    /// A file with a bearer token to show; read each time.
    pub token_file: Option<PathBuf>,
    /// The authorities that vouch for an https address; `None` takes those of the system. Read each time.
    pub ca: Option<PathBuf>,
    /// JSON to send along; empty when there is none.
    pub body: Vec<u8>,
    /// How much of the body of the answer is wanted; a longer one is an error. With 0 it is not read.
    pub body_bytes_max: usize,
    /// On which connection.
    pub connection: WebConnection,
}

/// On which connection a question is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebConnection {
    /// On one of its own, so that a server that accepts none any more is noticed.
    Own,
    /// On that of the question before, while it works and the authorities are the same.
    Kept,
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
    fn ask(&self, request: WebRequest) -> WebFuture;
}
