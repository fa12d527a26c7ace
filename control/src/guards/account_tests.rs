use proptest::prelude::*;

use super::*;

const STEP: Duration = Duration::from_millis(250);

/// Traffic of `rate` requests a second of which every `every`-th is bad, from the first one on; nothing is bad when it is 0.
struct Pattern {
    rate: u64,
    every: u64,
    sent: u64,
}

impl Pattern {
    fn step(&mut self, steps: u64) -> Requests {
        let end = self.rate * steps / 4;
        let numbers = self.sent..end;
        self.sent = end;
        let bad = if self.every == 0 { 0 } else { numbers.clone().filter(|n| n % self.every == 0).count() };
        Requests { all: (numbers.end - numbers.start) as f64, bad: bad as f64 }
    }
}

/// After how many steps the account has been overdrawn for `held_for`.
fn trips_after(
    account: &mut Account,
    held_for: Duration,
    steps: u32,
    mut came: impl FnMut(u32) -> Requests,
) -> Option<u32> {
    let begin = Instant::now();
    (1..=steps).find(|step| {
        let now = begin + STEP * *step;
        account.step(now, came(*step)).is_some_and(|o| now.saturating_duration_since(o.since) >= held_for)
    })
}

#[test]
fn a_percent_and_a_half_is_more_than_one_and_nine_tenths_are_not() {
    let minute = Duration::from_secs(60);
    for (every, trips) in [(67, true), (99, true), (100, false), (111, false), (0, false)] {
        let mut pattern = Pattern { rate: 400, every, sent: 0 };
        let at = trips_after(&mut Account::new(0.01, minute), minute, 4 * 600, |step| pattern.step(u64::from(step)));
        assert_eq!(at.is_some(), trips, "one of {every}: {at:?}");
        if let Some(at) = at {
            assert!((241..=244).contains(&at), "one of {every} for a minute: after {at} steps");
        }
    }
}

#[test]
fn what_is_over_is_forgotten_after_ten_good_seconds() {
    let minute = Duration::from_secs(60);
    let mut account = Account::new(0.01, minute);
    let outage = |step: u32| Requests { all: 100.0, bad: if step <= 80 { 100.0 } else { 0.0 } };
    assert_eq!(trips_after(&mut account, minute, 400, outage), None, "twenty seconds of nothing but failures");
    assert_eq!(account.overdrawn, None);
    let mut account = Account::new(0.01, minute);
    let silence = |step: u32| if step <= 80 { Requests { all: 100.0, bad: 100.0 } } else { Requests::default() };
    assert_eq!(trips_after(&mut account, minute, 400, silence), None, "and then no traffic at all");
}

#[test]
fn failures_by_chance_do_not_break_a_bad_time() {
    // A hundred requests a second, each bad with a probability of 3 %: some seconds have none.
    let mut dice = 0x9E37_79B9_7F4A_7C15_u64;
    let mut draw = || {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        dice % 1000
    };
    let minute = Duration::from_secs(60);
    let mut without = 0;
    let at = trips_after(&mut Account::new(0.01, minute), minute, 4 * 120, |_| {
        let bad = (0..25).filter(|_| draw() < 30).count() as f64;
        without += usize::from(bad == 0.0);
        Requests { all: 25.0, bad }
    });
    assert!(without > 80, "{without} steps without a failure");
    assert!(at.is_some_and(|at| (241..=280).contains(&at)), "{at:?}");
}

proptest! {
    /// Whatever comes: it never holds for longer than since the last time that no more than the share was bad.
    #[test]
    fn it_holds_only_while_more_than_the_share_was_bad(
        share in 0.001_f64..0.9,
        steps in proptest::collection::vec((0_u32..500, 0_u32..500), 1..300),
    ) {
        let begin = Instant::now();
        let mut account = Account::new(share, Duration::from_secs(60));
        let mut history: Vec<(Instant, Requests)> = Vec::new();
        for (index, (all, bad)) in steps.into_iter().enumerate() {
            let now = begin + STEP * u32::try_from(index).expect("few");
            let came = Requests { all: f64::from(all), bad: f64::from(bad.min(all)) };
            history.push((now, came));
            let Some(overdrawn) = account.step(now, came) else { continue };
            let mut sum = Requests::default();
            for (_, came) in history.iter().filter(|(at, _)| *at >= overdrawn.since) {
                sum += *came;
                prop_assert!(sum.bad > share * sum.all - 1e-6, "{sum:?} of {share}");
            }
            prop_assert_eq!(sum, overdrawn.requests);
        }
    }

    /// A steady share that is clearly larger trips in time, one that is not larger never does.
    #[test]
    fn a_steady_share_trips_in_time_or_never(percent in 1_u32..40, every in 2_u64..200, rate in 100_u64..5000) {
        let held_for = Duration::from_secs(20);
        let share = f64::from(percent) / 100.0;
        let mut pattern = Pattern { rate, every, sent: 0 };
        let mut account = Account::new(share, held_for);
        let at = trips_after(&mut account, held_for, 4 * 40, |step| pattern.step(u64::from(step)));
        let is = 1.0 / every as f64;
        if is <= share {
            prop_assert_eq!(at, None);
        } else if is > 1.1 * share {
            prop_assert!(at.is_some_and(|at| (80..=88).contains(&at)), "{at:?}");
        }
    }
}
