//! Ends of an answer that come too early.

use std::time::Instant;

use http::HeaderMap;
use squall_config::model::Http2Code;

use super::messages::Messages;
use crate::net::reset::ResetFlag;

/// An end of a body before its own.
#[derive(Debug)]
pub(super) enum Ending {
    /// A reset or a false end.
    Cut { at: Cutoff, how: How },
    /// A gRPC status behind so many messages.
    Status { messages: Messages, trailers: HeaderMap },
}

/// When a body is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cutoff {
    /// Once so many bytes have passed.
    Passed(u64),
    Due(Instant),
}

/// How a body is cut.
#[derive(Debug)]
pub(super) enum How {
    /// `flag` is armed before the end, where a reset is a matter of the connection (HTTP/1).
    Reset { flag: Option<ResetFlag>, code: Http2Code },
    /// As if it were the end.
    Truncate,
}
