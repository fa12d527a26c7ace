//! The decided faults of one exchange: what of them is due, and what of it was applied.
//!
//! In order of application: [`delay`], [`alter`] (the request), [`instead`] (of the upstream), [`duplicate`], then, once
//! there is an answer, [`behind`] and [`body`].

mod alter;
mod behind;
pub(crate) mod body;
pub(crate) mod delay;
pub(crate) mod duplicate;
mod ending;
pub(crate) mod instead;
mod messages;
mod of_body;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use http::HeaderValue;
use squall_config::model::{Fault, Stage};
use squall_fault::budget::{Budget, Permit};
use squall_fault::decide::{Decision, decide_request};
use squall_fault::grpc::is_grpc;
use squall_fault::meta::RequestMeta;
use squall_fault::plan::{FaultPlan, RuleIndex, Step};
use squall_fault::snapshot::{CompiledRule, RuleState, Snapshot};

use crate::downstream::Downstream;
use crate::telemetry::access_log::InjectedFault;
use crate::telemetry::shard::{FaultKey, FaultShard};
use crate::view::ListenerView;

/// The header that tells an injected fault from a real one.
const FAULT_HEADER: &str = "x-squall-fault";

/// The decided faults of one exchange, and what of them was applied.
#[derive(Debug)]
pub(crate) struct Faults {
    snapshot: Arc<Snapshot>,
    steps: Vec<Step>,
    /// Count the exchange as held by its rules until it ends.
    _permits: Vec<Permit>,
    applied: Vec<InjectedFault>,
    latency: Duration,
    is_grpc: bool,
    /// Whether an HTTP/1 connection says that it closes.
    closes: bool,
}

/// Where the exchange is: what applying a fault needs beside the fault.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) downstream: &'a Downstream,
    pub(crate) listener: &'a ListenerView,
}

/// What came of the decision about an exchange.
#[derive(Debug)]
pub(crate) struct Decided {
    /// What is to be injected, if anything is.
    pub(crate) faults: Option<Box<Faults>>,
    /// The rules in shadow mode that would have injected something.
    pub(crate) shadows: Vec<RuleIndex>,
    pub(crate) experiment: Option<OfExperiment>,
}

/// What an experiment has to do with an exchange.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OfExperiment {
    /// The first of its rules that matched.
    pub(crate) rule: RuleIndex,
    /// Whether it has a part in the faults.
    pub(crate) is_picked: bool,
}

/// Decides, and takes what the decision needs from the budget.
pub(crate) fn decide(listener: &ListenerView, request: &RequestMeta<'_>, budget: &Budget) -> Decided {
    let Decision { plan, shadows, experiment } = decide_request(&listener.snapshot, &listener.compiled, request);
    let faults = if plan.is_empty() { None } else { admit(listener, request, &plan, budget) };
    let is_picked = |rule| faults.as_ref().is_some_and(|f| listener.snapshot.has_part_of_experiment(rule, &f.steps));
    let experiment = experiment.map(|rule| OfExperiment { rule, is_picked: is_picked(rule) });
    Decided { faults, shadows, experiment }
}

/// What of a plan the budget has room for.
fn admit(listener: &ListenerView, request: &RequestMeta<'_>, plan: &FaultPlan, budget: &Budget) -> Option<Box<Faults>> {
    let snapshot = &listener.snapshot;
    let (mut steps, mut permits, mut refused) = (Vec::new(), Vec::new(), None);
    let (mut admitted, mut may_fault) = (None, None);
    for step in plan.steps() {
        if admitted != Some(step.rule) && refused != Some(step.rule) {
            let state = &snapshot.step_rule(*step).state;
            let skipped = match budget.reserve(state) {
                // The exchange counts once, however many rules picked it.
                Some(permit) if *may_fault.get_or_insert_with(|| budget.admit(Instant::now())) => {
                    permits.push(permit);
                    admitted = Some(step.rule);
                    None
                }
                Some(_) => Some(&state.skipped_traffic_share),
                None => Some(&state.skipped_budget),
            };
            if let Some(skipped) = skipped {
                skipped.fetch_add(1, Relaxed);
                refused = Some(step.rule);
            }
        }
        if admitted == Some(step.rule) {
            steps.push(*step);
        }
    }
    debug_assert_eq!(plan.rules().filter(|rule| steps.iter().any(|step| step.rule == *rule)).count(), permits.len());
    (!steps.is_empty()).then(|| {
        Box::new(Faults {
            snapshot: Arc::clone(snapshot),
            applied: Vec::with_capacity(steps.len()),
            steps,
            _permits: permits,
            latency: Duration::ZERO,
            is_grpc: is_grpc(request.headers),
            closes: false,
        })
    })
}

impl Faults {
    pub(crate) fn applied(&self) -> &[InjectedFault] {
        &self.applied
    }

    /// All latency that was added until now; also when downstream left in the middle of it.
    pub(crate) fn latency(&self) -> Duration {
        let running = self.applied.iter().filter_map(|fault| fault.latency.as_ref()?.running());
        self.latency + running.max().unwrap_or_default()
    }

    /// Names what was applied in the head of the answer.
    pub(crate) fn mark(&self, downstream: &Downstream, headers: &mut http::HeaderMap) {
        if self.closes {
            downstream.close_after(headers);
        }
        for value in self.marks() {
            headers.append(FAULT_HEADER, value);
        }
    }

    /// The values of the header that names what was applied; none when it is switched off.
    fn marks(&self) -> impl Iterator<Item = HeaderValue> + '_ {
        let applied: &[InjectedFault] = if self.snapshot.config.fault_header { &self.applied } else { &[] };
        let value = |f: &InjectedFault| HeaderValue::try_from(format!("rule={}; kind={}", f.rule, f.kind)).ok();
        applied.iter().filter_map(value)
    }

    fn rule(&self, step: Step) -> &CompiledRule {
        self.snapshot.step_rule(step)
    }

    fn state(&self, step: Step) -> Arc<RuleState> {
        Arc::clone(&self.rule(step).state)
    }

    fn fault(&self, step: Step) -> &Fault {
        self.snapshot.step_fault(step)
    }

    /// The steps of a stage whose rules are still on: a rule that ended since the decision does nothing any more.
    fn due(&self, stage: Stage, downstream: &Downstream) -> Vec<Step> {
        let of_stage = self.steps.iter().copied().filter(|step| self.fault(*step).stage() == stage);
        let latest = downstream.worker.latest_snapshot();
        of_stage.filter(|step| latest.is_active(&self.rule(*step).state)).collect()
    }

    /// Counts a fault as applied; the rule counts the exchange once, however many of its faults are.
    fn inject(&mut self, place: Place<'_>, step: Step) -> Arc<FaultShard> {
        let (rule, kind) = (&self.rule(step).rule.name, self.fault(step).kind());
        let key = FaultKey { rule: rule.clone(), kind, listener: place.listener.key.clone() };
        let shard = place.downstream.worker.shard().fault(&key);
        // A fault of both directions is applied twice.
        if self.applied.iter().any(|fault| fault.rule == rule.as_str() && fault.kind == kind) {
            return shard;
        }
        if self.applied.iter().all(|fault| fault.rule != rule.as_str()) {
            self.rule(step).state.injected.fetch_add(1, Relaxed);
        }
        shard.injected.add(1);
        self.applied.push(InjectedFault::new(&key.rule, kind));
        shard
    }

    /// Counts a fault that this exchange has nothing for.
    fn skip(&self, step: Step) {
        self.rule(step).state.skipped_not_applicable.fetch_add(1, Relaxed);
    }
}
