//! A connected sidecar.

use std::time::Instant;

use squall_orders::Report;

/// Which pod it is in, as the API server vouches for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pod {
    /// Its uid.
    pub(crate) uid: String,
    /// Its namespace.
    pub(crate) namespace: String,
    /// Its name.
    pub(crate) name: String,
}

/// A sidecar, and what it said last. Its labels are what it says, too: the pod itself can at most shirk its own faults by them.
#[derive(Clone, Debug)]
pub(crate) struct Sidecar {
    pub(crate) pod: Pod,
    pub(crate) report: Report,
    pub(crate) heard: Instant,
}
