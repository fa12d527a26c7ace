//! What the publisher tells of itself in numbers.

use std::time::Duration;

use super::Publisher;
use crate::document::Now;

/// What is in force, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PublisherStats {
    /// The generation in force.
    pub generation: u64,
    /// Whether all faults are halted.
    pub halted: bool,
    /// Reloads of the file that succeeded, with or without a change.
    pub reloads_ok: u64,
    /// Reloads of the file that failed.
    pub reloads_error: u64,
    /// What is left of the lease; `None` where nobody has to hold one and nobody does.
    pub lease_left: Option<Duration>,
}

impl Publisher {
    /// What is in force, in numbers.
    pub(crate) fn stats(&self) -> PublisherStats {
        let state = self.state();
        let lease_left = state.lease.as_ref().map(|lease| lease.left(Now::read()));
        PublisherStats {
            generation: state.generation,
            halted: state.halt.is_some(),
            reloads_ok: state.reloads_ok,
            reloads_error: state.reloads_error,
            lease_left: lease_left.or(state.written.config.lease_ttl.map(|_| Duration::ZERO)),
        }
    }
}
