//! Which faults are on for one connection: decided once for each rule, applied and lifted as snapshots come and go.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use squall_config::model::{Delay, Fault, Name, Phase};
use squall_config::units::ByteRate;
use squall_fault::budget::{Budget, Permit};
use squall_fault::decide::{LatencyStream, decide_connection};
use squall_fault::meta::ConnectionMeta;
use squall_fault::plan::RuleIndex;
use squall_fault::snapshot::{CompiledListener, CompiledRule, RuleState, Snapshot};

use super::relay::RelayRecord;
use super::stream::{DelaySpec, StreamSpec};

/// The decisions of one connection.
///
/// A rule is the same in two snapshots when they share its [`RuleState`]. Its decision outlives halt and changes of its
/// definition: a picked connection gets what the rule says now, and a percentage that changes picks nobody anew.
#[derive(Debug, Default)]
pub(super) struct ConnectionFaults {
    records: Vec<Record>,
}

#[derive(Debug)]
struct Record {
    state: Arc<RuleState>,
    is_picked: bool,
    /// The kinds that were reported, each once for a connection.
    reported: Vec<&'static str>,
    /// Present while the rule is on.
    on: Option<On>,
}

/// A rule that is on.
#[derive(Debug)]
struct On {
    rule: Name,
    faults: Vec<Fault>,
    since: Instant,
    /// Response bytes that had passed then.
    passed_before: u64,
    /// Of the random stream of latencies.
    seed: u64,
    _permit: Permit,
}

/// The fault that decides how the connection ends: the first of the rules in order.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Terminal {
    /// RST at this moment.
    Reset { rule: Name, kind: &'static str, due: Instant },
    /// RST once so many response bytes have passed in all.
    ResetAfter { rule: Name, pass_until: u64 },
    /// Silence, at most until then.
    Blackhole { rule: Name, until: Option<Instant> },
}

/// All that is on, over all rules.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ActiveFaults {
    pub(super) terminal: Option<Terminal>,
    pub(super) request: StreamSpec,
    pub(super) response: StreamSpec,
}

/// What a decision looks at, besides the snapshot.
pub(super) struct Circumstances<'a> {
    pub(super) connection: ConnectionMeta<'a>,
    pub(super) budget: &'a Budget,
    pub(super) record: &'a dyn RelayRecord,
    /// Whether it was accepted just now: only then can it be refused.
    pub(super) is_new: bool,
    pub(super) response_passed: u64,
    pub(super) now: Instant,
}

impl ConnectionFaults {
    /// Decides the rules that are new to this connection, lifts those that have ended, and says what is on.
    pub(super) fn update(
        &mut self,
        snapshot: &Snapshot,
        listener: Option<&CompiledListener>,
        circumstances: &Circumstances<'_>,
    ) -> ActiveFaults {
        let rules: &[u16] = listener.map_or(&[], |listener| &listener.tcp_rules);
        if rules.is_empty() && self.records.is_empty() {
            return ActiveFaults::default();
        }
        // A decision is kept while its rule exists, though it be halted or disabled.
        self.records.retain(|record| snapshot.rules.iter().any(|rule| Arc::ptr_eq(&rule.state, &record.state)));
        self.lift_all_but(snapshot, rules);
        let mut active = ActiveFaults::default();
        for &index in rules {
            let Some(rule) = snapshot.rules.get(usize::from(index)) else { continue };
            let Some(record) = self.decided(snapshot, RuleIndex(index), rule, circumstances) else { continue };
            record.switch_on(snapshot, rule, circumstances);
            active.add(record, circumstances);
        }
        self.report_begun(&active, circumstances.record);
        active
    }

    /// Counts a fault at its first application.
    pub(super) fn report(&mut self, rule: &Name, kind: &'static str, to: &dyn RelayRecord) {
        let is_of = |record: &&mut Record| record.on.as_ref().is_some_and(|on| on.rule == *rule);
        let Some(record) = self.records.iter_mut().find(is_of) else { return };
        if record.reported.contains(&kind) {
            return;
        }
        if record.reported.is_empty() {
            record.state.injected.fetch_add(1, Ordering::Relaxed);
        }
        record.reported.push(kind);
        to.on_injected(rule, kind);
    }

    fn lift_all_but(&mut self, snapshot: &Snapshot, rules: &[u16]) {
        for record in self.records.iter_mut().filter(|record| record.on.is_some()) {
            let is_rule = |&index: &u16| {
                snapshot.rules.get(usize::from(index)).is_some_and(|rule| Arc::ptr_eq(&rule.state, &record.state))
            };
            if !rules.iter().any(is_rule) {
                record.on = None;
            }
        }
    }

