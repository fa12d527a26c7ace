//! What happens to this request, to this connection? Pure, but for the counts of the rules that match.
//!
//! Rules are taken in order. Every rule that matches counts and draws, whatever other rules do, so that adding or
//! removing one rule never changes the outcome of another. The faults of the picked ones make up the plan:
//! * delays of the same phase add up;
//! * the first terminal fault (abort, reset, blackhole, truncate, …) wins; later ones are left out;
//! * what could not be reached any more is left out: after a terminal fault of the request phase everything, after
//!   one of the response phase what later rules have in that phase.
//!
//! A rule in shadow mode matches, counts and draws like any other, and adds nothing to the plan: other rules fare as if it
//! were not there.

use std::net::IpAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use squall_config::model::{
    Amount, Delay, Fault, Limits, Mode, Phase, Requested, ResetMoment, Stage, TlsFault, UpgradeMatch,
};
use squall_config::pattern::Pattern;
use squall_config::units::Percentage;

use crate::draw::{Draw, Picker};
use crate::matcher::{is_source, match_connection, match_request};
use crate::meta::{ConnectionMeta, RequestMeta, TunnelMeta};
use crate::plan::{FaultPlan, RuleIndex, Step};
use crate::requested::{Asking, asked};
use crate::sample::Asker;
use crate::snapshot::{CompiledListener, CompiledRule, Snapshot};

pub use crate::draw::LatencyStream;

/// What is decided about one request.
#[derive(Clone, Debug, Default)]
#[must_use = "what was decided, and counted, is to be applied"]
pub struct Decision {
    /// What is injected.
    pub plan: FaultPlan,
    /// The rules in shadow mode that would have injected something, in order.
    pub shadows: Vec<RuleIndex>,
    /// The first rule of an experiment that the request matched and was not kept from, picked or not. Whether the experiment
    /// has a part in the plan, or in what becomes of it, says [`Snapshot::has_part_of_experiment`].
    pub experiment: Option<RuleIndex>,
}

/// Decides once for one request.
pub fn decide_request(snapshot: &Snapshot, listener: &CompiledListener, request: &RequestMeta<'_>) -> Decision {
    let mut planning = Planning::default();
    let (mut shadows, mut experiment) = (Vec::new(), None);
    if listener.http_rules.is_empty() {
        return Decision::default();
    }
    let mut exclusion = Exclusion::new(snapshot, listener, request.path);
    for index in listener.index.candidates(request.path, request.headers) {
        let rule = snapshot.rule(index);
        if match_request(rule, request).is_err() {
            continue;
        }
        if let Some(spared) = exclusion.spares(rule) {
            spared.count(rule);
            continue;
        }
        let ordinal = rule.state.matched.fetch_add(1, Relaxed);
        if rule.rule.experiment.is_some() {
            experiment.get_or_insert(index);
        }
        let Some(draw) = rule.pick(snapshot, Asker::Request(request), ordinal) else { continue };
        let asking = Asking { headers: request.headers, cluster: listener.listener.cluster.as_str() };
        let Ok(next) = planning.with_http(index, rule, draw, asking) else {
            rule.state.skipped_plan_full.fetch_add(1, Relaxed);
            continue;
        };
        match rule.rule.mode {
            Mode::Inject => planning = next,
            Mode::Shadow if next.plan.steps().len() > planning.plan.steps().len() => {
                rule.state.skipped_shadow.fetch_add(1, Relaxed);
                shadows.push(index);
            }
            Mode::Shadow => {}
        }
    }
    let decision = Decision { plan: planning.plan, shadows, experiment };
    decision.check_invariants(snapshot, listener);
    decision
}

impl Decision {
    /// What holds of whatever was decided; looked at in debug builds alone.
    fn check_invariants(&self, snapshot: &Snapshot, listener: &CompiledListener) {
        let (steps, shadows) = (self.plan.steps(), &self.shadows);
        debug_assert!(
            steps.is_sorted_by(|a, b| (a.rule, a.fault) < (b.rule, b.fault)),
            "each fault is planned once, in the order of the rules and of their faults"
        );
        debug_assert!(
            steps.iter().all(|step| listener.http_rules.contains(&step.rule)
                && snapshot.step_rule(*step).rule.mode == Mode::Inject
                && snapshot.step_fault(*step).applies_to_http()),
            "only rules of this listener inject, and only what HTTP can have"
        );
        debug_assert!(
            steps.iter().filter(|step| snapshot.step_fault(**step).ends().is_some()).count() <= 1,
            "one fault at most ends an exchange"
        );
        debug_assert!(
            shadows.is_sorted_by(|a, b| a < b)
                && shadows.iter().all(|rule| snapshot.rule(*rule).rule.mode == Mode::Shadow),
            "each rule in shadow mode is told of once, and no other"
        );
        debug_assert!(
            self.experiment.is_none_or(|rule| snapshot.rule(rule).rule.experiment.is_some()),
            "an experiment has rules of its own"
        );
    }
}

