//! Whether A stopped calling what was faulted while it was still asked: the mark of a circuit breaker.

use std::time::Instant;

use squall_config::model::{Direction, Name};
use squall_telemetry::Outcome;

use super::groups::Met;
use super::statistics::float;
use crate::experiment::report::BreakerReport;

/// So many seconds are watched: three hours.
const SECONDS_MAX: usize = 10_800;

/// So many clusters are told apart; of others nothing is said.
const CLUSTERS_MAX: usize = 16;

/// A silence that is less likely than this by chance is none (of calls that come independently: Poisson).
const CHANCE: f64 = 1e-4;

/// With fewer calls before anything was injected it is not known how many are to be expected.
const BASELINE_MIN: f64 = 20.0;

/// What was seen, second by second.
#[derive(Debug)]
pub(super) struct Breaker {
    began: Instant,
    /// Calls to A that began.
    inbound: Vec<u64>,
    clusters: Vec<Cluster>,
}

#[derive(Debug)]
struct Cluster {
    name: Name,
    is_faulted: bool,
    seconds: Vec<Calls>,
}

/// Calls that began within a second: how many, the first and the last.
#[derive(Clone, Copy, Debug, Default)]
struct Calls {
    count: u64,
    first: f64,
    last: f64,
}

/// The parts of the run, in seconds since its start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Parts {
    /// When faults began to flow.
    pub(super) injecting: f64,
    /// When they ended; `None` when they flow.
    pub(super) recovering: Option<f64>,
    /// All that began before has ended.
    pub(super) known_until: f64,
}

impl Breaker {
    /// Nothing was seen yet; the run began then.
    pub(super) fn new(began: Instant) -> Self {
        Self { began, inbound: Vec::new(), clusters: Vec::new() }
    }

    /// Takes in an exchange.
    pub(super) fn add(&mut self, outcome: &Outcome, met: Met) {
        let at = outcome.began.saturating_duration_since(self.began);
        let second = usize::try_from(at.as_secs()).unwrap_or(usize::MAX);
        if second >= SECONDS_MAX || outcome.began < self.began {
            return;
        }
        if outcome.direction == Direction::Inbound {
            *place(&mut self.inbound, second) += 1;
            return;
        }
        let Some(cluster) = self.cluster(&outcome.cluster) else { return };
        cluster.is_faulted |= met != Met::Nothing;
        let (calls, at) = (place(&mut cluster.seconds, second), at.as_secs_f64());
        (calls.first, calls.last) = if calls.count == 0 { (at, at) } else { (calls.first.min(at), calls.last.max(at)) };
        calls.count += 1;
    }

    fn cluster(&mut self, name: &Name) -> Option<&mut Cluster> {
        let index = match self.clusters.iter().position(|cluster| cluster.name == *name) {
            Some(index) => index,
            None if self.clusters.len() == CLUSTERS_MAX => return None,
            None => {
                self.clusters.push(Cluster { name: name.clone(), is_faulted: false, seconds: Vec::new() });
                self.clusters.len() - 1
            }
        };
        Some(&mut self.clusters[index])
    }

    /// When there were no calls, though there should have been.
    pub(super) fn report(&self, parts: Parts) -> BreakerReport {
        let seconds = self.seconds();
        // The second in which injection begins belongs to neither.
        let before = float_floor(parts.injecting);
        let Some(rate) = self.rate(&seconds[..before.min(seconds.len())]) else { return BreakerReport::default() };
        let known = &seconds[..float_floor(parts.known_until).min(seconds.len())];
        let open = self.silences(known, before + 1, rate, parts.known_until);
        let recovered_after = parts.recovering.and_then(|end| {
            let (_, to) = open.iter().find(|(from, to)| *from <= end && end < *to)?;
            // One that lasts to the end has not recovered.
            (*to < parts.known_until).then_some(to - end)
        });
        BreakerReport { open, recovered_after }
    }

    /// Independent calls to expect for a request, from seconds in which nothing was injected. Calls that come several at once
    /// are not independent: they vary more than by chance, and as much more as they vary, as many fewer they count as.
    fn rate(&self, seconds: &[Calls]) -> Option<f64> {
        let pairs = || seconds.iter().zip(&self.inbound).map(|(calls, asked)| (float(calls.count), float(*asked)));
        let (calls, asked) = pairs().fold((0.0, 0.0), |(a, b), (calls, asked)| (a + calls, b + asked));
        if calls < BASELINE_MIN || asked == 0.0 {
            return None;
        }
        let rate = calls / asked;
        let spread = pairs().map(|(calls, asked)| (calls - rate * asked).powi(2)).sum::<f64>() / calls;
        Some(rate / spread.max(1.0))
    }