    /// The decision on a rule, taken now if it was not before; `None` when there is nothing to decide.
    fn decided(
        &mut self,
        snapshot: &Snapshot,
        index: RuleIndex,
        rule: &CompiledRule,
        circumstances: &Circumstances<'_>,
    ) -> Option<&mut Record> {
        if let Some(known) = self.records.iter().position(|record| Arc::ptr_eq(&record.state, &rule.state)) {
            return self.records.get_mut(known);
        }
        let touches = |fault: &Fault| fault.applies_to_tcp() && (circumstances.is_new || *fault != Fault::Refuse);
        if !rule.rule.faults.iter().any(touches) {
            return None; // an open connection cannot be refused: it does not even count as matched
        }
        let plan = decide_connection(snapshot, index, &circumstances.connection);
        let record =
            Record { state: Arc::clone(&rule.state), is_picked: !plan.is_empty(), reported: Vec::new(), on: None };
        self.records.push(record);
        self.records.last_mut()
    }

    fn report_begun(&mut self, active: &ActiveFaults, to: &dyn RelayRecord) {
        if let Some(Terminal::Blackhole { rule, .. }) = &active.terminal {
            self.report(rule, "blackhole", to);
        }
        for spec in [&active.request, &active.response] {
            for delay in &spec.delays {
                self.report(&delay.rule, "delay", to);
            }
            if let Some((rule, _)) = &spec.throttle {
                self.report(rule, "throttle", to);
            }
        }
    }
}

impl Record {
    /// Turns a picked rule on, or gives it its new definition.
    fn switch_on(&mut self, snapshot: &Snapshot, rule: &CompiledRule, circumstances: &Circumstances<'_>) {
        if !self.is_picked {
            return;
        }
        if let Some(on) = &mut self.on {
            if on.faults != rule.rule.faults {
                on.faults.clone_from(&rule.rule.faults);
                on.since = circumstances.now;
                on.passed_before = circumstances.response_passed;
            }
            return;
        }
        let Some(permit) = circumstances.budget.reserve(&self.state) else {
            // Passes for good: a fault that begins when others end would be no fault of this connection's beginning.
            self.state.skipped_budget.fetch_add(1, Ordering::Relaxed);
            self.is_picked = false;
            return;
        };
        // The ordinal tells connections apart; the constant spreads it over the word (Weyl sequence, 2^64 / φ).
        let ordinal = self.state.matched.load(Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.on = Some(On {
            rule: rule.rule.name.clone(),
            faults: rule.rule.faults.clone(),
            since: circumstances.now,
            passed_before: circumstances.response_passed,
            seed: snapshot.seed ^ rule.stream ^ ordinal,
            _permit: permit,
        });
    }
}

impl ActiveFaults {
    fn add(&mut self, record: &Record, circumstances: &Circumstances<'_>) {
        let Some(on) = &record.on else { return };
        for fault in &on.faults {
            match fault {
                Fault::Delay(delay) => self.add_delay(on, delay),
                Fault::Throttle(throttle) => {
                    for phase in [Phase::Request, Phase::Response] {
                        if throttle.direction.is_none_or(|direction| direction == phase) {
                            self.spec_mut(phase).bound(&on.rule, throttle.rate);
                        }
                    }
                }
                terminal => {
                    if self.terminal.is_none() {
                        self.terminal = on.terminal(terminal, circumstances.is_new);
                    }
                }
            }
        }
    }

    fn add_delay(&mut self, on: &On, delay: &Delay) {
        // The two directions draw from streams of their own.
        let seed = on.seed ^ u64::from(delay.on == Phase::Response);
        self.spec_mut(delay.on).delays.push(DelaySpec { rule: on.rule.clone(), delay: delay.clone(), seed });
    }

    fn spec_mut(&mut self, phase: Phase) -> &mut StreamSpec {
        match phase {
            Phase::Request => &mut self.request,
            Phase::Response => &mut self.response,
        }
    }
}

impl StreamSpec {
    /// Of several throttles the slowest holds.
    fn bound(&mut self, rule: &Name, rate: ByteRate) {
        if self.throttle.as_ref().is_none_or(|(_, bound)| rate < *bound) {
            self.throttle = Some((rule.clone(), rate));
        }
    }
}

impl On {
    fn terminal(&self, fault: &Fault, is_new: bool) -> Option<Terminal> {
        let rule = self.rule.clone();
        match fault {
            Fault::Refuse if is_new => Some(Terminal::Reset { rule, kind: fault.kind(), due: self.since }),
            Fault::Reset(reset) if reset.after_bytes == 0 => {
                Some(Terminal::Reset { rule, kind: fault.kind(), due: self.since + self.own_delay() })
            }
            Fault::Reset(reset) => {
                Some(Terminal::ResetAfter { rule, pass_until: self.passed_before.saturating_add(reset.after_bytes) })
            }
            Fault::Blackhole(hole) => Some(Terminal::Blackhole { rule, until: hole.max.map(|max| self.since + max) }),
            _ => None,
        }
    }

    /// Delay first, then the terminal fault: the latency that comes before the reset in its rule puts it off.
    fn own_delay(&self) -> Duration {
        let draw = |fault: &Fault| match fault {
            Fault::Delay(delay) => LatencyStream::new(delay.clone(), self.seed).next_latency(),
            _ => Duration::ZERO,
        };
        self.faults.iter().take_while(|fault| !matches!(fault, Fault::Reset(_))).map(draw).sum()
    }
}
