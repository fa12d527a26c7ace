//! Three clocks: what people see, what the process sees, and what goes on while the machine sleeps.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::document::{Expiry, Now};

/// A moment, as it is written down for another process to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Moment {
    /// Milliseconds of Unix time. The wall clock may be set forward or back between two processes.
    pub(crate) wall_ms: u64,
    /// Which start of the machine it is, where the system tells; then [`Self::boot_ms`] of another process can be compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) boot: Option<String>,
    /// Milliseconds since that start, the machine's sleep included. Nobody can set it.
    pub(crate) boot_ms: u64,
}

impl Moment {
    /// This moment.
    pub(crate) fn read() -> Self {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let (seconds, nanos) = (u64::try_from(now.tv_sec).unwrap_or(0), u64::try_from(now.tv_nsec).unwrap_or(0));
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
        let boot = boot.map(|id| id.trim().to_owned()).filter(|id| !id.is_empty());
        Self { wall_ms: millis_of(SystemTime::now()), boot, boot_ms: seconds * 1000 + nanos / 1_000_000 }
    }

    /// So much later, with nobody touching any clock.
    #[cfg(test)]
    pub(crate) fn later(&self, time: Duration) -> Self {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self { wall_ms: self.wall_ms + millis, boot: self.boot.clone(), boot_ms: self.boot_ms + millis }
    }

    /// How long ago `then` was, as far as a clock tells that nobody can set.
    fn since(&self, then: &Self) -> Duration {
        match (&self.boot, &then.boot) {
            (Some(now), Some(before)) if now == before => {
                Duration::from_millis(self.boot_ms.saturating_sub(then.boot_ms))
            }
            _ => Duration::ZERO,
        }
    }
}

/// The end of a rule, as it is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct End {
    /// Milliseconds of Unix time.
    pub(crate) at_ms: u64,
    /// What was left when it was written down.
    pub(crate) left_ms: u64,
}

impl End {
    /// Of an expiry, at this moment.
    pub(crate) fn of(expiry: &Expiry, now: Now) -> Self {
        let left = expiry.deadline.saturating_duration_since(now.monotonic);
        Self { at_ms: millis_of(expiry.at), left_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX) }
    }

    /// What is left of it: the least that any clock says. A wall clock that was set forward ends it; one that was set back
    /// gives it nothing. Written down at `then`.
    pub(crate) fn left(&self, then: &Moment, now: &Moment) -> Duration {
        let by_wall = Duration::from_millis(self.at_ms.saturating_sub(now.wall_ms));
        let by_ttl = Duration::from_millis(self.left_ms).saturating_sub(now.since(then));
        by_wall.min(by_ttl)
    }
}

/// An expiry after so long.
pub(crate) fn expiry_after(left: Duration, now: Now) -> Expiry {
    Expiry { at: now.wall + left, deadline: now.monotonic + left }
}

pub(crate) fn millis_of(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn time_of(millis: u64) -> SystemTime {
    // Ten thousand years: no sum with it overflows.
    UNIX_EPOCH + Duration::from_millis(millis.min(10_000 * 366 * 24 * 3600 * 1000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn moment(wall_ms: u64, boot: &str, boot_ms: u64) -> Moment {
        Moment { wall_ms, boot: Some(boot.to_owned()).filter(|boot| !boot.is_empty()), boot_ms }
    }

    fn left(end: End, then: &Moment, now: &Moment) -> u64 {
        u64::try_from(end.left(then, now).as_millis()).expect("short")
    }

    #[test]
    fn the_earliest_clock_counts() {
        let then = moment(1_000_000, "a", 50_000);
        let end = End { at_ms: 1_060_000, left_ms: 60_000 };
        for (now, expected, what) in [
            (moment(1_010_000, "a", 60_000), 50_000, "ten seconds later"),
            (moment(1_060_000, "a", 110_000), 0, "at its end"),
            (moment(2_000_000, "a", 60_000), 0, "the wall clock was set forward"),
            (moment(500_000, "a", 60_000), 50_000, "the wall clock was set back: what is left is known all the same"),
            (moment(500_000, "b", 1_000), 60_000, "and the machine was started again: no more than was left"),
            (moment(500_000, "", 1_000), 60_000, "or does not tell"),
            (moment(1_010_000, "b", 1_000), 50_000, "started again, the wall clock is right"),
            (moment(0, "b", 0), 60_000, "a machine without a battery for its clock"),
        ] {
            assert_eq!(left(end, &then, &now), expected, "{what}");
        }
    }

    #[test]
    fn this_machine_has_clocks() {
        let (first, second) = (Moment::read(), Moment::read());
        assert!(second.boot_ms >= first.boot_ms && first.wall_ms > 1_600_000_000_000);
        assert_eq!(first.boot, second.boot);
        assert_eq!(millis_of(time_of(first.wall_ms)), first.wall_ms);
        let _no_overflow = time_of(u64::MAX);
    }

    proptest! {
        /// However clocks are set and machines started between processes, a rule lives no longer than its ttl.
        #[test]
        fn no_step_of_a_clock_prolongs_a_rule(
            ttl in 0_u64..100_000,
            steps in proptest::collection::vec((0_u64..20_000, -50_000_i64..50_000, any::<bool>()), 1..8),
        ) {
            let (mut wall, mut boot, mut boot_ms) = (1_000_000_u64, 0_u32, 5_000_u64);
            let mut then = moment(wall, "0", boot_ms);
            let mut end = End { at_ms: wall + ttl, left_ms: ttl };
            for (pause, set_by, is_new_start) in steps {
                wall = wall.saturating_add(pause).saturating_add_signed(set_by);
                boot_ms += pause;
                if is_new_start {
                    (boot, boot_ms) = (boot + 1, 0);
                }
                let now = moment(wall, &boot.to_string(), boot_ms);
                let left = left(end, &then, &now);
                // How long the machine was down nobody knows; all else is taken off.
                let most = end.left_ms.saturating_sub(if is_new_start { 0 } else { pause });
                prop_assert!(left <= most, "{left} left, and {most} at most");
                prop_assert!(wall < end.at_ms || left == 0, "its end has come on the wall clock");
                // The new process writes down what it makes of it.
                (end, then) = (End { at_ms: wall + left, left_ms: left }, now);
            }
        }
    }
}
