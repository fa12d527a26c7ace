//! The lease: a promise of somebody to watch over the faults, renewed again and again. A watcher that crashed, hangs or was cut
//! off cannot renew it, and then all faults stop.
//!
//! Losing it moves the kill switch, and taking it moves nothing: who comes back looks first, and resumes. Where the
//! configuration asks for a lease, faults do not flow without one: not after the start, not after it was given back, and `resume`
//! is refused. It is held by a process for a process: after a restart nobody holds it.

use std::time::{Duration, SystemTime};

use crate::document::{Expiry, Now};

/// Why faults do not flow where the configuration asks for a lease.
pub(crate) const NOBODY: &str = "nobody holds the lease";

/// Why faults do not flow after a restart, when this one watched over them.
pub(crate) fn lost_with_process(holder: &str) -> String {
    format!("the lease of {holder} ended with the process before")
}

/// Somebody watches over the faults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    /// Who, as they said.
    pub(crate) holder: String,
    /// How long a renewal lasts.
    pub(crate) ttl: Duration,
    /// Since when.
    pub(crate) since: SystemTime,
    /// Until when, unless it is renewed.
    pub(crate) expiry: Expiry,
}

impl Lease {
    /// How long it lasts, by the clock that says less.
    pub(crate) fn left(&self, now: Now) -> Duration {
        self.expiry.left(now)
    }
}
