//! Whether an endpoint gets its share of the traffic: what all workers know of it. The clock is the caller's.
//!
//! Two things keep an endpoint out: failures of the traffic itself eject it for a while, and failed health checks until
//! checks succeed again.

use std::sync::LazyLock;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::time::{Duration, Instant};

use squall_config::defaults::EJECTION_TIMES_MAX;
use squall_config::model::{Ejection, HealthCheck};

/// Milliseconds since the process began to look at the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl From<Instant> for Moment {
    fn from(now: Instant) -> Self {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        Self(millis(now.saturating_duration_since(*START)))
    }
}

impl Moment {
    fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis(span)))
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// How an endpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// It gets traffic.
    Healthy,
    /// The traffic failed too often in a row; its time is not over.
    Ejected,
    /// Its health checks fail.
    Failing,
}

/// What is known of one endpoint. Relaxed throughout: the values guard no other memory, and a worker that sees one a
/// moment later only sends one more request.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// Failures of the traffic since its last success.
    failures: AtomicU32,
    /// Ejections that followed each other without a quiet time between them.
    streak: AtomicU32,
    /// The [`Moment`] at which the last ejection ends or ended; 0 when there was none.
    ejected_until: AtomicU64,
    /// Health checks took it out.
    is_failing: AtomicBool,
    /// Checks in a row that contradict `is_failing`.
    contradictions: AtomicU32,
}

impl Health {
    /// How it is now.
    pub(crate) fn condition(&self, now: Moment) -> Condition {
        if self.is_failing.load(Relaxed) {
            Condition::Failing
        } else if self.is_ejected(now) {
            Condition::Ejected
        } else {
            Condition::Healthy
        }
    }

    fn is_ejected(&self, now: Moment) -> bool {
        self.ejected_until.load(Relaxed) > now.0
    }

    /// Notes that the traffic went well.
    pub(crate) fn succeed(&self) {
        // The usual case only reads, so that workers do not take the line from each other.
        if self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
        }
    }

    /// Notes that the traffic failed; whether that makes `rule.consecutive_failures` in a row. What fails while it is
    /// ejected was on its way before, or nothing else was left to try.
    pub(crate) fn fail(&self, rule: &Ejection, now: Moment) -> bool {
        !self.is_ejected(now) && self.failures.fetch_add(1, Relaxed).saturating_add(1) >= rule.consecutive_failures
    }

    /// Notes a check; the new state, when there is one.
    pub(crate) fn check(&self, has_passed: bool, rule: &HealthCheck) -> Option<Condition> {
        let is_failing = self.is_failing.load(Relaxed);
        if has_passed != is_failing {
            self.contradictions.store(0, Relaxed);
            return None;
        }
        let run = self.contradictions.fetch_add(1, Relaxed).saturating_add(1);
        let enough = if is_failing { rule.healthy_threshold } else { rule.unhealthy_threshold };
        if run < enough {
            return None;
        }
        self.contradictions.store(0, Relaxed);
        self.is_failing.store(!is_failing, Relaxed);
        Some(if is_failing { Condition::Healthy } else { Condition::Failing })
    }
}

