//! What the publisher tells of itself in numbers.

use std::time::Duration;

use super::Publisher;
use crate::access::Refused;
use crate::document::Now;
use crate::fleet::board::ControllerStats;

/// Numbers for the metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ControlStats {
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
    /// How it stands with the controller; `None` where there is none.
    pub controller: Option<ControllerStats>,
    /// Calls that were turned away at the door, in the order of [`Refused::ALL`].
    pub refused: [u64; Refused::ALL.len()],
    /// Changes of the token file that were taken into use.
    pub token_reloads_ok: u64,
    /// Changes of the token file that could not be.
    pub token_reloads_error: u64,
}

impl Publisher {
    /// Numbers for the metrics.
    pub fn stats(&self) -> ControlStats {
        let (token_reloads_ok, token_reloads_error) = self.access.reloads();
        let (refused, controller) = (self.access.refused(), self.fleet.stats(Now::read()));
        let state = self.state();
        let lease_left = state.lease.as_ref().map(|lease| lease.left(Now::read()));
        ControlStats {
            generation: state.generation,
            halted: state.halt.is_some(),
            reloads_ok: state.reloads_ok,
            reloads_error: state.reloads_error,
            lease_left: lease_left.or(state.written.config.lease_ttl.map(|_| Duration::ZERO)),
            controller,
            refused,
            token_reloads_ok,
            token_reloads_error,
        }
    }
}
