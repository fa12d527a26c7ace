//! Which faults are on for one connection: decided once for each rule, applied and lifted as snapshots come and go.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use squall_config::model::{Fault, Mode, Name};
use squall_fault::budget::Budget;
use squall_fault::decide::{decide_connection, decide_tunnel};
use squall_fault::meta::{ConnectionMeta, TunnelMeta};
use squall_fault::plan::{FaultPlan, RuleIndex};
use squall_fault::snapshot::{CompiledListener, CompiledRule, RuleState, Snapshot};

use super::active::{ActiveFaults, On, Passed, Terminal};
use super::record::RelayRecord;

/// The decisions of one connection.
///
/// A rule is the same in two snapshots when they share its [`RuleState`]. Its decision outlives halt and changes of its
/// definition: a picked connection gets what the rule says now, and a percentage that changes picks nobody anew.
#[derive(Debug, Default)]
pub(super) struct ConnectionFaults {
    decisions: Vec<Decision>,
    /// Whether it counts as faulted in the share of the traffic: once, however many rules pick it.
    is_counted: bool,
}

/// What was decided on one rule, and what came of it.
#[derive(Debug)]
struct Decision {
    state: Arc<RuleState>,
    is_picked: bool,
    /// The kinds that were reported, each once for a connection.
    reported: Vec<&'static str>,
    /// Present while the rule is on.
    on: Option<On>,
}

/// What a decision looks at, besides the snapshot.
pub(super) struct Circumstances<'a> {
    pub(super) subject: Subject<'a>,
    pub(super) budget: &'a Budget,
    pub(super) record: &'a dyn RelayRecord,
    /// Whether it was accepted just now: only then can it be refused.
    pub(super) is_new: bool,
    pub(super) passed: Passed,
    pub(super) now: Instant,
}

/// What is decided about.
pub(super) enum Subject<'a> {
    Connection(ConnectionMeta<'a>),
    Tunnel(TunnelMeta<'a>),
}

impl Subject<'_> {
    /// The rules that can match it.
    fn rules<'l>(&self, listener: Option<&'l CompiledListener>) -> &'l [RuleIndex] {
        match (self, listener) {
            (_, None) => &[],
            (Self::Connection(_), Some(listener)) => &listener.tcp_rules,
            (Self::Tunnel(_), Some(listener)) => &listener.tunnel_rules,
        }
    }

    fn decide(&self, snapshot: &Snapshot, listener: &CompiledListener, rule: RuleIndex) -> FaultPlan {
        match self {
            Self::Connection(connection) => decide_connection(snapshot, listener, rule, connection),
            Self::Tunnel(tunnel) => decide_tunnel(snapshot, listener, rule, tunnel),
        }
    }
}

impl ConnectionFaults {
    /// Decides the rules that are new to this connection, lifts those that have ended, and says what is on; `None` when
    /// nothing is and nothing was.
    pub(super) fn update(
        &mut self,
        snapshot: &Snapshot,
        listener: Option<&CompiledListener>,
        circumstances: &Circumstances<'_>,
    ) -> Option<ActiveFaults> {
        let rules = circumstances.subject.rules(listener);
        if rules.is_empty() && self.decisions.is_empty() {
            return None;
        }
        // A decision is kept while its rule exists, though it be halted or disabled.
        self.decisions.retain(|decision| snapshot.rules.iter().any(|rule| Arc::ptr_eq(&rule.state, &decision.state)));
        self.lift_all_but(snapshot, rules);
        let mut active = ActiveFaults::default();
        // Without a listener there are no rules.
        let Some(listener) = listener else { return Some(active) };
        for &index in rules {
            let rule = snapshot.rule(index);
            let is_counted = self.is_counted;
            let Some(decision) = self.decided(snapshot, listener, index, circumstances) else { continue };
            decision.switch_on(snapshot, rule, circumstances, is_counted);
            if let Some(on) = &decision.on {
                active.add(on, circumstances.is_new);
                self.is_counted = true;
            }
        }
        self.report_begun(&active, circumstances.record);
        Some(active)
    }

    /// Counts a fault at its first application.
    pub(super) fn report(&mut self, rule: &Name, kind: &'static str, to: &dyn RelayRecord) {
        let is_of = |decision: &&mut Decision| decision.on.as_ref().is_some_and(|on| on.rule == *rule);
        let Some(decision) = self.decisions.iter_mut().find(is_of) else { return };
        if decision.reported.contains(&kind) {
            return;
        }
        if decision.reported.is_empty() {
            decision.state.injected.fetch_add(1, Ordering::Relaxed);
        }
        decision.reported.push(kind);
        to.on_injected(rule, kind);
    }

