//! What orders do to the document and the kill switch, and what their end does.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use squall_config::Chain;
use squall_config::spec::RuleSpec;

use crate::app::App;
use crate::document::Now;
use crate::events::EventKind;
use crate::publish::Publisher;
use crate::switch::Switch;
use crate::write::{UpdateError, Write};

/// Why ordered experiments end with the lease.
pub(super) const SILENT: &str = "the controller fell silent";

/// Before the controller's own reason to halt.
const HALT_PREFIX: &str = "the controller";

/// Ends the lease when its time is over, and the experiments that were ordered; [`Publisher::drop_orders`] ends the rules.
/// Waits for nothing.
pub(crate) fn expire_orders(app: &App, now: Now) {
    if !app.controller.end_lease(now) {
        return;
    }
    app.experiments.stop_ordered(SILENT);
    tracing::warn!("the controller fell silent; what it ordered ends");
    app.publisher.tell(EventKind::Controller, app.publisher.generation(), json!({ "state": "silent" }));
}

impl Publisher {
    /// The controller orders these rules and no others, and promises them for so long from `received` on. Rules that do not fit
    /// to the configuration are left out, each on its own, and say why. Nothing of it outlives the process. Blocks; does nothing
    /// when it is unwanted by the time that its turn comes. Gives whether anything changed.
    ///
    /// # Errors
    /// Nothing has changed then.
    pub(crate) fn order(
        &self,
        rules: Vec<RuleSpec>,
        lease: Duration,
        received: Now,
        is_unwanted: &AtomicBool,
    ) -> Result<bool, UpdateError> {
        let write = Write::ordered("order");
        let outcome = self.bring_about(&write, |draft| {
            // With the writer's lock: who gave up does not find the lease renewed, nor the rules in force.
            if !is_unwanted.load(Ordering::SeqCst) {
                self.renew(lease, received);
                draft.order(rules);
            }
            Ok(())
        })?;
        if outcome.changed {
            let ordered = &outcome.written.ordered;
            let names: Vec<&str> = ordered.in_force().map(|rule| rule.spec.name.as_str()).collect();
            self.tell(EventKind::Rule, outcome.generation, json!({ "action": "order", "rules": names, "shadow": [] }));
        }
        self.audit.flush();
        // The generation alone is to be written down; the next change that outlives the process brings it along.
        let _unwritten = self.keeper.flush();
        Ok(outcome.changed)
    }

    /// The controller answered: what it ordered holds for so long from then on.
    pub(super) fn renew(&self, lease: Duration, received: Now) {
        if self.controller.renew(lease, received) {
            tracing::info!(lease = ?lease, "connected with the controller");
            self.tell(EventKind::Controller, self.generation(), json!({ "state": "connected" }));
        }
        self.changed.deadlines.notify_one();
    }

    /// Whether there are rules in force whose controller is silent.
    pub(crate) fn has_silent_orders(&self, now: Now) -> bool {
        self.state().written.ordered.is_in_force() && !self.controller.holds(now)
    }

    /// Ends the rules of a controller that is silent. Waits for no disk. Blocks.
    pub(crate) fn drop_orders(&self) {
        let write = Write::ordered("silence");
        let dropped = self.bring_about(&write, |draft| {
            // It may have answered meanwhile.
            if !self.controller.holds(Now::read()) {
                draft.end_orders();
            }
            Ok(())
        });
        match dropped {
            Ok(outcome) if outcome.changed => {
                let rules = outcome.written.ordered.rules.iter().filter(|rule| rule.problem.is_none());
                let rules: Vec<&str> = rules.map(|rule| rule.spec.name.as_str()).collect();
                tracing::info!(?rules, generation = outcome.generation, "the rules of the controller ended");
                self.tell(EventKind::Expired, outcome.generation, json!({ "rules": rules }));
            }
            Ok(_) => {}
            Err(error) => {
                // Fewer rules cannot make a valid document invalid; if they do, no fault may outlive its promise.
                tracing::error!(error = %Chain(&error), "the rules of the controller could not be ended; all faults are halted");
                let reason = "the rules of the controller could not be ended";
                let _halted = self.switch(&Write::ordered("halt"), reason, Switch::Halt);
            }
        }
    }

    /// The controller halts all faults for this reason, or does not. What somebody else halted stays so. Waits for nothing; gives
    /// whether there is something to write down.
    pub(super) fn follow_halt(&self, reason: Option<&str>) -> bool {
        self.controller.set_halts(reason.is_some());
        let halt = self.view().halt;
        let by = || Write::ordered(if reason.is_some() { "halt" } else { "resume" });
        let moved = match (reason, halt) {
            (Some(reason), None) => {
                let reason =
                    if reason.is_empty() { HALT_PREFIX.to_owned() } else { format!("{HALT_PREFIX}: {reason}") };
                self.switch(&by(), &reason, Switch::Halt)
            }
            (None, Some(halt)) if halt.by_controller => {
                self.switch(&by(), &format!("{HALT_PREFIX} halts no more"), Switch::Resume)
            }
            _ => return false,
        };
        moved.inspect_err(|error| tracing::debug!(%error, "the kill switch stays where it is")).is_ok()
    }
}

#[cfg(test)]
#[path = "orders_tests.rs"]
mod tests;
