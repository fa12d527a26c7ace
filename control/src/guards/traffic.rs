//! What Squall's own traffic says about a condition: totals of two moments, compared.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use squall_config::model::{Measure, TrafficCondition};
use squall_telemetry::{Traffic, TrafficTotals};

use super::account::{Account, Requests};
use super::judge::{Finding, Holding, Unit};

/// A rate is one of so much time; a shorter one would be a matter of chance.
const RATE_OVER: Duration = Duration::from_secs(10);

/// Judges a condition on the traffic, step by step.
#[derive(Debug)]
pub(crate) struct TrafficJudge {
    condition: TrafficCondition,
    /// The sums of the step before; `None` before the first.
    before: Option<Sums>,
    account: Option<Account>,
    holding: Holding,
    /// The last of them, oldest first.
    ended: VecDeque<Ended>,
}

/// How many requests had ended at a moment.
#[derive(Clone, Copy, Debug)]
struct Ended {
    at: Instant,
    count: u64,
}

/// What counts of the traffic that a condition is about.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sums {
    pub(crate) in_flight: u64,
    pub(crate) ended: u64,
    pub(crate) injected: u64,
    pub(crate) failed: u64,
    pub(crate) durations: Vec<u64>,
}

impl Sums {
    pub(crate) fn of(condition: &TrafficCondition, traffic: &Traffic) -> Self {
        let mut sums = Self { durations: vec![0; traffic.duration_bounds.len() + 1], ..Self::default() };
        let scope = &condition.scope;
        for TrafficTotals { listener, cluster, direction, begun, ended, injected, failed, durations, .. } in
            &traffic.totals
        {
            if !scope.covers(listener, cluster, *direction) {
                continue;
            }
            sums.in_flight += begun.saturating_sub(*ended);
            sums.ended += ended;
            sums.injected += injected;
            sums.failed += failed;
            sums.durations.iter_mut().zip(durations).for_each(|(sum, count)| *sum += count);
        }
        sums
    }
}

impl TrafficJudge {
    /// Begins afresh.
    pub(crate) fn new(condition: TrafficCondition) -> Self {
        let share = match &condition.measure {
            Measure::ErrorRate { above, .. } => Some(*above),
            Measure::Latency { quantile, .. } => Some(quantile.beyond),
            Measure::InFlight(_) | Measure::RequestRate(_) => None,
        };
        let account = share.map(|share| Account::new(f64::from(share.ppm()) / 1e6, condition.held_for));
        Self { condition, before: None, account, holding: Holding::default(), ended: VecDeque::new() }
    }

    /// Takes in what the totals are now.
    pub(crate) fn step(&mut self, now: Instant, traffic: &Traffic) -> Finding {
        let sums = Sums::of(&self.condition, traffic);
        let before = self.before.replace(sums.clone()).unwrap_or_else(|| sums.clone());
        match self.condition.measure {
            Measure::ErrorRate { minimum_requests, .. } => {
                let step = failures(&before, &sums);
                let (found, recent) = self.settle(now, step, minimum_requests);
                Finding { value: recent.share().map(|share| share * 100.0), unit: Unit::Percent, ..found }
            }
            Measure::Latency { minimum_requests, above, .. } => {
                let counts = differences(&before.durations, &sums.durations);
                let step = slower(&counts, traffic.duration_bounds, above);
                let (found, recent) = self.settle(now, step, minimum_requests);
                Finding { value: recent.share().map(|share| share * 100.0), unit: Unit::PercentSlower, ..found }
            }
            Measure::InFlight(bound) => {
                #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
                let value = sums.in_flight as f64;
                self.hold(now, bound.is_broken_by(value), value, Unit::Requests)
            }
            Measure::RequestRate(bound) => match self.rate(now, sums.ended) {
                Some(rate) => self.hold(now, bound.is_broken_by(rate), rate, Unit::PerSecond),
                None => Finding::nothing(Unit::PerSecond),
            },
        }
    }

    /// What the account says of a step, and what came lately.
    fn settle(&mut self, now: Instant, step: Requests, minimum_requests: u64) -> (Finding, Requests) {
        let account = self.account.as_mut().expect("invariant: a condition on a share has an account");
        let overdrawn = account.step(now, step);
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let is_enough = overdrawn.is_some_and(|o| {
            let is_long = now.saturating_duration_since(o.since) >= self.condition.held_for;
            is_long && o.requests.all >= minimum_requests as f64
        });
        let over = overdrawn.map(|o| o.requests);
        let since = overdrawn.map(|o| o.since);
        (Finding { since, is_enough, over, ..Finding::nothing(Unit::Percent) }, account.recent())
    }

    fn hold(&mut self, now: Instant, holds: bool, value: f64, unit: Unit) -> Finding {
        let since = self.holding.step(now, holds);
        let is_enough = since.is_some_and(|since| now.saturating_duration_since(since) >= self.condition.held_for);
        Finding { since, is_enough, value: Some(value), ..Finding::nothing(unit) }
    }

    /// Requests a second, over ten seconds or as much of them as there is.
    fn rate(&mut self, now: Instant, ended: u64) -> Option<f64> {
        self.ended.push_back(Ended { at: now, count: ended });
        while self.ended.get(1).is_some_and(|ended| now.saturating_duration_since(ended.at) >= RATE_OVER) {
            self.ended.pop_front();
        }
        let first = self.ended.front()?;
        let time = now.saturating_duration_since(first.at).as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let n = ended.saturating_sub(first.count) as f64;
        (time > 0.0).then(|| n / time)
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(crate) fn failures(before: &Sums, now: &Sums) -> Requests {
    let since = |count: fn(&Sums) -> u64| count(now).saturating_sub(count(before)) as f64;
    let (ended, injected) = (since(|s| s.ended), since(|s| s.injected));
    let all = (ended - injected).max(0.0);
    // The counts are read one after the other while traffic flows.
    Requests { all, bad: since(|s| s.failed).min(all) }
}

pub(crate) fn differences(before: &[u64], now: &[u64]) -> Vec<u64> {
    now.iter().zip(before).map(|(now, before)| now.saturating_sub(*before)).collect()
}

/// How many of the requests took longer. Of a bucket that the bound divides, a part by the straight line.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(crate) fn slower(counts: &[u64], bounds: &[f64], than: Duration) -> Requests {
    let than = than.as_secs_f64();
    let mut requests = Requests::default();
    for (index, count) in counts.iter().enumerate() {
        let count = *count as f64;
        let low = if index == 0 { 0.0 } else { bounds[index - 1] };
        let part = match bounds.get(index) {
            _ if low >= than => 1.0,
            Some(high) if *high > than => (high - than) / (high - low),
            Some(_) => 0.0,
            None => 1.0,
        };
        requests += Requests { all: count, bad: count * part };
    }
    requests
}

#[cfg(test)]
#[path = "traffic_tests.rs"]
mod tests;
