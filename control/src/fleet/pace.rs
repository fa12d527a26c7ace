//! How long an answer is waited for, and when the next question comes.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Until the controller has said how long its orders hold.
const LEASE_FIRST: Duration = Duration::from_secs(15);

/// A controller that has nothing new answers after so long in any case.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// While experiments end, how they are is told this often: what stands in their place waits for that.
const WAIT_BUSY: Duration = Duration::from_secs(1);

/// For the way there and back, beside the time that the controller waits.
const MARGIN: RangeInclusive<Duration> = Duration::from_millis(250)..=Duration::from_secs(5);

/// The first pause after a question without an answer; each further one is twice as long.
const PAUSE_FIRST: Duration = Duration::from_millis(200);

/// Pauses get no longer; and while orders hold, several questions fit in before they do not any more.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Orders that change come at most this often.
const CHANGES_EVERY: Duration = Duration::from_millis(100);

/// Orders that are the same again come at most this often, should the controller not wait.
const ANSWERS_EVERY: Duration = Duration::from_secs(1);

/// The pace of the questions.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    lease: Option<Duration>,
    /// Questions in a row that got no answer.
    failures: u32,
}

impl Pace {
    fn lease(&self) -> Duration {
        self.lease.unwrap_or(LEASE_FIRST)
    }

    /// How long the controller may wait for something new. After a question without an answer it is not to wait: the lease is
    /// running out.
    pub(super) fn wait(&self, is_busy: bool) -> Duration {
        if self.failures > 0 {
            return Duration::ZERO;
        }
        (self.lease() / 3).min(if is_busy { WAIT_BUSY } else { WAIT_MAX })
    }

    /// An answer that takes longer than this beyond the time that the controller waits is none.
    pub(super) fn margin(&self) -> Duration {
        (self.lease() / 6).clamp(*MARGIN.start(), *MARGIN.end())
    }

    /// Orders came, after so long. Gives how long to pause.
    pub(super) fn answered(&mut self, lease: Duration, after: Duration, is_changed: bool) -> Duration {
        (self.lease, self.failures) = (Some(lease), 0);
        let every = if is_changed { CHANGES_EVERY } else { ANSWERS_EVERY.min(lease / 4) };
        every.saturating_sub(after)
    }

    /// None came. Gives how long to pause: `draw` of `u64::MAX` is a draw, so that not all sidecars of a cluster ask at once.
    pub(super) fn failed(&mut self, draw: u64) -> Duration {
        let longest = PAUSE_MAX.min(self.lease() / 10);
        let pause = PAUSE_FIRST.saturating_mul(1 << self.failures.min(10)).min(longest);
        self.failures = self.failures.saturating_add(1);
        // From the half of it to the whole.
        let thousandths = u32::try_from(draw % 501).unwrap_or(500) + 500;
        pause * thousandths / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever does not answer: so many questions are asked and given up before the lease is over.
    fn questions(lease: Duration, hangs: bool) -> u32 {
        let mut pace = Pace { lease: Some(lease), failures: 0 };
        // The lease counts from the answer, which came after the usual time; the next question begins then.
        let (mut at, mut n) = (pace.answered(lease, pace.wait(false), false), 0);
        while at < lease {
            at += if hangs { pace.wait(false) + pace.margin() } else { Duration::ZERO } + pace.failed(u64::MAX);
            n += 1;
        }
        n
    }

    #[test]
    fn several_questions_fit_into_a_lease() {
        for seconds in [2, 5, 15, 60, 300] {
            let lease = Duration::from_secs(seconds);
            assert!(questions(lease, true) >= 3, "{seconds} s: {}", questions(lease, true));
            assert!(questions(lease, false) >= 5, "{seconds} s: {}", questions(lease, false));
        }
    }

    #[test]
    fn nobody_is_asked_without_a_pause() {
        let (mut pace, lease) = (Pace::default(), Duration::from_secs(15));
        assert_eq!(pace.wait(false), WAIT_MAX);
        assert_eq!(pace.answered(lease, Duration::ZERO, true), CHANGES_EVERY);
        assert_eq!(pace.answered(lease, Duration::from_millis(30), false), Duration::from_millis(970));
        assert_eq!(pace.answered(lease, WAIT_MAX, false), Duration::ZERO);
        let pauses: Vec<Duration> = (0..50).map(|draw| pace.failed(draw * 7919)).collect();
        assert!(pauses.iter().all(|pause| (PAUSE_FIRST / 2..=lease / 10).contains(pause)), "{pauses:?}");
        assert_eq!((pace.wait(false), pace.wait(true)), (Duration::ZERO, Duration::ZERO), "the lease is running out");
        pace.answered(lease, Duration::ZERO, false);
        assert_eq!(pace.wait(true), WAIT_BUSY);
    }
}
