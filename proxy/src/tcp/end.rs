//! How a relay ends, and what both sides see of it.

use std::convert::Infallible;
use std::io;

use squall_config::model::Name;

use super::active::{How, Passed};
use crate::net::stream::Stream;

/// One of the two connections of a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Downstream,
    Upstream,
}

/// How a relay ended. `E` is the error of the dial.
#[derive(Debug)]
pub(crate) enum RelayEnd<E> {
    /// Both directions ended in FIN.
    Finished,
    /// A fault ended it: `reset`, `refuse`, `truncate`, or a `blackhole` that came to its `max`.
    Injected { rule: Name, kind: &'static str, how: How },
    /// A side broke (reset, timed out); the other side got RST.
    Broken { by: Side, error: io::Error },
    /// There is no upstream; downstream got RST, or FIN where it is let in all the same.
    ConnectFailed(E),
    /// No byte for the listener's idle timeout.
    Idle,
    /// Downstream gave up while a blackhole held it.
    Abandoned,
    /// Its listener is gone or has started anew, and it ends with that; both sides got FIN.
    ListenerEnded,
    /// The drain's deadline.
    Cut,
}

/// What became of a connection.
#[derive(Debug)]
pub(crate) struct RelayOutcome<E> {
    pub(crate) end: RelayEnd<E>,
    pub(crate) passed: Passed,
}

/// What a side sees of an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Farewell {
    /// RST: an end that is no graceful one must not look like one, since the stream may be cut in the middle.
    Reset,
    /// FIN, and what still comes is read for a while.
    Close,
    /// What it has seen already, or nothing more.
    Leave,
}

impl<E> RelayEnd<E> {
    /// What this side sees. A listener of Toxiproxy's (`is_let_in`) lets its clients in before it sends them away: they take a
    /// proxy for up when they can connect, and a reset may be there before they have looked.
    pub(super) fn farewell(&self, side: Side, is_let_in: bool) -> Farewell {
        match self {
            Self::Injected { how: How::Reset, .. } => Farewell::Reset,
            Self::Injected { how: How::Close, .. } | Self::ListenerEnded => Farewell::Close,
            Self::ConnectFailed(_) if is_let_in => Farewell::Close,
            Self::ConnectFailed(_) => Farewell::Reset,
            Self::Broken { by, .. } if *by != side => Farewell::Reset,
            Self::Broken { .. } | Self::Finished | Self::Idle | Self::Abandoned | Self::Cut => Farewell::Leave,
        }
    }
}

impl Farewell {
    /// Says what is said without waiting; whether the side is still to be closed.
    pub(super) fn say(self, stream: &Stream) -> bool {
        if self == Self::Reset {
            stream.end_in_reset();
        }
        self == Self::Close
    }
}

impl RelayEnd<Infallible> {
    /// The end of a relay that did connect.
    pub(super) fn into_end<E>(self) -> RelayEnd<E> {
        match self {
            Self::Finished => RelayEnd::Finished,
            Self::Injected { rule, kind, how } => RelayEnd::Injected { rule, kind, how },
            Self::Broken { by, error } => RelayEnd::Broken { by, error },
            Self::Idle => RelayEnd::Idle,
            Self::Abandoned => RelayEnd::Abandoned,
            Self::ListenerEnded => RelayEnd::ListenerEnded,
            Self::Cut => RelayEnd::Cut,
            Self::ConnectFailed(never) => match never {},
        }
    }
}