/// Decides for one connection and one rule (a connection decides anew for each rule that appears while it is open,
/// and never twice for the same one). `rule` is one of the listener's `tcp_rules`; any other of the snapshot gives the empty plan.
/// Steps of delays carry no latency: a stream draws it for each chunk.
///
/// Faults after one that ends the connection at once are left out; a reset after some bytes does not. Of a rule in shadow
/// mode this is what would be injected, and counts as such; nothing of it is, for as long as the rule is in that mode.
pub fn decide_connection(
    snapshot: &Snapshot,
    listener: &CompiledListener,
    rule: RuleIndex,
    connection: &ConnectionMeta<'_>,
) -> FaultPlan {
    decide_stream(snapshot, rule, Asker::Connection(connection.source), listener.is_protected, |compiled| {
        !compiled.rule.matches.needs_http() && match_connection(&compiled.rule.matches, connection).is_ok()
    })
}

/// Decides for one handshake of a client: the rule whose fault it meets, and that fault. Every rule that matches counts
/// and draws; the first that is picked wins.
pub fn decide_handshake(
    snapshot: &Snapshot,
    listener: &CompiledListener,
    source: IpAddr,
    mut in_shadow: impl FnMut(&CompiledRule),
) -> Option<(RuleIndex, TlsFault)> {
    let mut decided = None;
    for &index in &listener.tls_rules {
        let compiled = snapshot.rule(index);
        if !is_source(&compiled.rule.matches.source, source) {
            continue;
        }
        if listener.is_protected {
            Spared::Protected.count(compiled);
            continue;
        }
        let ordinal = compiled.state.matched.fetch_add(1, Relaxed);
        let is_picked = compiled.picker(snapshot.seed).pick(ordinal).is_some();
        let fault = compiled.rule.faults.iter().find_map(|fault| match fault {
            Fault::Tls(fault) => Some(*fault),
            _ => None,
        });
        match (compiled.rule.mode, fault.filter(|_| is_picked && decided.is_none())) {
            (_, None) => {}
            (Mode::Inject, Some(fault)) => decided = Some((index, fault)),
            (Mode::Shadow, Some(_)) => {
                compiled.state.skipped_shadow.fetch_add(1, Relaxed);
                in_shadow(compiled);
            }
        }
    }
    decided
}

/// [`decide_connection`] for what flows in a tunnel. `rule` is one of the listener's `tunnel_rules`.
pub fn decide_tunnel(
    snapshot: &Snapshot,
    listener: &CompiledListener,
    rule: RuleIndex,
    tunnel: &TunnelMeta<'_>,
) -> FaultPlan {
    let protected = &snapshot.config.limits.blast_radius.protected;
    let is_protected = listener.is_protected || protected.has_path(tunnel.request.path);
    decide_stream(snapshot, rule, Asker::Request(&tunnel.request), is_protected, |compiled| {
        let is_protocol = match &compiled.rule.matches.upgrade {
            None => false,
            Some(UpgradeMatch::Any) => true,
            Some(UpgradeMatch::Protocol(protocol)) => protocol == tunnel.protocol,
        };
        is_protocol && match_request(compiled, &tunnel.request).is_ok()
    })
}

fn decide_stream(
    snapshot: &Snapshot,
    rule: RuleIndex,
    asker: Asker<'_>,
    is_protected: bool,
    matches: impl FnOnce(&CompiledRule) -> bool,
) -> FaultPlan {
    let mut plan = FaultPlan::EMPTY;
    let compiled = snapshot.rule(rule);
    if snapshot.halted || !compiled.rule.enabled || !matches(compiled) {
        return plan;
    }
    if is_protected {
        Spared::Protected.count(compiled);
        return plan;
    }
    let ordinal = compiled.state.matched.fetch_add(1, Relaxed);
    let Some(mut draw) = compiled.pick(snapshot, asker, ordinal) else { return plan };
    for (fault, kind) in (0..=u8::MAX).zip(&compiled.rule.faults).filter(|(_, kind)| kind.applies_to_tcp()) {
        let drawn = if matches!(kind, Fault::Delay(_)) { 0 } else { drawn(&mut draw, kind) };
        if !plan.push(Step { rule, fault, drawn }) {
            compiled.state.skipped_plan_full.fetch_add(1, Relaxed);
            return FaultPlan::EMPTY;
        }
        if ends_connection_at_once(kind) {
            break;
        }
    }
    debug_assert!(
        plan.steps().is_sorted_by(|a, b| a.fault < b.fault) && plan.steps().iter().all(|step| step.rule == rule),
        "a stream is decided rule by rule, each of its faults once"
    );
    if compiled.rule.mode == Mode::Shadow && !plan.is_empty() {
        compiled.state.skipped_shadow.fetch_add(1, Relaxed);
    }
    plan
}

fn ends_connection_at_once(fault: &Fault) -> bool {
    match fault {
        Fault::Refuse => true,
        Fault::Blackhole(hole) => hole.direction.is_none(),
        Fault::Reset(reset) => {
            matches!(reset.moment, ResetMoment::Request | ResetMoment::Response { after_bytes: 0 })
        }
        _ => false,
    }
}

