//! Traffic of A second by second, and how many requests were under way.

use std::collections::VecDeque;
use std::time::Instant;

use squall_config::model::Direction;
use squall_telemetry::{Outcome, Traffic, TrafficTotals};

use super::durations::Durations;
use super::groups::{Fact, Kind, Met, is_failed};
use super::statistics::float;
use crate::experiment::report::{QueueReport, RunPhase, SeriesPoint};

/// An hour of seconds. When there are more, each two become one.
const POINTS_MAX: usize = 3_600;

/// So many of the last points still take in durations: requests are told to be of a group some seconds after they ended.
const OPEN_MAX: usize = 20;

/// Points, from the start of the run on.
#[derive(Debug)]
pub(super) struct Series {
    began: Instant,
    /// Of one point.
    seconds: usize,
    points: Vec<SeriesPoint>,
    /// Durations of the last points.
    open: VecDeque<Open>,
}

#[derive(Debug, Default)]
struct Open {
    all: Durations,
    faulted: Durations,
    control: Durations,
}

impl Series {
    /// Nothing yet; the run began then.
    pub(super) fn new(began: Instant) -> Self {
        Self { began, seconds: 1, points: Vec::new(), open: VecDeque::new() }
    }

    /// Takes in an exchange, whatever it belongs to, which stands for so many.
    pub(super) fn add(&mut self, outcome: &Outcome, met: Met, weight: u64) {
        let Some((point, open)) = self.at(outcome.ended) else { return };
        match outcome.direction {
            Direction::Inbound => {
                point.requests += weight;
                point.failed += u64::from(is_failed(outcome)) * weight;
                let took = outcome.ended.saturating_duration_since(outcome.began);
                open.into_iter().for_each(|open| open.all.add(took));
            }
            Direction::Outbound => {
                point.calls += weight;
                point.calls_faulted += u64::from(met == Met::Faulted) * weight;
            }
        }
    }

    /// Takes in to which group a call to A belongs that ended then.
    pub(super) fn add_to_group(&mut self, ended: Instant, kind: Kind, fact: &Fact) {
        let Some((point, open)) = self.at(ended) else { return };
        let failed = u64::from(fact.is_failed);
        match kind {
            Kind::Faulted => {
                point.faulted += 1;
                point.faulted_failed += failed;
                open.into_iter().for_each(|open| open.faulted.add(fact.took));
            }
            Kind::Control => {
                point.control += 1;
                point.control_failed += failed;
                open.into_iter().for_each(|open| open.control.add(fact.took));
            }
            Kind::Others | Kind::Baseline => {}
        }
    }

    /// Notes how many calls to A are under way.
    pub(super) fn sample(&mut self, now: Instant, in_flight: u64) {
        if let Some((point, _)) = self.at(now) {
            point.in_flight = in_flight;
        }
    }

    /// The points.
    pub(super) fn report(&self) -> Vec<SeriesPoint> {
        let mut points = self.points.clone();
        let closed = points.len() - self.open.len();
        points[closed..].iter_mut().zip(&self.open).for_each(|(point, open)| open.close(point));
        points
    }

    /// The point of a moment; `None` before the start.
    fn at(&mut self, at: Instant) -> Option<(&mut SeriesPoint, Option<&mut Open>)> {
        let seconds = usize::try_from(at.checked_duration_since(self.began)?.as_secs()).ok()?;
        while seconds / self.seconds >= POINTS_MAX {
            self.merge();
        }
        let index = seconds / self.seconds;
        while self.points.len() <= index {
            let begin = float((self.points.len() * self.seconds) as u64);
            let in_flight = self.points.last().map_or(0, |point| point.in_flight);
            self.points.push(SeriesPoint { at: begin, in_flight, ..SeriesPoint::default() });
            self.open.push_back(Open::default());
            if self.open.len() > OPEN_MAX {
                self.close_oldest();
            }
        }
        let closed = self.points.len() - self.open.len();
        let open = index.checked_sub(closed).and_then(|open| self.open.get_mut(open));
        Some((&mut self.points[index], open))
    }

    fn close_oldest(&mut self) {
        let index = self.points.len() - self.open.len();
        if let Some(open) = self.open.pop_front() {
            open.close(&mut self.points[index]);
        }
    }

    /// Makes one point of each two.
    fn merge(&mut self) {
        while !self.open.is_empty() {
            self.close_oldest();
        }
        self.points = self.points.chunks(2).map(merged).collect();
        self.seconds *= 2;
    }
}

impl Open {
    fn close(&self, point: &mut SeriesPoint) {
        (point.p50, point.p99) = (self.all.quantile(0.5), self.all.quantile(0.99));
        (point.faulted_p50, point.faulted_p99) = (self.faulted.quantile(0.5), self.faulted.quantile(0.99));
        (point.control_p50, point.control_p99) = (self.control.quantile(0.5), self.control.quantile(0.99));
    }
}

