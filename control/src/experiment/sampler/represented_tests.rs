use rand::RngExt;
use rand_pcg::Pcg32;
use squall_fault::trace_share::TraceShare;

use super::*;
use crate::experiment::sampler::tests::traffic_of;
use crate::experiment::tests::{call, inbound};

const SECONDS: u64 = 25;
const HALVINGS: u8 = 3;

/// A made-up service, of so many requests a second.
#[derive(Clone, Copy)]
struct World {
    rate: u64,
    /// How many calls the n-th request makes, and how many milliseconds each takes.
    calls: fn(u64) -> (u64, u64),
    /// As many more of all calls belong to nothing that could be looked at, from this request on.
    calls_of_its_own: f64,
    from: u64,
    /// Such a share of the requests bring ids of their own.
    others: f64,
    /// As many more of all calls have an id that is always in the share.
    always_in: f64,
}

const PLAIN: World =
    World { rate: 1_000, calls: |_| (1, 5), calls_of_its_own: 0.0, from: 0, others: 0.0, always_in: 0.0 };

impl World {
    /// All exchanges, and whether each was looked at.
    fn exchanges(&self, t: Instant, rng: &mut Pcg32) -> Vec<(Outcome, bool)> {
        let share = TraceShare::new(HALVINGS, squall_fault::trace_share::SharedId::Trace);
        let mut all = Vec::new();
        for n in 0..self.rate * SECONDS {
            let (begin, place, is_other) = (n * 1_000 / self.rate, rng.random::<u64>(), rng.random_bool(self.others));
            let is_looked_at = share.takes(place) && !is_other;
            let (calls, takes) = (self.calls)(n);
            all.push((Outcome { place, ..inbound(t, begin, takes + 5) }, is_looked_at));
            for _ in 0..calls {
                all.push((Outcome { place, ..call(t, begin + 1, takes) }, is_looked_at));
                if n >= self.from && rng.random_bool(self.calls_of_its_own) {
                    all.push((call(t, begin + 1, takes), false));
                }
                if rng.random_bool(self.always_in) {
                    let place = rng.random::<u64>() >> HALVINGS;
                    all.push((Outcome { place, ..call(t, begin + 1, takes) }, true));
                }
            }
        }
        all
    }

    /// After how many tenths of a second it is disproved that what is looked at stands for all.
    fn disproved(&self, seed: u64) -> Option<u64> {
        let (t, mut rng) = (Instant::now(), Pcg32::new(seed, 3));
        let exchanges = self.exchanges(t, &mut rng);
        let mut represented = Represented::default();
        let tenth_of = |at: Instant| u64::try_from(at.duration_since(t).as_millis()).unwrap() / 100;
        let n_tenths = 10 * usize::try_from(SECONDS).unwrap();
        let mut ending: Vec<Vec<Outcome>> = vec![Vec::new(); n_tenths];
        let mut changes = vec![[[0; 2]; 2]; n_tenths];
        for (outcome, is_looked_at) in exchanges {
            let direction = usize::from(outcome.direction == Direction::Outbound);
            let [begun, ended] = [outcome.began, outcome.ended].map(|at| usize::try_from(tenth_of(at)).unwrap());
            if begun < n_tenths {
                changes[begun][direction][0] += 1;
            }
            if ended < n_tenths {
                changes[ended][direction][1] += 1;
                ending[ended].extend(is_looked_at.then_some(outcome));
            }
        }
        let mut totals = [[0; 2]; 2];
        (1..).zip(changes.into_iter().zip(ending)).find_map(|(tenth, (change, outcomes))| {
            for (sum, more) in totals.as_flattened_mut().iter_mut().zip(change.as_flattened()) {
                *sum += more;
            }
            let now = t + Duration::from_millis(100 * tenth);
            (!represented.look(now, &traffic_of(totals), &outcomes, HALVINGS)).then_some(tenth)
        })
    }
}

#[test]
fn what_is_drawn_by_chance_stands_for_all_with_every_seed() {
    for world in [
        PLAIN,
        World { rate: 50, ..PLAIN },
        // All are held, some for longer than a comparison takes.
        World { calls: |n| (1, if n % 20 == 0 { 12_000 } else { 2_000 }), ..PLAIN },
        // Some make many calls.
        World { calls: |n| (if n % 20 == 0 { 20 } else { 1 }, 5), ..PLAIN },
        World { calls: |n| (u64::from(n % 50 == 0), 5), ..PLAIN },
        World { calls_of_its_own: 0.04, others: 0.04, ..PLAIN },
    ] {
        for seed in 0..10 {
            assert_eq!(world.disproved(seed), None, "seed {seed}, {} a second", world.rate);
        }
    }
}

#[test]
fn when_as_much_again_is_not_looked_at_that_shows_within_seconds_with_every_seed() {
    for seed in 0..10 {
        for world in [
            World { calls_of_its_own: 1.0, ..PLAIN },
            World { others: 0.6, ..PLAIN },
            World { always_in: 0.3, ..PLAIN },
            World { calls: |_| (3, 5), calls_of_its_own: 1.0, ..PLAIN },
        ] {
            let found = world.disproved(seed);
            assert!(found.is_some_and(|tenth| tenth <= 60), "seed {seed}: {found:?}");
        }
        let later = World { calls_of_its_own: 1.0, from: 12_000, ..PLAIN }.disproved(seed);
        assert!(later.is_some_and(|tenth| (121..=170).contains(&tenth)), "seed {seed}: {later:?}");
        let slight = World { calls_of_its_own: 0.4, ..PLAIN }.disproved(seed);
        assert!(slight.is_some_and(|tenth| tenth <= 100), "seed {seed}: {slight:?}");
    }
}