/// What a fault needs of chance.
fn drawn(draw: &mut Draw, fault: &Fault) -> u32 {
    match fault {
        Fault::Delay(Delay { amount: Amount::Drawn(latency), max, .. }) => micros(draw.latency(latency, *max)),
        Fault::Delay(Delay { amount: Amount::AtLeast(floor), max, .. }) => micros((*floor).min(*max)),
        Fault::Corrupt(_) | Fault::Slice(_) | Fault::Malformed(_) => draw.seed(),
        _ => 0,
    }
}

fn micros(latency: Duration) -> u32 {
    u32::try_from(latency.as_micros()).unwrap_or(u32::MAX)
}

impl CompiledRule {
    pub(crate) fn picker(&self, seed: u64) -> Picker<'_> {
        // What callers ask for rolls for each wish on its own, since they may ask for less than the rule allows.
        let rolls_later = matches!(self.rule.faults.first(), Some(Fault::Requested(_)));
        let percentage = if rolls_later { Percentage::ALWAYS } else { self.rule.percentage };
        Picker { seed, stream: self.stream, sample: &self.rule.sample, percentage }
    }

    /// What of a fault is asked for, when the dice allow it: at most for the share of the rule.
    fn granted(&self, requested: &Requested, draw: &mut Draw, asking: Asking<'_>) -> Option<u32> {
        let asked = asked(requested, asking);
        let share = asked.and_then(|asked| asked.share);
        let share = share.map_or(self.rule.percentage, |share| share.min(self.rule.percentage));
        // The n-th value belongs to the n-th wish, whether or not it is asked for.
        let falls_below = draw.falls_below(share);
        asked.filter(|_| falls_below).map(|asked| asked.value)
    }
}

/// A plan in the making.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Planning {
    pub(crate) plan: FaultPlan,
    /// The phase in which the terminal fault of the plan ends the exchange.
    end: Option<Phase>,
}

/// There was no room for all faults of the rule, so none was added.
#[derive(Debug)]
pub(crate) struct PlanFull;

impl Planning {
    /// With what can still be reached of a picked rule's faults. Latencies are drawn even when they are
    /// left out: the n-th value belongs to the n-th delay.
    pub(crate) fn with_http(
        &self,
        index: RuleIndex,
        rule: &CompiledRule,
        mut draw: Draw,
        asking: Asking<'_>,
    ) -> Result<Self, PlanFull> {
        let mut next = *self;
        for (fault, kind) in (0..=u8::MAX).zip(&rule.rule.faults).filter(|(_, kind)| kind.applies_to_http()) {
            let drawn = match kind {
                Fault::Requested(requested) => match rule.granted(requested, &mut draw, asking) {
                    Some(value) => value,
                    None => continue,
                },
                _ => drawn(&mut draw, kind),
            };
            let step = Step { rule: index, fault, drawn };
            if next.is_reachable(kind) {
                if !next.plan.push(step) {
                    return Err(PlanFull);
                }
                next.end = next.end.or(kind.ends());
            }
        }
        Ok(next)
    }

    fn is_reachable(&self, fault: &Fault) -> bool {
        match self.end {
            None => true,
            Some(Phase::Response) => matches!(fault.stage(), Stage::RequestDelay | Stage::Alter),
            Some(Phase::Request) => false,
        }
    }
}

/// Why a rule that matches leaves a request alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spared {
    /// The cluster or the path is protected from every rule.
    Protected,
    /// The path is excluded from faults, and the rule does not name it exactly.
    ExcludedPath,
}

impl Spared {
    fn count(self, rule: &CompiledRule) {
        let count = match self {
            Self::Protected => &rule.state.skipped_protected,
            Self::ExcludedPath => &rule.state.skipped_excluded_path,
        };
        count.fetch_add(1, Relaxed);
    }
}

/// Whether a request is kept from faults; looked up when the first rule matches, not before.
#[derive(Debug)]
pub(crate) struct Exclusion<'a> {
    limits: &'a Limits,
    is_cluster_protected: bool,
    path: &'a str,
    found: Option<Option<Spared>>,
}

impl<'a> Exclusion<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot, listener: &CompiledListener, path: &'a str) -> Self {
        let limits = &snapshot.config.limits;
        Self { limits, is_cluster_protected: listener.is_protected, path, found: None }
    }

    /// Why this rule, which matches, leaves the request alone, if it does.
    pub(crate) fn spares(&mut self, rule: &CompiledRule) -> Option<Spared> {
        let found = match self.found {
            Some(found) => found,
            None => *self.found.insert(self.look_up()),
        };
        let names_it = || matches!(rule.rule.matches.path, Some(Pattern::Exact(_)));
        found.filter(|spared| *spared == Spared::Protected || !names_it())
    }

    fn look_up(&self) -> Option<Spared> {
        if self.is_cluster_protected || self.limits.blast_radius.protected.has_path(self.path) {
            return Some(Spared::Protected);
        }
        self.limits.exclude_paths.iter().any(|path| path == self.path).then_some(Spared::ExcludedPath)
    }
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "radius_tests.rs"]
mod radius_tests;
