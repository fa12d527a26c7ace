//! What happens to this request, to this connection? Pure, but for the counts of the rules that match.
//!
//! Rules are taken in order. Every rule that matches counts and draws, whatever other rules do, so that adding or
//! removing one rule never changes the outcome of another. The faults of the picked ones make up the plan:
//! * delays of the same phase add up;
//! * the first terminal fault (abort, reset, blackhole, refuse) wins; later ones are left out;
//! * what could not be reached any more is left out: after a terminal fault of the request phase everything, after
//!   one of the response phase the delays of later rules in that phase.

use std::sync::atomic::Ordering::Relaxed;

use squall_config::model::{Fault, Phase};
use squall_config::pattern::Pattern;

use crate::draw::{Draw, Picker};
use crate::matcher::{match_connection, match_request};
use crate::meta::{ConnectionMeta, RequestMeta};
use crate::plan::{FaultPlan, RuleIndex, Step};
use crate::snapshot::{CompiledListener, CompiledRule, Snapshot};

pub use crate::draw::LatencyStream;

/// Decides once for one request.
pub fn decide_request(snapshot: &Snapshot, listener: &CompiledListener, request: &RequestMeta<'_>) -> FaultPlan {
    let mut planning = Planning::default();
    if listener.http_rules.is_empty() {
        return planning.plan;
    }
    let mut exclusion = Exclusion::new(snapshot, request.path);
    for index in listener.index.candidates(request.path, request.headers) {
        let rule = &snapshot.rules[usize::from(index)];
        if match_request(rule, request).is_err() {
            continue;
        }
        if exclusion.spares(rule) {
            rule.state.skipped_excluded_path.fetch_add(1, Relaxed);
            continue;
        }
        let ordinal = rule.state.matched.fetch_add(1, Relaxed);
        let Some(draw) = rule.picker(snapshot.seed).pick(ordinal) else { continue };
        if planning.add_http(RuleIndex(index), rule, draw).is_err() {
            rule.state.skipped_plan_full.fetch_add(1, Relaxed);
        }
    }
    planning.plan
}

/// Decides for one connection and one rule (a connection decides anew for each rule that appears while it is open,
/// and never twice for the same one). `rule` is one of the listener's `tcp_rules`; any other gives the empty plan.
/// Steps of delays carry no latency: a stream draws it for each chunk.
///
/// Faults after one that ends the connection at once are left out; a reset after some bytes does not.
pub fn decide_connection(snapshot: &Snapshot, rule: RuleIndex, connection: &ConnectionMeta<'_>) -> FaultPlan {
    let mut plan = FaultPlan::EMPTY;
    let Some(compiled) = snapshot.rules.get(usize::from(rule.0)) else { return plan };
    let is_candidate = !snapshot.halted && compiled.rule.enabled && !compiled.rule.matches.needs_http();
    if !is_candidate || match_connection(&compiled.rule.matches, connection).is_err() {
        return plan;
    }
    let ordinal = compiled.state.matched.fetch_add(1, Relaxed);
    if compiled.picker(snapshot.seed).pick(ordinal).is_none() {
        return plan;
    }
    for (fault, kind) in (0..=u8::MAX).zip(&compiled.rule.faults).filter(|(_, kind)| kind.applies_to_tcp()) {
        if !plan.push(Step { rule, fault, delay_us: 0 }) {
            compiled.state.skipped_plan_full.fetch_add(1, Relaxed);
            return FaultPlan::EMPTY;
        }
        if ends_connection_at_once(kind) {
            break;
        }
    }
    plan
}

fn ends_connection_at_once(fault: &Fault) -> bool {
    match fault {
        Fault::Refuse | Fault::Blackhole(_) => true,
        Fault::Reset(reset) => reset.after_bytes == 0,
        Fault::Delay(_) | Fault::Throttle(_) | Fault::Abort(_) => false,
    }
}

/// The terminal phase of a fault of an HTTP exchange; `None` when the exchange goes on after it.
pub(crate) fn ends_exchange(fault: &Fault) -> Option<Phase> {
    match fault {
        Fault::Abort(_) | Fault::Blackhole(_) | Fault::Refuse => Some(Phase::Request),
        Fault::Reset(reset) => Some(reset.on),
        Fault::Delay(_) | Fault::Throttle(_) => None,
    }
}

impl CompiledRule {
    pub(crate) fn picker(&self, seed: u64) -> Picker<'_> {
        Picker { seed, stream: self.stream, sample: &self.rule.sample, percentage: self.rule.percentage }
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
    /// Adds what can still be reached of a picked rule's faults, or nothing. Latencies are drawn even when they are
    /// left out: the n-th value belongs to the n-th delay.
    pub(crate) fn add_http(&mut self, index: RuleIndex, rule: &CompiledRule, mut draw: Draw) -> Result<(), PlanFull> {
        let mut next = *self;
        for (fault, kind) in (0..=u8::MAX).zip(&rule.rule.faults).filter(|(_, kind)| kind.applies_to_http()) {
            let mut step = Step { rule: index, fault, delay_us: 0 };
            if let Fault::Delay(delay) = kind {
                step.delay_us = u32::try_from(draw.latency(delay).as_micros()).unwrap_or(u32::MAX);
            }
            if next.is_reachable(kind) {
                if !next.plan.push(step) {
                    return Err(PlanFull);
                }
                next.end = next.end.or(ends_exchange(kind));
            }
        }
        *self = next;
        Ok(())
    }

    fn is_reachable(&self, fault: &Fault) -> bool {
        match (self.end, fault) {
            (None, _) => true,
            (Some(Phase::Response), Fault::Delay(delay)) => delay.on == Phase::Request,
            (Some(_), _) => false,
        }
    }
}

/// Whether the path of a request is excluded from faults; looked up when the first rule matches, not before.
#[derive(Debug)]
pub(crate) struct Exclusion<'a> {
    paths: &'a [String],
    path: &'a str,
    is_excluded: Option<bool>,
}

impl<'a> Exclusion<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot, path: &'a str) -> Self {
        Self { paths: &snapshot.config.limits.exclude_paths, path, is_excluded: None }
    }

    /// Whether the exclusion keeps this rule, which matches, from the request: unless it names the path exactly.
    pub(crate) fn spares(&mut self, rule: &CompiledRule) -> bool {
        let is_excluded = *self.is_excluded.get_or_insert_with(|| self.paths.iter().any(|path| path == self.path));
        is_excluded && !matches!(rule.rule.matches.path, Some(Pattern::Exact(_)))
    }
}

#[cfg(test)]
#[path = "decide_tests.rs"]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests;
