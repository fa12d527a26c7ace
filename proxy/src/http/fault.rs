//! Applies the decided faults of one exchange.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use http::HeaderValue;
use squall_config::model::{Abort, Fault, Phase};
use squall_fault::budget::Permit;
use squall_fault::decide::decide_request;
use squall_fault::meta::RequestMeta;
use squall_fault::plan::Step;
use squall_fault::snapshot::{CompiledRule, RuleState, Snapshot};

use super::body::Cut;
use super::interrupt::Interrupt;
use crate::connection::Downstream;
use crate::hold::{Released, Until, hold};
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
}

/// What a fault before the upstream wants.
#[derive(Debug)]
pub(crate) enum Instead {
    /// Answer in the upstream's place.
    Abort(Abort, String),
    /// No answer.
    Interrupt(Interrupt),
}

/// Decides, and takes what the decision needs from the budget; `None` when nothing is to be injected.
pub(crate) fn decide(
    listener: &ListenerView,
    request: &RequestMeta<'_>,
    budget: &squall_fault::budget::Budget,
) -> Option<Box<Faults>> {
    if listener.http_rules_are_empty() {
        return None;
    }
    let plan = decide_request(&listener.snapshot, &listener.compiled, request);
    if plan.is_empty() {
        return None;
    }
    let snapshot = &listener.snapshot;
    let (mut steps, mut permits, mut refused) = (Vec::new(), Vec::new(), None);
    let mut admitted = None;
    for step in plan.steps() {
        if admitted != Some(step.rule) && refused != Some(step.rule) {
            let state = &rule(snapshot, *step).state;
            match budget.reserve(state) {
                Some(permit) => {
                    permits.push(permit);
                    admitted = Some(step.rule);
                }
                None => {
                    state.skipped_budget.fetch_add(1, Relaxed);
                    refused = Some(step.rule);
                }
            }
        }
        if admitted == Some(step.rule) {
            steps.push(*step);
        }
    }
    let (snapshot, applied) = (Arc::clone(snapshot), Vec::with_capacity(steps.len()));
    (!steps.is_empty())
        .then(|| Box::new(Faults { snapshot, steps, _permits: permits, applied, latency: Duration::ZERO }))
}

fn rule(snapshot: &Snapshot, step: Step) -> &CompiledRule {
    &snapshot.rules[usize::from(step.rule.0)]
}

impl Faults {
    pub(crate) fn applied(&self) -> &[InjectedFault] {
        &self.applied
    }

    pub(crate) fn latency(&self) -> Duration {
        self.latency
    }

    fn fault(&self, step: Step) -> &Fault {
        &rule(&self.snapshot, step).rule.faults[usize::from(step.fault)]
    }

