use rand::RngExt;
use rand_pcg::Pcg32;

use super::*;

/// One experiment of `requests`, of which `share` are faulted, looked at after each.
struct Trial {
    requests: u32,
    share: f64,
    control: f64,
    faulted: f64,
    tolerated: f64,
}

impl Trial {
    /// After which request harm is called.
    fn run(&self, seed: u64) -> Option<u32> {
        let mut rng = Pcg32::new(seed, 7);
        let mut evidence = Evidence::new(self.tolerated);
        (1..=self.requests).find(|_| {
            if rng.random_bool(self.share) {
                evidence.faulted(0, rng.random_bool(self.faulted));
            } else {
                evidence.control(0, rng.random_bool(self.control));
            }
            evidence.is_called()
        })
    }

    fn called(&self, seeds: u64) -> usize {
        (0..seeds).filter(|seed| self.run(*seed).is_some()).count()
    }
}

#[test]
fn equal_groups_are_called_harmed_in_at_most_one_of_twenty_over_every_seed() {
    for share in [0.05, 0.5, 0.95] {
        for rate in [0.0, 0.005, 0.05, 0.5] {
            let trial = Trial { requests: 2_000, share, control: rate, faulted: rate, tolerated: 0.0 };
            let called = trial.called(300);
            assert!(called <= 15, "{share} faulted, {rate} harmed: {called} of 300");
        }
    }
}

#[test]
fn at_the_edge_of_what_is_tolerated_it_is_as_rare_over_every_seed() {
    for (control, tolerated) in [(0.0, 0.05), (0.02, 0.05), (0.3, 0.2), (0.001, 0.001)] {
        let faulted = control + tolerated;
        let trial = Trial { requests: 2_000, share: 0.2, control, faulted, tolerated };
        let called = trial.called(300);
        assert!(called <= 15, "{control} and {tolerated}: {called} of 300");
    }
}

#[test]
fn strong_harm_is_called_with_every_seed_and_soon() {
    let trial = Trial { requests: 2_000, share: 0.05, control: 0.0, faulted: 1.0, tolerated: 0.0 };
    for seed in 0..50 {
        let at = trial.run(seed);
        assert!(at.is_some_and(|at| at <= 500), "seed {seed}: {at:?}");
    }
    let tolerant = Trial { tolerated: 0.1, ..trial };
    assert_eq!(tolerant.called(50), 50);
    let half = Trial { requests: 2_000, share: 0.05, control: 0.01, faulted: 0.5, tolerated: 0.0 };
    assert_eq!(half.called(50), 50);
}

#[test]
fn what_is_tolerated_is_not_called() {
    let trial = Trial { requests: 2_000, share: 0.3, control: 0.0, faulted: 0.04, tolerated: 0.1 };
    assert_eq!(trial.called(100), 0);
    let all = Trial { requests: 2_000, share: 0.3, control: 0.0, faulted: 1.0, tolerated: 1.0 };
    assert_eq!(all.called(20), 0);
    let none = Trial { tolerated: 0.0, ..trial };
    assert!(none.called(50) >= 45, "without tolerance it is: {}", none.called(50));
}

#[test]
fn routes_that_are_faulted_more_often_and_fail_more_often_are_no_harm() {
    // Two routes: of the one nine of ten requests are faulted and three of ten fail, of the other one of 20, and none.
    let (mut called, mut apart) = (0, 0);
    for seed in 0..200 {
        let mut rng = Pcg32::new(seed, 9);
        let mut evidence = Evidence::new(0.0);
        for _ in 0..2_000 {
            let (route, share, rate) = if rng.random_bool(0.5) { (1, 0.9, 0.3) } else { (2, 0.05, 0.0) };
            let is_harmed = rng.random_bool(rate);
            if rng.random_bool(share) {
                evidence.faulted(route, is_harmed);
            } else {
                evidence.control(route, is_harmed);
            }
        }
        called += u32::from(evidence.is_called());
        apart += u32::from(evidence.difference().unwrap().low > 0.0);
    }
    assert!(called <= 10, "{called} of 200");
    assert!(apart <= 15, "the interval is above 0 in {apart} of 200");
}

/// The expectation of what a block multiplies the evidence with, under two shares.
fn expectation(expected: Expected, tolerated: f64, controls: u64, truth: Expected) -> f64 {
    let mut sum = 0.0;
    for bits in 0..1_u32 << controls {
        let bad = u64::from(bits.count_ones());
        let chance = truth.control.powf(float(bad)) * (1.0 - truth.control).powf(float(controls - bad));
        for (is_harmed, chance_faulted) in [(true, truth.faulted), (false, 1.0 - truth.faulted)] {
            let block = Count { all: controls, bad };
            sum += chance * chance_faulted * growth(expected, tolerated, block, is_harmed).exp();
        }
    }
    sum
}

#[test]
fn a_block_expects_at_most_one_wherever_the_hypothesis_is_true() {
    let shares = [0.001, 0.02, 0.1, 0.3, 0.5, 0.8, 0.98];
    for tolerated in [0.0, 0.01, 0.2] {
        for expected in shares.iter().flat_map(|c| shares.map(|f| Expected { control: *c, faulted: f })) {
            if expected.faulted <= expected.control + tolerated {
                continue;
            }
            for control in shares {
                for faulted in shares.into_iter().chain([control + tolerated]).filter(|f| *f <= control + tolerated) {
                    let truth = Expected { control, faulted: faulted.min(1.0) };
                    let mean = expectation(expected, tolerated, 5, truth);
                    assert!(mean <= 1.0 + 1e-6, "{expected:?} {tolerated} {truth:?}: {mean}");
                }
            }
        }
    }
}
