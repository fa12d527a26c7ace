//! How A repeats calls to what was faulted: how many more, after what time, and whether it may.

use std::time::{Duration, Instant};

use squall_telemetry::Outcome;

use super::groups::is_failed;
use super::statistics::float;
use crate::experiment::report::RetryReport;

/// Of the first gap to the last that is told apart.
const GAPS_MAX: usize = 8;

/// So many of each are kept.
const GAPS_KEPT: usize = 1_024;

/// Of fewer nothing is said.
const GAPS_MIN: usize = 5;

/// A call that is made twice at nearly the same time is no retry, but a call that is made twice.
const TOGETHER: Duration = Duration::from_millis(50);

/// Shorter gaps are none.
const GAP_MIN: f64 = 0.005;

/// What calls of both groups say.
#[derive(Debug, Default)]
pub(super) struct Retries {
    faulted: Sums,
    control: Sums,
    calls_max: u64,
    retried: u64,
    gaps: [Vec<f64>; GAPS_MAX],
    unsafe_retries: u64,
}

/// Sums over requests, for the ratio of calls to operations and its error.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    requests: f64,
    calls: f64,
    operations: f64,
    calls_squared: f64,
    operations_squared: f64,
    products: f64,
}

impl Sums {
    fn add(&mut self, calls: f64, operations: f64) {
        self.requests += 1.0;
        self.calls += calls;
        self.operations += operations;
        self.calls_squared += calls * calls;
        self.operations_squared += operations * operations;
        self.products += calls * operations;
    }

    fn calls_per_request(&self) -> Option<f64> {
        (self.requests > 0.0).then(|| self.calls / self.requests)
    }

    /// Calls for one operation.
    fn tries(&self) -> Option<Tries> {
        let ratio = (self.operations > 0.0).then(|| self.calls / self.operations)?;
        let squares = self.calls_squared - 2.0 * ratio * self.products + ratio * ratio * self.operations_squared;
        let variance = squares.max(0.0) / (self.operations * self.operations) / (ratio * ratio);
        Some(Tries { ratio, variance })
    }
}

/// Calls for one operation, with the square of the relative error of that (of a ratio of sums, by the delta method).
#[derive(Clone, Copy, Debug)]
struct Tries {
    ratio: f64,
    variance: f64,
}

impl Tries {
    /// What a call is made when nothing goes wrong: once.
    const ONE: Self = Self { ratio: 1.0, variance: 0.0 };
}

impl Retries {
    /// Takes in the calls that A made for a request to what was faulted; sorts them.
    pub(super) fn add(&mut self, calls: &mut [&Outcome], is_faulted: bool) {
        calls.sort_by_key(|call| (call.operation, call.began));
        let operations = || calls.chunk_by(|a, b| a.operation == b.operation);
        let count = calls.len() as u64;
        let sums = if is_faulted { &mut self.faulted } else { &mut self.control };
        sums.add(float(count), float(operations().count() as u64));
        if !is_faulted {
            return;
        }
        self.calls_max = self.calls_max.max(count);
        let mut is_retried = false;
        for tries in operations() {
            is_retried |= self.follow(tries);
        }
        self.retried += u64::from(is_retried);
    }

    /// Follows calls of one operation from try to try; whether there was a second one.
    fn follow(&mut self, calls: &[&Outcome]) -> bool {
        let mut tries = 1;
        for (index, call) in calls.iter().enumerate().skip(1) {
            let Some(ended) = retried_after(&calls[..index], call) else { continue };
            self.unsafe_retries += u64::from(!call.is_repeatable);
            if let Some(gaps) = self.gaps.get_mut(tries - 1).filter(|gaps| gaps.len() < GAPS_KEPT) {
                gaps.push(call.began.saturating_duration_since(ended).as_secs_f64());
            }
            tries += 1;
        }
        tries > 1
    }

    /// What they say in all.
    pub(super) fn report(&self) -> RetryReport {
        // Where there is no control group, it is compared with nothing going wrong.
        let (faulted, control) = (self.faulted.tries(), self.control.tries().unwrap_or(Tries::ONE));
        let amplification = faulted.map(|faulted| faulted.ratio / control.ratio);
        // One-sided 95 %, on the scale on which ratios are even.
        let low = faulted.map(|faulted| {
            let error = (faulted.variance + control.variance).sqrt();
            faulted.ratio / control.ratio * (-1.645 * error).exp()
        });
        let known = self.gaps.iter().take_while(|gaps| gaps.len() >= GAPS_MIN);
        let gaps: Vec<Gap> = known.map(|gaps| Gap::of(gaps)).collect();
        RetryReport {
            calls_faulted: self.faulted.calls_per_request(),
            calls_control: self.control.calls_per_request(),
            amplification,
            amplification_low: low,
            calls_max: self.calls_max,
            retried: self.retried,
            spacing: spacing(&gaps).to_owned(),
            gaps: gaps.iter().map(|gap| gap.median).collect(),
            unsafe_retries: self.unsafe_retries,
        }
    }
}

/// When the try ended that this call repeats; `None` when it repeats none. One repeats a try that had gone wrong, or that a
/// fault held when it had already been under way for a while.
fn retried_after(before: &[&Outcome], call: &Outcome) -> Option<Instant> {
    let is_repeated = |earlier: &&&Outcome| {
        let is_held = earlier.is_injected && earlier.ended > call.began && call.began >= earlier.began + TOGETHER;
        is_held || is_failed(earlier)
    };
    before.iter().rev().find(is_repeated).map(|earlier| earlier.ended)
}

