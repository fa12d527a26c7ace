//! An exchange that ends without an answer, or in the middle of one.

use bytes::Bytes;
use h2::Reason;
use squall_config::model::Http2Code;

/// Ends a connection (HTTP/1) or a stream (HTTP/2) where it stands.
#[derive(Debug, thiserror::Error)]
#[error("the exchange was interrupted")]
pub(crate) struct Interrupt {
    /// Of the RST_STREAM; `None` ends the stream without one.
    reason: Option<Reason>,
    end: ConnectionEnd,
}

/// How an interrupted HTTP/1 connection ends.
#[derive(Debug)]
pub(crate) enum ConnectionEnd {
    /// As it stands; by a reset, where one is armed.
    Drop,
    /// In FIN, after these bytes.
    Close(Bytes),
}

impl Interrupt {
    /// An injected reset; on HTTP/1 the connection's reset flag is armed as well.
    pub(crate) fn reset(code: Http2Code) -> Self {
        Self { reason: Some(Reason::from(code.number())), end: ConnectionEnd::Drop }
    }

    /// An injected reset with the usual code, which is not REFUSED_STREAM: clients silently retry that.
    pub(crate) fn injected_reset() -> Self {
        Self::reset(Http2Code::INTERNAL_ERROR)
    }

    /// A connection that is closed without an answer.
    pub(crate) fn close() -> Self {
        Self::with_reason(Reason::CANCEL)
    }

    /// A connection that is closed without an answer, and a stream that ends for this reason.
    pub(crate) fn with_reason(reason: Reason) -> Self {
        Self { reason: Some(reason), end: ConnectionEnd::Close(Bytes::new()) }
    }

    /// Bytes in place of an answer. On HTTP/2 the stream is reset: a malformed message is an error of the stream
    /// (RFC 9113 §8.1.1), and bytes that are no frames would hit the others.
    pub(crate) fn malformed(bytes: Bytes) -> Self {
        Self { reason: Some(Reason::PROTOCOL_ERROR), end: ConnectionEnd::Close(bytes) }
    }

    /// A body that ends early, as if that were its end.
    pub(crate) fn truncated() -> Self {
        Self { reason: None, end: ConnectionEnd::Close(Bytes::new()) }
    }

    /// A response that ended early for no injected reason: never to be taken for a complete one.
    pub(crate) fn cut_short() -> Self {
        Self { reason: Some(Reason::INTERNAL_ERROR), end: ConnectionEnd::Drop }
    }

    /// The code of the RST_STREAM; `None` ends the stream without one.
    pub(crate) fn reason(&self) -> Option<Reason> {
        self.reason
    }

    /// How the connection ends on HTTP/1.
    pub(crate) fn into_end(self) -> ConnectionEnd {
        self.end
    }
}
