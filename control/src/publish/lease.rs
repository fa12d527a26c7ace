//! Takes the lease, renews it, gives it back, and stops all faults when it is over.

use std::time::Duration;

use serde_json::json;
use squall_config::defaults;
use squall_config::model::Config;

use super::{Publisher, State};
use crate::actor::{Actor, Part};
use crate::audit::Note;
use crate::document::{Expiry, Now};
use crate::events::EventKind;
use crate::lease::{Lease, NOBODY};
use crate::write::{UpdateError, Write};

impl State {
    /// Whether the configuration asks for a lease, and nobody holds one.
    pub(crate) fn lacks_lease(&self, config: &Config) -> bool {
        config.lease_ttl.is_some() && self.lease.is_none()
    }
}

impl Publisher {
    /// Who watches over the faults.
    pub(crate) fn lease(&self) -> Option<Lease> {
        self.state().lease.clone()
    }

    /// The longest lease that the configuration in force allows.
    pub(crate) fn lease_ttl_max(&self) -> Duration {
        self.state().written.config.lease_ttl.unwrap_or(defaults::LEASE_TTL_CEILING)
    }

    /// Takes the lease or renews it. Does not move the kill switch. Gives whether it was taken, so that [`Self::flush`] has
    /// something to write down.
    ///
    /// # Errors
    /// The precondition does not hold; somebody else holds the lease.
    pub(crate) fn take_lease(&self, write: &Write, holder: &str, ttl: Duration, now: Now) -> Result<bool, UpdateError> {
        // One whose time is over is not renewed, even if nobody has noticed yet.
        self.expire_lease(now);
        let mut state = self.state();
        let generation = state.generation;
        write.precondition.check(generation)?;
        let before = state.lease.as_ref();
        if let Some(other) = before.filter(|lease| lease.holder != holder) {
            let left_seconds = other.left(now).as_secs() + 1;
            return Err(UpdateError::Leased { holder: other.holder.clone(), left_seconds });
        }
        if write.dry_run {
            return Ok(false);
        }
        let since = before.map(|lease| lease.since);
        let is_taken = since.is_none();
        let expiry = Expiry { at: now.wall + ttl, deadline: now.monotonic + ttl };
        state.lease = Some(Lease { holder: holder.to_owned(), ttl, since: since.unwrap_or(now.wall), expiry });
        if is_taken {
            self.keeper.note_lease(Some(holder.to_owned()));
        }
        drop(state);
        self.changed.lease.notify_one();
        if is_taken {
            self.audit.note(write.done(generation).because(&format!("lease of {holder}")));
            tracing::info!(by = %write.by, holder, ?ttl, "lease taken");
            self.tell(EventKind::Lease, generation, json!({ "holder": holder, "state": "held" }));
        }
        Ok(is_taken)
    }

    /// Gives the lease back. Where the configuration asks for one, all faults stop. Gives whether there was one.
    ///
    /// # Errors
    /// The precondition does not hold; somebody else than `holder` holds it.
    pub(crate) fn release_lease(&self, write: &Write, holder: Option<&str>, now: Now) -> Result<bool, UpdateError> {
        self.expire_lease(now);
        let mut state = self.state();
        let generation = state.generation;
        write.precondition.check(generation)?;
        let Some(lease) = state.lease.clone() else { return Ok(false) };
        if holder.is_some_and(|holder| holder != lease.holder) {
            let left_seconds = lease.left(now).as_secs() + 1;
            return Err(UpdateError::Leased { holder: lease.holder, left_seconds });
        }
        if write.dry_run {
            return Ok(true);
        }
        state.lease = None;
        let is_needed = state.lacks_lease(&state.written.config);
        self.keeper.note_lease(None);
        drop(state);
        self.audit.note(write.done(generation).because(&format!("lease of {}", lease.holder)));
        tracing::info!(by = %write.by, holder = lease.holder, "lease given back");
        self.tell(EventKind::Lease, generation, json!({ "holder": lease.holder, "state": "released" }));
        if is_needed {
            self.halt(Actor::Squall(Part::Lease), &format!("the lease of {} was given back", lease.holder));
        }
        Ok(true)
    }

    /// Ends the lease when its time is over, and all faults with it. Gives whether it did. Waits for nothing.
    pub(crate) fn expire_lease(&self, now: Now) -> bool {
        let mut state = self.state();
        let Some(lease) = state.lease.take_if(|lease| lease.expiry.is_over(now)) else { return false };
        let generation = state.generation;
        self.keeper.note_lease(None);
        drop(state);
        self.halt(Actor::Squall(Part::Lease), &format!("the lease of {} ran out", lease.holder));
        self.tell(EventKind::Lease, generation, json!({ "holder": lease.holder, "state": "expired" }));
        true
    }

    /// A change of the configuration asks for a lease that nobody holds: its snapshot is halted.
    pub(crate) fn note_halt_without_lease(&self, generation: u64) {
        self.keeper.note_switch(self.view().halt, generation);
        self.audit.note(Note::done(&Actor::Squall(Part::Lease), "halt", generation).because(NOBODY));
        tracing::warn!(generation, "the configuration asks for a lease, and nobody holds one; all faults are halted");
        self.tell(EventKind::Halt, generation, json!({ "reason": NOBODY }));
    }
}

#[cfg(test)]
#[path = "lease_tests.rs"]
mod tests;
