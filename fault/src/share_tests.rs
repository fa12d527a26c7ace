use proptest::prelude::*;
use squall_config::units::Percentage;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn window(percent: u32, seconds: u64) -> Window {
    Window::new(TrafficShare {
        max: Percentage::from_ppm(percent * 10_000).unwrap(),
        window: SECOND * u32::try_from(seconds).unwrap(),
    })
}

fn admitted(window: &mut Window, tries: usize, now: Duration) -> usize {
    (0..tries).filter(|_| window.admit(now)).count()
}

#[test]
fn one_is_always_allowed_and_no_more_until_there_is_traffic() {
    let mut window = window(10, 60);
    assert_eq!(admitted(&mut window, 5, Duration::ZERO), 1);
    window.see(19, SECOND);
    assert_eq!(admitted(&mut window, 5, 2 * SECOND), 0);
    window.see(1, 2 * SECOND);
    assert_eq!(admitted(&mut window, 5, 3 * SECOND), 1);
    window.see(980, 3 * SECOND);
    assert_eq!(admitted(&mut window, 1000, 4 * SECOND), 98);
    assert_eq!(window.used(4 * SECOND), Used { seen: 1000, faulted: 100 });
}

#[test]
fn traffic_is_forgotten_before_faults_are() {
    let mut window = window(50, 64);
    window.see(100, Duration::ZERO);
    assert_eq!(admitted(&mut window, 100, Duration::ZERO), 50);
    assert_eq!(window.used(63 * SECOND), Used { seen: 100, faulted: 50 });
    assert_eq!(window.used(64 * SECOND), Used { seen: 0, faulted: 50 });
    assert!(!window.admit(64 * SECOND));
    assert_eq!(window.used(65 * SECOND), Used { seen: 0, faulted: 0 });
    assert!(window.admit(65 * SECOND));
    assert_eq!(window.used(1_000_000 * SECOND), Used { seen: 0, faulted: 0 });
}

#[test]
fn what_was_not_looked_at_for_long_does_not_count() {
    let mut window = window(50, 64);
    assert_eq!(window.used(100 * SECOND), Used { seen: 0, faulted: 0 });
    window.see(1_000_000, 30 * SECOND);
    assert_eq!(window.used(100 * SECOND), Used { seen: 0, faulted: 0 });
    window.see(7, 37 * SECOND);
    assert_eq!(window.used(100 * SECOND), Used { seen: 7, faulted: 0 });
}

#[test]
fn a_late_look_is_one_at_the_newest() {
    let mut window = window(50, 64);
    window.see(100, 10 * SECOND);
    assert_eq!(admitted(&mut window, 10, 9 * SECOND), 10, "threads read the clock before they have the lock");
    assert_eq!(window.used(74 * SECOND), Used { seen: 0, faulted: 10 });
}

#[test]
fn another_share_keeps_what_was_counted() {
    let mut window = window(50, 60);
    window.see(100, SECOND);
    assert_eq!(admitted(&mut window, 100, SECOND), 50);
    window.set_share(TrafficShare { max: Percentage::from_ppm(600_000).unwrap(), ..window.share() });
    assert_eq!(admitted(&mut window, 100, SECOND), 10);
}

#[derive(Clone, Debug)]
enum Act {
    /// So many come, and are told of so much later.
    See(u64, u64),
    Admit,
}

fn acts() -> impl Strategy<Value = Vec<(u64, Act)>> {
    let act =
        prop_oneof![(0_u64..200, 0_u64..300).prop_map(|(n, lag)| Act::See(n, lag)), Just(Act::Admit), Just(Act::Admit)];
    prop::collection::vec((0_u64..700, act), 1..400)
}

proptest! {
    /// By an account of its own of every exchange and every fault to the millisecond.
    #[test]
    fn faults_never_exceed_the_share_when_one_begins(ppm in 1_u32..=1_000_000, seconds in 10_u64..30, acts in acts()) {
        let length = seconds * 1000;
        let max = Percentage::from_ppm(ppm).unwrap();
        let mut window = Window::new(TrafficShare { max, window: Duration::from_millis(length) });
        let (mut now, mut seen, mut faulted) = (1000_u64, Vec::<(u64, u64)>::new(), Vec::<u64>::new());
        for (pause, act) in acts {
            now += pause;
            match act {
                Act::See(n, lag) => {
                    // They came somewhere in between, here as early as can be.
                    seen.push((now - lag, n));
                    window.see(n, Duration::from_millis(now - lag));
                }
                Act::Admit => {
                    if !window.admit(Duration::from_millis(now)) {
                        continue;
                    }
                    faulted.push(now);
                    // (now − length, now]; and for windows that end later, twice the length.
                    let within = |length: u64, at: u64| at + length > now;
                    let n = faulted.iter().filter(|at| within(length, **at)).count() as u64;
                    let of: u64 = seen.iter().filter(|(at, _)| within(length, *at)).map(|(_, n)| n).sum();
                    let share = u128::from(of) * u128::from(ppm) / 1_000_000;
                    prop_assert!(u128::from(n) <= share.max(1), "{n} of {of}");
                }
            }
            let within = |length: u64, at: u64| at + length > now;
            let n = faulted.iter().filter(|at| within(length, **at)).count() as u64;
            let of: u64 = seen.iter().filter(|(at, _)| within(2 * length, *at)).map(|(_, n)| n).sum();
            prop_assert!(u128::from(n) <= (u128::from(of) * u128::from(ppm) / 1_000_000).max(1), "{n} of {of} in two windows");
        }
    }

    /// At a steady pace no more is refused than the pieces of the window cost: a 64th of what is seen, and one.
    #[test]
    fn a_share_below_the_limit_is_let_through(percent in 2_u32..100, per_second in 20_u64..500) {
        let mut window = window(percent, 20);
        let mut refused = 0;
        // Two thirds of the share, evenly, after a window of traffic without faults.
        let every = (300 / u64::from(percent)).max(2) / 2;
        for i in 0..60 * per_second {
            let now = Duration::from_secs_f64(i as f64 / per_second as f64);
            window.see(1, now);
            if i > 20 * per_second && i % every == 0 && u64::from(percent) * every >= 110 && !window.admit(now) {
                refused += 1;
            }
        }
        prop_assert_eq!(refused, 0);
    }
}
