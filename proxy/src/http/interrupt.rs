//! An exchange that ends without an answer.

use h2::Reason;

/// Ends a connection (HTTP/1) or a stream (HTTP/2) where it stands.
///
/// On HTTP/2 a reset says INTERNAL_ERROR, because clients silently retry REFUSED_STREAM.
#[derive(Debug, thiserror::Error)]
#[error("the exchange was interrupted")]
pub(crate) struct Interrupt {
    reason: Reason,
}

impl Interrupt {
    /// An injected reset; on HTTP/1 the connection's reset flag is armed as well.
    pub(crate) fn reset() -> Self {
        Self { reason: Reason::INTERNAL_ERROR }
    }

    /// A connection that is closed without an answer.
    pub(crate) fn close() -> Self {
        Self { reason: Reason::CANCEL }
    }

    /// A response that ended early for no injected reason: never to be taken for a complete one.
    pub(crate) fn cut_short() -> Self {
        Self { reason: Reason::INTERNAL_ERROR }
    }

    /// The code of the RST_STREAM.
    pub(crate) fn reason(&self) -> Reason {
        self.reason
    }
}