    /// Calls to all that was faulted.
    fn seconds(&self) -> Vec<Calls> {
        let mut sum = vec![Calls::default(); self.inbound.len()];
        for cluster in self.clusters.iter().filter(|cluster| cluster.is_faulted) {
            for (second, calls) in cluster.seconds.iter().enumerate().filter(|(_, calls)| calls.count > 0) {
                let sum = place(&mut sum, second);
                let is_first = sum.count == 0;
                sum.first = if is_first { calls.first } else { sum.first.min(calls.first) };
                sum.last = if is_first { calls.last } else { sum.last.max(calls.last) };
                sum.count += calls.count;
            }
        }
        sum
    }

    /// Runs of seconds without calls, from the last call before to the first after.
    fn silences(&self, seconds: &[Calls], from: usize, rate: f64, end: f64) -> Vec<(f64, f64)> {
        let (mut found, mut expected, mut begin) = (Vec::new(), 0.0, None);
        for (second, calls) in seconds.iter().enumerate().skip(from) {
            if calls.count == 0 {
                expected += rate * float(self.inbound.get(second).copied().unwrap_or(0));
                begin = begin.or_else(|| seconds[..second].iter().rfind(|c| c.count > 0).map(|c| c.last));
                continue;
            }
            found.extend(begin.take().filter(|_| is_beyond_chance(expected)).map(|begin| (begin, calls.first)));
            expected = 0.0;
        }
        found.extend(begin.filter(|_| is_beyond_chance(expected)).map(|begin| (begin, end)));
        found
    }
}

fn is_beyond_chance(expected: f64) -> bool {
    (-expected).exp() < CHANCE
}

fn place<T: Clone + Default>(list: &mut Vec<T>, index: usize) -> &mut T {
    if list.len() <= index {
        list.resize(index + 1, T::default());
    }
    &mut list[index]
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of seconds, of at most a day")]
fn float_floor(seconds: f64) -> usize {
    seconds.max(0.0).floor() as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::tests::{call, inbound};

    const PARTS: Parts = Parts { injecting: 10.0, recovering: Some(40.0), known_until: 60.0 };

    /// Twenty requests a second for a minute, of which each makes a call unless `is_open` says otherwise (by second).
    fn minute(is_open: impl Fn(u64) -> bool) -> Breaker {
        let t = Instant::now();
        let mut breaker = Breaker::new(t);
        for at in (0..60_000).step_by(50) {
            breaker.add(&inbound(t, at, 10), Met::Nothing);
            if !is_open(at / 1000) {
                breaker.add(&call(t, at, 5), if at < 10_000 { Met::Nothing } else { Met::Matched });
            }
        }
        breaker
    }

    #[test]
    fn silence_while_asked_is_an_open_breaker_and_its_recovery_is_measured() {
        let report = minute(|second| (15..20).contains(&second) || (35..43).contains(&second)).report(PARTS);
        assert_eq!(report.open, [(14.95, 20.0), (34.95, 43.0)]);
        assert_eq!(report.recovered_after, Some(3.0));
        let to_the_end = minute(|second| second >= 30).report(PARTS);
        assert_eq!((to_the_end.open.as_slice(), to_the_end.recovered_after), (&[(29.95, 60.0)][..], None));
    }

    #[test]
    fn no_silence_and_one_that_nobody_asked_in_are_no_breaker() {
        assert_eq!(minute(|_| false).report(PARTS), BreakerReport::default());
        assert_eq!(minute(|second| second < 10).report(PARTS), BreakerReport::default(), "nothing to compare with");
        let t = Instant::now();
        let mut breaker = Breaker::new(t);
        for at in (0..60_000).step_by(50).filter(|at| !(20_000..30_000).contains(at)) {
            breaker.add(&inbound(t, at, 10), Met::Nothing);
            // Only one request of five needs a call: two seconds of silence prove little.
            if at % 250 == 0 && !(40_000..42_000).contains(&at) {
                breaker.add(&call(t, at, 5), Met::Matched);
            }
        }
        assert_eq!(breaker.report(PARTS), BreakerReport::default());
    }

    #[test]
    fn calls_that_come_at_once_count_as_few() {
        let t = Instant::now();
        let mut breaker = Breaker::new(t);
        for at in (0..60_000).step_by(50) {
            breaker.add(&inbound(t, at, 10), Met::Nothing);
            // Thirty calls at once, each three seconds; then after six.
            if at % 3_000 == 0 && !(40_000..44_000).contains(&at) {
                (0..30).for_each(|_| breaker.add(&call(t, at, 5), Met::Matched));
            }
        }
        assert_eq!(breaker.report(PARTS), BreakerReport::default());
    }
}
