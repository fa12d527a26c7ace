//! Whether requests of one kind are harmed more than those before anything was injected: for when there is no control group
//! at the same time, because all is faulted, or A does not pass on ids.
//!
//! What was harmed before bounds the share from above, route by route, with a chance of error of 1 of 40 in all. The evidence
//! against "no more than that bound and what is tolerated" is the product of what was expected over the edge of the
//! hypothesis, and expects at most 1 under it (a test martingale for one coin; see Waudby-Smith and Ramdas, "Estimating means
//! of bounded random variables by betting", 2024). It counts half, so that with the bound's error all errors together are
//! again at most 1 of 20. What changes with time by itself looks like harm to this, unlike to a control group.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::evidence::ENOUGH;
use super::statistics::{Count, Difference, float, upper_bound, weighted_difference};

/// That one of the bounds is too low.
const BOUND_ERROR: f64 = 0.025;

/// Half a request, so that what is expected is never 0 or 1.
const PRIOR: f64 = 0.5;

/// The evidence so far.
#[derive(Debug)]
pub(super) struct PhaseEvidence {
    tolerated: f64,
    log: f64,
    log_max: f64,
    /// How many of the requests were faulted, on average, summed up.
    scales: f64,
    routes: HashMap<u16, Route, RandomState>,
}

#[derive(Debug, Default)]
struct Route {
    before: Count,
    now: Count,
    bound: Option<Bound>,
}

/// What the share of harmed requests of a route is not above, and what it was made from.
#[derive(Clone, Copy, Debug)]
struct Bound {
    before: Count,
    n_routes: usize,
    share: f64,
}

impl PhaseEvidence {
    /// None yet. `tolerated` is a share.
    pub(super) fn new(tolerated: f64) -> Self {
        Self { tolerated, log: 0.0, log_max: 0.0, scales: 0.0, routes: HashMap::default() }
    }

    /// A request before anything was injected.
    pub(super) fn before(&mut self, route: u16, is_harmed: bool) {
        self.routes.entry(route).or_default().before.add(is_harmed);
    }

    /// A request while faults flow; of those like it, this share is faulted.
    pub(super) fn now(&mut self, route: u16, is_harmed: bool, scale: f64) {
        let n_routes = self.routes.len().max(1);
        let route = self.routes.entry(route).or_default();
        let edge = route.bound(n_routes) + scale * self.tolerated;
        let expected = (float(route.now.bad) + PRIOR) / (float(route.now.all) + 2.0 * PRIOR);
        if expected > edge {
            let ratio = if is_harmed { expected / edge } else { (1.0 - expected) / (1.0 - edge) };
            self.log += ratio.ln();
            self.log_max = self.log_max.max(self.log);
        }
        self.scales += scale;
        route.now.add(is_harmed);
    }

    /// The largest e-value that there was: that a sequence of them ever becomes large is as unlikely as that one is (Ville).
    pub(super) fn value(&self) -> f64 {
        self.log_max.clamp(-500.0, 500.0).exp() / 2.0
    }

    /// Whether it was ever beyond doubt.
    pub(super) fn is_called(&self) -> bool {
        self.log_max >= (2.0 * ENOUGH).ln()
    }

    /// How much larger the share of harmed requests is among those that were faulted than before, with its 95 % confidence
    /// interval. Routes are weighted as they are now; those that were not there before are left out.
    pub(super) fn difference(&self) -> Option<Difference> {
        let found = weighted_difference(self.routes.values().map(|route| (route.now, route.before)))?;
        let scale = self.scales / float(self.routes.values().map(|route| route.now.all).sum());
        let stretched = |difference: f64| (difference / scale).clamp(-1.0, 1.0);
        let Difference { value, low, high } = found;
        (scale > 0.0).then(|| Difference { value: stretched(value), low: stretched(low), high: stretched(high) })
    }
}

impl Route {
    /// What the share of harmed requests is not above. Requests that began before may end, and be counted, later.
    fn bound(&mut self, n_routes: usize) -> f64 {
        match self.bound {
            Some(bound) if bound.before == self.before && bound.n_routes == n_routes => bound.share,
            _ => {
                let share = upper_bound(self.before, BOUND_ERROR / float(n_routes as u64));
                self.bound = Some(Bound { before: self.before, n_routes, share });
                share
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;
    use rand_pcg::Pcg32;

    use super::*;

    /// The evidence of 1,000 requests before and 2,000 after, of two routes.
    fn run(seed: u64, rates: [f64; 2], harm: f64, tolerated: f64, scale: f64) -> PhaseEvidence {
        let mut rng = Pcg32::new(seed, 3);
        let mut evidence = PhaseEvidence::new(tolerated);
        for n in 0..3_000 {
            let route = rng.random_range(0..2_u16);
            let rate = rates[usize::from(route)];
            if n < 1_000 {
                evidence.before(route, rng.random_bool(rate));
            } else {
                let is_harmed = rng.random_bool(rate) || rng.random_bool(scale) && rng.random_bool(harm);
                evidence.now(route, is_harmed, scale);
            }
        }
        evidence
    }

    #[test]
    fn what_is_as_before_is_called_harmed_in_at_most_one_of_twenty() {
        for rates in [[0.0, 0.0], [0.005, 0.05], [0.5, 0.0]] {
            let called = (0..200).filter(|seed| run(*seed, rates, 0.0, 0.0, 1.0).is_called()).count();
            assert!(called <= 10, "{rates:?}: {called} of 200");
        }
    }

    #[test]
    fn harm_is_called_with_every_seed_and_measured_for_those_that_were_faulted() {
        for seed in 0..50 {
            let evidence = run(seed, [0.0, 0.005], 1.0, 0.0, 0.05);
            assert!(evidence.is_called(), "seed {seed}: {}", evidence.value());
            let found = evidence.difference().unwrap();
            assert!(
                found.low < found.value && found.value <= found.high && found.value > 0.6,
                "seed {seed}: {found:?}"
            );
        }
    }

    #[test]
    fn what_is_tolerated_and_what_nothing_was_known_of_are_not_called() {
        assert!((0..50).all(|seed| !run(seed, [0.0, 0.01], 0.1, 0.15, 0.5).is_called()));
        let mut evidence = PhaseEvidence::new(0.0);
        (0..100).for_each(|_| evidence.now(1, true, 1.0));
        assert!(!evidence.is_called() && evidence.difference().is_none());
    }
}