    /// Applies what comes before the upstream: delays first, then what ends the exchange.
    pub(crate) async fn before_upstream(
        &mut self,
        downstream: &Downstream,
        listener: &ListenerView,
        arrived: Instant,
    ) -> Option<Instead> {
        self.delay(Phase::Request, downstream, listener, arrived).await;
        for step in self.steps.clone() {
            if !self.is_still_active(downstream, step) {
                continue;
            }
            match self.fault(step).clone() {
                Fault::Abort(abort) => {
                    self.inject(downstream, listener, step);
                    let name = rule(&self.snapshot, step).rule.name.to_string();
                    return Some(Instead::Abort(abort, name));
                }
                Fault::Reset(reset) if reset.on == Phase::Request => {
                    self.inject(downstream, listener, step);
                    downstream.arm_reset();
                    return Some(Instead::Interrupt(Interrupt::reset()));
                }
                Fault::Blackhole(blackhole) => {
                    self.inject(downstream, listener, step);
                    let until = blackhole.max.map_or(Until::Forever, |max| Until::At(arrived + max));
                    let state = Arc::clone(&rule(&self.snapshot, step).state);
                    let released = hold(&downstream.worker, |now| now.is_active(&state).then_some(until)).await;
                    if released == Released::Elapsed {
                        return Some(Instead::Interrupt(Interrupt::close()));
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// Applies what comes between the upstream's answer and downstream.
    pub(crate) async fn after_upstream(
        &mut self,
        downstream: &Downstream,
        listener: &ListenerView,
        answered: Instant,
    ) -> Result<Option<Cut>, Interrupt> {
        self.delay(Phase::Response, downstream, listener, answered).await;
        for step in self.steps.clone() {
            let Fault::Reset(reset) = *self.fault(step) else { continue };
            if reset.on != Phase::Response || !self.is_still_active(downstream, step) {
                continue;
            }
            self.inject(downstream, listener, step);
            if reset.after_bytes == 0 {
                downstream.arm_reset();
                return Err(Interrupt::reset());
            }
            return Ok(Some(Cut {
                rule: Arc::clone(&rule(&self.snapshot, step).state),
                left: reset.after_bytes,
                reset: downstream.reset_of_connection(),
                flushing: None,
            }));
        }
        Ok(None)
    }

    /// Names what was applied in the head of the answer.
    pub(crate) fn mark(&self, headers: &mut http::HeaderMap) {
        if !self.snapshot.config.fault_header {
            return;
        }
        for fault in &self.applied {
            if let Ok(value) = HeaderValue::try_from(format!("rule={}; kind={}", fault.rule, fault.kind)) {
                headers.append(FAULT_HEADER, value);
            }
        }
    }

    /// Delays of several rules add up; each ends with its rule.
    async fn delay(&mut self, phase: Phase, downstream: &Downstream, listener: &ListenerView, since: Instant) {
        let is_of_phase = |f: &Fault| matches!(f, Fault::Delay(delay) if delay.on == phase);
        let is_due = |step: &Step| is_of_phase(self.fault(*step)) && self.is_still_active(downstream, *step);
        let delays: Vec<Step> = self.steps.iter().copied().filter(is_due).collect();
        if delays.is_empty() {
            return;
        }
        let total: Duration = delays.iter().map(Step::delay).sum();
        let mut shares = Vec::with_capacity(delays.len());
        for step in &delays {
            let shard = self.inject(downstream, listener, *step);
            let share = if total.is_zero() { 1.0 } else { step.delay().as_secs_f64() / total.as_secs_f64() };
            shares.push((shard, share));
        }
        let measured = Measured { shares, since };
        let states: Vec<(Arc<RuleState>, Duration)> =
            delays.iter().map(|s| (Arc::clone(&rule(&self.snapshot, *s).state), s.delay())).collect();
        hold(&downstream.worker, |snapshot| {
            let active = states.iter().filter(|(state, _)| snapshot.is_active(state)).map(|(_, delay)| *delay);
            let left: Duration = active.sum();
            (!left.is_zero()).then(|| Until::At(since + left))
        })
        .await;
        self.latency += measured.since.elapsed();
    }

    /// A rule that ended since the decision ends nothing any more.
    fn is_still_active(&self, downstream: &Downstream, step: Step) -> bool {
        downstream.worker.latest_snapshot().is_active(&rule(&self.snapshot, step).state)
    }

    /// Counts a fault as applied; the rule counts the exchange once, however many of its faults are.
    fn inject(&mut self, downstream: &Downstream, listener: &ListenerView, step: Step) -> Arc<FaultShard> {
        let (compiled, kind) = (rule(&self.snapshot, step), self.fault(step).kind());
        if self.applied.iter().all(|fault| fault.rule != compiled.rule.name.as_str()) {
            compiled.state.injected.fetch_add(1, Relaxed);
        }
        let key = FaultKey { rule: compiled.rule.name.clone(), kind, listener: listener.key.clone() };
        let shard = downstream.worker.shard().fault(&key);
        shard.injected.add(1);
        self.applied.push(InjectedFault { rule: key.rule.to_string(), kind });
        shard
    }
}

/// Observes the latency that was really added, also when the client left in the middle of it.
#[derive(Debug)]
struct Measured {
    shares: Vec<(Arc<FaultShard>, f64)>,
    since: Instant,
}

impl Drop for Measured {
    fn drop(&mut self) {
        let total = self.since.elapsed();
        for (shard, share) in &self.shares {
            shard.latency.observe(total.mul_f64(*share));
        }
    }
}
