//! An exchange that ends without an answer.

/// Ends a connection (HTTP/1) or a stream (HTTP/2) where it stands.
///
/// On HTTP/2 the cause names the RST_STREAM code: INTERNAL_ERROR, because clients silently retry REFUSED_STREAM.
#[derive(Debug, thiserror::Error)]
#[error("the exchange was interrupted")]
pub(crate) struct Interrupt {
    #[source]
    code: h2::Error,
}

impl Interrupt {
    /// An injected reset; on HTTP/1 the connection's reset flag is armed as well.
    pub(crate) fn reset() -> Self {
        Self { code: h2::Reason::INTERNAL_ERROR.into() }
    }

    /// A connection that is closed without an answer.
    pub(crate) fn close() -> Self {
        Self { code: h2::Reason::CANCEL.into() }
    }

    /// A response that ended early for no injected reason: never to be taken for a complete one.
    pub(crate) fn cut_short() -> Self {
        Self { code: h2::Reason::INTERNAL_ERROR.into() }
    }
}