/// Of two points one. Of quantiles the greater, since the durations are no longer known.
fn merged(pair: &[SeriesPoint]) -> SeriesPoint {
    let [a, b] = pair else { return pair[0].clone() };
    let greater = |a: Option<f64>, b: Option<f64>| match (a, b) {
        (Some(a), Some(b)) => Some(a.max(b)),
        (a, b) => a.or(b),
    };
    SeriesPoint {
        at: a.at,
        requests: a.requests + b.requests,
        failed: a.failed + b.failed,
        p50: greater(a.p50, b.p50),
        p99: greater(a.p99, b.p99),
        in_flight: b.in_flight,
        faulted: a.faulted + b.faulted,
        faulted_failed: a.faulted_failed + b.faulted_failed,
        faulted_p50: greater(a.faulted_p50, b.faulted_p50),
        faulted_p99: greater(a.faulted_p99, b.faulted_p99),
        control: a.control + b.control,
        control_failed: a.control_failed + b.control_failed,
        control_p50: greater(a.control_p50, b.control_p50),
        control_p99: greater(a.control_p99, b.control_p99),
        calls: a.calls + b.calls,
        calls_faulted: a.calls_faulted + b.calls_faulted,
    }
}

/// Requests under way, sampled.
#[derive(Debug, Default)]
pub(super) struct Queue {
    baseline: Samples,
    injecting: Samples,
}

#[derive(Debug, Default)]
struct Samples {
    count: u64,
    sum: u64,
    max: Option<u64>,
}

impl Samples {
    fn add(&mut self, value: u64) {
        self.count += 1;
        self.sum += value;
        self.max = self.max.max(Some(value));
    }

    fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| float(self.sum) / float(self.count))
    }
}

/// Calls to A that are under way.
pub(super) fn in_flight(traffic: &Traffic) -> u64 {
    inbound(traffic).map(|totals| totals.begun.saturating_sub(totals.ended)).sum()
}

/// Calls to A that have begun.
pub(super) fn begun(traffic: &Traffic) -> u64 {
    inbound(traffic).map(|totals| totals.begun).sum()
}

fn inbound(traffic: &Traffic) -> impl Iterator<Item = &TrafficTotals> {
    traffic.totals.iter().filter(|totals| totals.direction == Direction::Inbound)
}

impl Queue {
    /// One sample.
    pub(super) fn sample(&mut self, phase: RunPhase, in_flight: u64) {
        match phase {
            RunPhase::Baseline => self.baseline.add(in_flight),
            RunPhase::Injecting => self.injecting.add(in_flight),
            RunPhase::Pending | RunPhase::Recovering | RunPhase::Done | RunPhase::Aborted => {}
        }
    }

    /// What they say.
    pub(super) fn report(&self) -> QueueReport {
        QueueReport {
            baseline_mean: self.baseline.mean(),
            baseline_max: self.baseline.max,
            injecting_mean: self.injecting.mean(),
            injecting_max: self.injecting.max,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::experiment::tests::{call, inbound};

    #[test]
    fn each_second_has_its_point_and_a_long_run_no_more_than_an_hour_of_them() {
        let t = Instant::now();
        let mut series = Series::new(t);
        let mut sent = 0;
        for second in 0..8_000 {
            for n in 0..3 {
                let outcome = inbound(t, second * 1_000 + n, 100);
                series.add(&outcome, Met::Nothing, 1);
                series.add(&call(t, second * 1_000 + n, 50), if n == 0 { Met::Faulted } else { Met::Matched }, 1);
                let fact = Fact::new(&outcome, 0, 1, None);
                // The group is known later.
                series.add_to_group(outcome.ended, if n == 0 { Kind::Faulted } else { Kind::Control }, &fact);
                sent += 1;
            }
            if second == 100 {
                let points = series.report();
                assert_eq!((points.len(), points[50].at, points[50].requests, points[50].faulted), (101, 50.0, 3, 1));
                assert!(
                    [points[50].p50, points[100].control_p99].iter().all(|q| q.is_some_and(|q| (q - 0.1).abs() < 0.01))
                );
            }
        }
        let points = series.report();
        assert_eq!((series.seconds, points.len()), (4, 2_000));
        assert_eq!(points.iter().map(|p| p.requests).sum::<u64>(), sent);
        assert_eq!(points.iter().map(|p| p.calls_faulted).sum::<u64>() * 3, sent);
        assert!(points.iter().all(|p| p.p99.is_some() && p.at % 4.0 == 0.0));
    }

    #[test]
    fn what_came_before_the_start_has_no_point() {
        let t = Instant::now();
        let mut series = Series::new(t + Duration::from_secs(5));
        series.add(&inbound(t, 0, 10), Met::Nothing, 1);
        assert_eq!(series.report(), []);
    }
}
