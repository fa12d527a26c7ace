//! What the load saw, and its statistics.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The parts of the story, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DemoPhase {
    /// Connections are made and caches are filled; not measured.
    WarmUp,
    /// Nothing is wrong.
    Baseline,
    /// The rule is on.
    Fault,
    /// The rule is gone.
    Recovery,
}

impl DemoPhase {
    pub(super) const ALL: [Self; 4] = [Self::WarmUp, Self::Baseline, Self::Fault, Self::Recovery];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::WarmUp => "warm-up",
            Self::Baseline => "baseline",
            Self::Fault => "fault",
            Self::Recovery => "recovery",
        }
    }
}

/// How one request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// 200 with an answer of B.
    Fresh,
    /// 200 with an answer of A's cache.
    Cached,
    /// Anything else.
    Failed,
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// The phase in which it was due.
    pub(super) phase: DemoPhase,
    /// From when it was due, not from when it could be sent: waiting is part of what a user sees.
    pub(super) latency: Duration,
    pub(super) ending: Ending,
}

/// All samples so far; written by the load, read by the story. Bounded by rate times seconds.
#[derive(Debug, Default)]
pub(super) struct Samples {
    all: Mutex<Vec<Sample>>,
}

impl Samples {
    pub(super) fn push(&self, sample: Sample) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).push(sample);
    }

    pub(super) fn summary(&self, phase: DemoPhase) -> Summary {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        Summary::of(all.iter().filter(|sample| sample.phase == phase))
    }
}

/// Numbers about one phase.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub(super) struct Summary {
    pub(super) requests: usize,
    pub(super) succeeded: usize,
    pub(super) from_cache: usize,
    /// 0 to 1; 1 when there was no request.
    pub(super) success_ratio: f64,
    pub(super) p50_seconds: f64,
    pub(super) p99_seconds: f64,
    pub(super) max_seconds: f64,
}

impl Summary {
    fn of<'a>(samples: impl Iterator<Item = &'a Sample>) -> Self {
        let mut summary = Self::default();
        let mut latencies: Vec<f64> = samples
            .map(|sample| {
                summary.requests += 1;
                summary.succeeded += usize::from(sample.ending != Ending::Failed);
                summary.from_cache += usize::from(sample.ending == Ending::Cached);
                sample.latency.as_secs_f64()
            })
            .collect();
        latencies.sort_by(f64::total_cmp);
        summary.success_ratio = if summary.requests == 0 { 1.0 } else { ratio(summary.succeeded, summary.requests) };
        summary.p50_seconds = percentile(&latencies, 50);
        summary.p99_seconds = percentile(&latencies, 99);
        summary.max_seconds = percentile(&latencies, 100);
        summary
    }
}

fn ratio(part: usize, whole: usize) -> f64 {
    let exact = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
    exact(part) / exact(whole)
}

/// The smallest value that at least `percent` of the sorted values do not exceed (nearest rank); 0 of nothing.
fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_seen() {
        let values: Vec<f64> = (1..=200).map(f64::from).collect();
        assert_eq!([50, 99, 100].map(|p| percentile(&values, p)), [100.0, 198.0, 200.0]);
        assert_eq!(percentile(&[], 99), 0.0);
        assert_eq!(percentile(&[7.0], 50), 7.0);
    }

    #[test]
    fn a_summary_counts_its_phase_alone() {
        let samples = Samples::default();
        let sample = |phase, ms, ending| Sample { phase, latency: Duration::from_millis(ms), ending };
        samples.push(sample(DemoPhase::Baseline, 1, Ending::Fresh));
        samples.push(sample(DemoPhase::Fault, 150, Ending::Cached));
        samples.push(sample(DemoPhase::Fault, 3, Ending::Fresh));
        samples.push(sample(DemoPhase::Fault, 2, Ending::Failed));
        let fault = samples.summary(DemoPhase::Fault);
        assert_eq!((fault.requests, fault.succeeded, fault.from_cache), (3, 2, 1));
        assert_eq!((fault.p50_seconds, fault.p99_seconds), (0.003, 0.15));
        assert_eq!(samples.summary(DemoPhase::Recovery).success_ratio, 1.0);
    }
}
