//! Added latency, before the upstream and behind it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use squall_config::model::{Amount, Delay, Fault, Stage};
use squall_fault::plan::Step;
use squall_fault::snapshot::{RuleState, Snapshot};

use super::{Faults, Place};
use crate::hold::{Until, hold};
use crate::telemetry::access_log::AddedLatency;
use crate::telemetry::shard::FaultShard;

/// When an exchange came to where it is now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// The request arrived.
    pub(crate) arrived: Instant,
    /// The request went to the upstream.
    pub(crate) sent: Instant,
    /// Latency counts from here: the arrival, or the head of the answer.
    pub(crate) since: Instant,
}

/// One delay that is due.
struct Due {
    rule: Arc<RuleState>,
    length: Duration,
    /// Delays of several rules add up; floors do not.
    is_floor: bool,
}

impl Faults {
    /// Delays of several rules add up; each ends with its rule.
    pub(super) async fn delay(&mut self, stage: Stage, place: Place<'_>, times: Times) {
        let mut delays: Vec<(Step, Due)> = self
            .due(stage, place.downstream)
            .into_iter()
            .filter_map(|step| Some((step, self.length(step, times)?)))
            .collect();
        // A floor that was reached already adds nothing.
        delays.retain(|(_, due)| !due.is_floor || !due.length.is_zero());
        if delays.is_empty() {
            return;
        }
        let total: Duration = delays.iter().map(|(_, due)| due.length).sum();
        let mut shares = Vec::with_capacity(delays.len());
        for (step, due) in &delays {
            let shard = self.inject(place, *step);
            let share = if total.is_zero() { 1.0 } else { due.length.as_secs_f64() / total.as_secs_f64() };
            shares.push((shard, share));
            self.added_latency(*step).begin(due.length, times.since);
        }
        let measured = Measured { shares, since: times.since };
        hold(place.downstream.worker.control(), |snapshot| {
            let left = left(&delays, snapshot);
            (!left.is_zero()).then(|| Until::At(times.since + left))
        })
        .await;
        let added = measured.since.elapsed();
        self.latency += added;
        for ((step, _), (_, share)) in delays.iter().zip(&measured.shares) {
            self.added_latency(*step).end(added.mul_f64(*share));
        }
    }

    /// What the applied fault of a step says of its latency.
    fn added_latency(&mut self, step: Step) -> &mut AddedLatency {
        let (rule, kind) = (self.rule(step).rule.name.to_string(), self.fault(step).kind());
        let found = self.applied.iter_mut().find(|fault| fault.rule == rule && fault.kind == kind);
        found.expect("invariant: a delay is noted as applied before it is held").latency.get_or_insert_default()
    }

    fn length(&self, step: Step, times: Times) -> Option<Due> {
        if let Fault::Requested(_) = self.fault(step) {
            return Some(Due { rule: self.state(step), length: step.delay(), is_floor: false });
        }
        let Fault::Delay(Delay { amount, max, .. }) = self.fault(step) else { return None };
        let length = match amount {
            Amount::Drawn(_) => step.delay(),
            Amount::AtLeast(_) => (times.arrived + step.delay()).saturating_duration_since(times.since),
            Amount::Multiplied(factor) => {
                times.since.saturating_duration_since(times.sent).mul_f64(factor - 1.0).min(*max)
            }
        };
        Some(Due { rule: self.state(step), length, is_floor: matches!(amount, Amount::AtLeast(_)) })
    }
}

/// How long the delays that are still on hold the exchange in all.
fn left(delays: &[(Step, Due)], snapshot: &Arc<Snapshot>) -> Duration {
    let active = || delays.iter().map(|(_, due)| due).filter(|due| snapshot.is_active(&due.rule));
    let sum: Duration = active().filter(|due| !due.is_floor).map(|due| due.length).sum();
    active().filter(|due| due.is_floor).map(|due| due.length).fold(sum, Duration::max)
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