    /// Notes when that came which a fault of this rule waited for.
    pub(super) fn data_came(&mut self, rule: &Name, now: Instant) {
        for on in self.decisions.iter_mut().filter_map(|decision| decision.on.as_mut()).filter(|on| on.rule == *rule) {
            on.data_since = Some(now);
        }
    }

    fn lift_all_but(&mut self, snapshot: &Snapshot, rules: &[RuleIndex]) {
        for decision in self.decisions.iter_mut().filter(|decision| decision.on.is_some()) {
            let is_rule = |index: &RuleIndex| Arc::ptr_eq(&snapshot.rule(*index).state, &decision.state);
            if !rules.iter().any(is_rule) {
                decision.on = None;
            }
        }
    }

    /// The decision on a rule, taken now if it was not before; `None` when there is nothing to decide.
    fn decided(
        &mut self,
        snapshot: &Snapshot,
        listener: &CompiledListener,
        index: RuleIndex,
        circumstances: &Circumstances<'_>,
    ) -> Option<&mut Decision> {
        let rule = snapshot.rule(index);
        if let Some(known) = self.decisions.iter().position(|decision| Arc::ptr_eq(&decision.state, &rule.state)) {
            return self.decisions.get_mut(known);
        }
        let touches = |fault: &Fault| fault.applies_to_tcp() && (circumstances.is_new || *fault != Fault::Refuse);
        if !rule.rule.faults.iter().any(touches) {
            return None; // an open connection cannot be refused: it does not even count as matched
        }
        let plan = circumstances.subject.decide(snapshot, listener, index);
        if rule.rule.mode == Mode::Shadow && !plan.is_empty() {
            circumstances.record.on_shadow(&rule.rule.name);
        }
        let decision =
            Decision { state: Arc::clone(&rule.state), is_picked: !plan.is_empty(), reported: Vec::new(), on: None };
        self.decisions.push(decision);
        self.decisions.last_mut()
    }

    fn report_begun(&mut self, active: &ActiveFaults, to: &dyn RelayRecord) {
        for Terminal { rule, kind, .. } in active.terminals.iter().filter(|terminal| terminal.has_begun()) {
            self.report(rule, kind, to);
        }
        if let Some(delay) = &active.connect {
            self.report(&delay.rule, "delay", to);
        }
        for spec in [&active.request, &active.response] {
            for (rule, kind) in spec.kinds() {
                self.report(rule, kind, to);
            }
        }
    }
}

impl Decision {
    /// Turns a picked rule on, or gives it its new definition. In shadow mode it is off.
    fn switch_on(
        &mut self,
        snapshot: &Snapshot,
        rule: &CompiledRule,
        circumstances: &Circumstances<'_>,
        is_counted: bool,
    ) {
        if !self.is_picked {
            return;
        }
        if rule.rule.mode == Mode::Shadow {
            self.on = None;
            return;
        }
        if let Some(on) = &mut self.on {
            if on.faults != rule.rule.faults {
                on.faults.clone_from(&rule.rule.faults);
                on.since = circumstances.now;
                on.data_since = None;
                on.passed_before = circumstances.passed;
            }
            return;
        }
        let Some(permit) = circumstances.budget.reserve(&self.state) else {
            // Passes for good: a fault that begins when others end would be no fault of this connection's beginning.
            self.state.skipped_budget.fetch_add(1, Ordering::Relaxed);
            self.is_picked = false;
            return;
        };
        if !is_counted && !circumstances.budget.admit(circumstances.now) {
            self.state.skipped_traffic_share.fetch_add(1, Ordering::Relaxed);
            self.is_picked = false;
            return;
        }
        // The ordinal tells connections apart; the constant spreads it over the word (Weyl sequence, 2^64 / φ).
        let ordinal = self.state.matched.load(Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.on = Some(On {
            rule: rule.rule.name.clone(),
            faults: rule.rule.faults.clone(),
            since: circumstances.now,
            is_from_start: circumstances.is_new,
            data_since: None,
            passed_before: circumstances.passed,
            seed: snapshot.seed ^ rule.stream ^ ordinal,
            _permit: permit,
        });
    }
}