/// Gaps before tries of one number, in seconds.
#[derive(Clone, Copy, Debug)]
struct Gap {
    median: f64,
    /// Half of all lie between these two.
    first_quartile: f64,
    third_quartile: f64,
}

impl Gap {
    fn of(gaps: &[f64]) -> Self {
        let mut sorted = gaps.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |quarters: usize| sorted[(sorted.len() - 1) * quarters / 4];
        Self { median: at(2), first_quartile: at(1), third_quartile: at(3) }
    }

    fn is_narrow(&self) -> bool {
        self.third_quartile - self.first_quartile <= 0.25 * self.median
    }
}

fn spacing(gaps: &[Gap]) -> &'static str {
    let is_near = |pair: &[Gap]| (pair[1].median / pair[0].median - 1.0).abs() <= 0.25;
    match gaps {
        [] => "",
        _ if gaps.iter().all(|gap| gap.median < GAP_MIN) => "none",
        [_, _, ..] if gaps.windows(2).all(|pair| pair[1].median > 1.25 * pair[0].median) => "growing",
        _ if gaps.iter().all(Gap::is_narrow) && gaps.windows(2).all(is_near) => "fixed",
        _ => "irregular",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::tests::call;

    /// A request whose calls fail, each the next after one of the gaps; the last goes well.
    fn tried(retries: &mut Retries, gaps: &[u64], is_repeatable: bool) {
        let (t, mut at) = (Instant::now(), 0);
        let mut calls = vec![call(t, at, 10)];
        for gap in gaps {
            at += 10 + gap;
            calls.last_mut().unwrap().status = Some(503);
            calls.push(Outcome { is_repeatable, ..call(t, at, 10) });
        }
        let mut calls: Vec<&Outcome> = calls.iter().rev().collect();
        retries.add(&mut calls, true);
    }

    fn plain(retries: &mut Retries, calls: u64, is_faulted: bool) {
        let t = Instant::now();
        let calls: Vec<_> = (0..calls).map(|n| Outcome { operation: n, ..call(t, 10 * n, 5) }).collect();
        retries.add(&mut calls.iter().collect::<Vec<_>>(), is_faulted);
    }

    #[test]
    fn three_tries_are_three_times_the_calls() {
        let mut retries = Retries::default();
        (0..50).for_each(|_| tried(&mut retries, &[100, 200], true));
        (0..500).for_each(|_| plain(&mut retries, 1, false));
        let report = retries.report();
        assert_eq!((report.calls_faulted, report.calls_control), (Some(3.0), Some(1.0)));
        assert_eq!((report.amplification, report.amplification_low), (Some(3.0), Some(3.0)));
        assert_eq!((report.calls_max, report.retried, report.unsafe_retries), (3, 50, 0));
        assert_eq!((report.gaps.as_slice(), report.spacing.as_str()), (&[0.1, 0.2][..], "growing"));
    }

    #[test]
    fn requests_with_many_calls_are_no_retries() {
        let mut retries = Retries::default();
        (0..50).for_each(|n| plain(&mut retries, 5 + n % 10, true));
        (0..500).for_each(|_| plain(&mut retries, 1, false));
        let report = retries.report();
        assert_eq!((report.amplification, report.retried, report.spacing.as_str()), (Some(1.0), 0, ""));
        assert!(report.calls_faulted > Some(5.0));
    }

    #[test]
    fn gaps_are_named() {
        for (gaps, name) in [
            (&[0, 1, 0][..], "none"),
            (&[100, 100, 110], "fixed"),
            (&[50], "fixed"),
            (&[10, 20, 40, 80], "growing"),
            (&[100, 20, 90], "irregular"),
        ] {
            let mut retries = Retries::default();
            (0..20).for_each(|_| tried(&mut retries, gaps, true));
            assert_eq!(retries.report().spacing, name, "{gaps:?}");
            assert_eq!(retries.report().gaps.len(), gaps.len());
        }
        let mut jittered = Retries::default();
        (0..40).for_each(|n| tried(&mut jittered, &[n * 7 % 100], true));
        assert_eq!(jittered.report().spacing, "irregular");
        tried(&mut jittered, &[5, 5], false);
        assert_eq!(jittered.report().unsafe_retries, 2);
    }

    #[test]
    fn the_same_call_twice_is_a_retry_only_when_the_first_went_wrong() {
        let t = Instant::now();
        let post = |began, took| Outcome { is_repeatable: false, is_injected: true, ..call(t, began, took) };
        let retries_of = |calls: &[Outcome]| {
            let mut retries = Retries::default();
            retries.add(&mut calls.iter().collect::<Vec<_>>(), true);
            retries.report().unsafe_retries
        };
        assert_eq!(retries_of(&[post(0, 50), post(60, 50)]), 0, "one after the other, both well");
        assert_eq!(retries_of(&[post(0, 50), post(1, 50)]), 0, "at the same time");
        assert_eq!(retries_of(&[post(0, 900), post(300, 900)]), 1, "the first was held");
        let failed = Outcome { status: None, ..post(0, 50) };
        assert_eq!(retries_of(&[failed, post(50, 50)]), 1);
    }
}
