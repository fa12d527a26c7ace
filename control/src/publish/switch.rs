//! Moves the kill switch.

use std::sync::Arc;

use serde_json::json;
use squall_fault::{Stamp, compile};

use super::{Publisher, State};
use crate::actor::Actor;
use crate::document::Now;
use crate::events::EventKind;
use crate::switch::{Halt, Switch};
use crate::write::{UpdateError, Write};

impl Publisher {
    /// The kill switch: no new faults, and those that hold traffic let go of it. Latches until somebody resumes. Does
    /// not wait for a change that is under way, nor for a disk: [`Self::flush`] writes it down. Gives the generation.
    pub fn halt(&self, by: Actor, reason: &str) -> u64 {
        let write = Write { operation: "halt", ..Write::by(by) };
        self.switch(&write, reason, Switch::Halt).unwrap_or_else(|_| self.generation())
    }

    /// Ends [`Self::halt`], for tests. Gives the generation.
    #[cfg(test)]
    pub(crate) fn resume(&self, by: Actor, reason: &str) -> u64 {
        let write = Write { operation: "resume", ..Write::by(by) };
        self.switch(&write, reason, Switch::Resume).unwrap_or_else(|_| self.generation())
    }

    /// Moves the kill switch on conditions. A switch that stands there already is left alone, with its
    /// first reason; but where the controller had halted, somebody else's reason to halt takes the place of its own.
    ///
    /// # Errors
    /// The precondition does not hold; or faults flow only under a lease, and nobody holds one; or the controller halts.
    pub(crate) fn switch(&self, write: &Write, reason: &str, to: Switch) -> Result<u64, UpdateError> {
        let mut state = self.state();
        let generation = state.generation;
        write.precondition.check(generation)?;
        let halted = to == Switch::Halt;
        if !halted && state.lacks_lease(&state.written.config) {
            return Err(UpdateError::NoLease);
        }
        let by_controller = write.is_ordered;
        if !halted && !by_controller && self.controller.halts(Now::read()) {
            return Err(UpdateError::HaltedByController);
        }
        if !halted && by_controller && state.halt.as_ref().is_none_or(|halt| !halt.by_controller) {
            return Ok(generation);
        }
        if halted && !by_controller && !write.dry_run {
            self.make_ours(&mut state, reason);
        }
        if state.halt.is_some() == halted || write.dry_run {
            drop(state);
            if !write.dry_run {
                self.audit.note(write.done(generation).because(reason));
            }
            return Ok(generation);
        }
        let config = Arc::clone(&state.written.config);
        let stamp = Stamp { generation: generation + 1, halted, seed: self.seed };
        let snapshot = compile(config, Some(&self.store.load()), stamp);
        state.halt = halted.then(|| Halt { by_controller, ..Halt::now(reason.to_owned()) });
        state.resumes += u64::from(!halted);
        state.generation = generation + 1;
        self.store.publish(Arc::new(snapshot));
        self.keeper.note_switch(state.halt.clone(), generation + 1);
        drop(state);
        self.audit.note(write.done(generation + 1).because(reason));
        let (by, generation) = (&write.by, generation + 1);
        let kind = if halted {
            tracing::warn!(%by, reason, halted, generation, "halted: no faults until `squall resume`");
            EventKind::Halt
        } else {
            tracing::warn!(%by, reason, halted, generation, "resumed: rules inject again");
            EventKind::Resume
        };
        self.tell(kind, generation, json!({ "reason": reason }));
        Ok(generation)
    }

    /// A halt of the controller becomes one of somebody else, who has a reason of their own.
    fn make_ours(&self, state: &mut State, reason: &str) {
        let Some(halt) = state.halt.as_mut().filter(|halt| halt.by_controller) else { return };
        *halt = Halt { reason: reason.to_owned(), by_controller: false, since: halt.since };
        self.keeper.note_switch(state.halt.clone(), state.generation);
    }
}