/// Ejects `this`, one of `all` endpoints of a cluster, when not too many are out already; for how long. To be called by
/// one thread at a time.
pub(crate) fn eject<'a>(
    this: &Health,
    all: impl ExactSizeIterator<Item = &'a Health>,
    rule: &Ejection,
    now: Moment,
) -> Option<Duration> {
    let most = (all.len() * usize::from(rule.max_percentage) / 100).max(1);
    let n_out = all.filter(|health| health.is_ejected(now)).count();
    if this.is_ejected(now) || n_out >= most {
        return None;
    }
    let (last_end, last_streak) = (Moment(this.ejected_until.load(Relaxed)), this.streak.load(Relaxed));
    // Quiet for as long as it was out: the past is forgotten.
    let is_forgiven = now > last_end.after(rule.base_time * last_streak);
    let streak = if is_forgiven { 1 } else { last_streak.saturating_add(1).min(EJECTION_TIMES_MAX) };
    let time = rule.base_time * streak;
    this.streak.store(streak, Relaxed);
    this.failures.store(0, Relaxed);
    this.ejected_until.store(now.after(time).0, Relaxed);
    Some(time)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use squall_config::model::Probe;

    use super::*;

    const BASE: Duration = Duration::from_millis(100);

    fn rule(max_percentage: u8) -> Ejection {
        Ejection { consecutive_failures: 3, base_time: BASE, max_percentage, server_errors: true }
    }

    /// What a cluster does with a failure.
    fn fail(all: &[Health], which: usize, rule: &Ejection, now: u64) -> Option<Duration> {
        let this = &all[which];
        if this.fail(rule, Moment(now)) { eject(this, all.iter(), rule, Moment(now)) } else { None }
    }

    #[test]
    fn failures_in_a_row_eject_for_longer_and_longer() {
        let (all, rule) = ([Health::default(), Health::default()], rule(50));
        let mut now = 1_000;
        for times in (1..=10).chain([10, 10]) {
            assert_eq!((fail(&all, 0, &rule, now), fail(&all, 0, &rule, now)), (None, None));
            let time = BASE * times;
            assert_eq!(fail(&all, 0, &rule, now), Some(time));
            let last = now + millis(time) - 1;
            assert_eq!(all[0].condition(Moment(last)), Condition::Ejected);
            assert_eq!(all[0].condition(Moment(last + 1)), Condition::Healthy);
            assert_eq!(all[1].condition(Moment(now)), Condition::Healthy);
            now = last + 1;
        }
        // Well for as long as it was out: it begins anew.
        now += 1_001;
        let third = (0..3).filter_map(|_| fail(&all, 0, &rule, now)).next();
        assert_eq!(third, Some(BASE));
    }

    #[test]
    fn a_success_between_failures_ejects_nothing() {
        let (all, rule) = ([Health::default()], rule(100));
        for n in 0..100 {
            if n % 3 == 2 {
                all[0].succeed();
            } else {
                assert_eq!(fail(&all, 0, &rule, 1), None);
            }
        }
    }

    #[test]
    fn checks_turn_it_at_their_thresholds() {
        let second = Duration::from_secs(1);
        let rule = HealthCheck {
            probe: Probe::Tcp,
            interval: second,
            timeout: second,
            unhealthy_threshold: 2,
            healthy_threshold: 3,
        };
        let health = Health::default();
        let turns: Vec<_> = [false, true, false, false, true, true, false, true, true, true, true]
            .map(|has_passed| health.check(has_passed, &rule))
            .into();
        let mut expected = [None; 11];
        expected[3] = Some(Condition::Failing);
        expected[9] = Some(Condition::Healthy);
        assert_eq!(turns, expected);
    }

    proptest! {
        /// Whatever happens: never more are out than may be, nobody is ejected without its failures in a row, no
        /// ejection lasts longer than ten times the base, and all come back.
        #[test]
        fn ejection_keeps_its_bounds(
            n in 1_usize..8,
            percentage in 1_u8..=100,
            events in prop::collection::vec((0_usize..8, 0_u8..5, 0_u64..80), 0..400),
        ) {
            let all: Vec<Health> = (0..n).map(|_| Health::default()).collect();
            let rule = rule(percentage);
            let (mut now, mut in_a_row) = (1, vec![0; n]);
            for (which, kind, pause) in events {
                let which = which % n;
                now += pause;
                if kind == 0 {
                    all[which].succeed();
                    in_a_row[which] = 0;
                } else {
                    let was_out = all[which].is_ejected(Moment(now));
                    in_a_row[which] += u32::from(!was_out);
                    if let Some(time) = fail(&all, which, &rule, now) {
                        prop_assert!(!was_out && in_a_row[which] >= 3);
                        prop_assert!(time >= BASE && time <= BASE * 10);
                        in_a_row[which] = 0;
                    }
                }
                let n_out = all.iter().filter(|health| health.is_ejected(Moment(now))).count();
                prop_assert!(n_out <= (n * usize::from(percentage) / 100).max(1));
            }
            prop_assert!(all.iter().all(|health| health.condition(Moment(now + 1_000)) == Condition::Healthy));
        }
    }
}
