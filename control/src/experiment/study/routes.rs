//! Calls to A by route: which need what was faulted, and which fared worse, though they should not.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;

use super::durations::Durations;
use super::looks::Looks;
use super::statistics::{Count, fisher};
use crate::experiment::report::RouteReport;

/// So many are told apart; all beyond are one more.
const ROUTES_MAX: usize = 128;

/// What those beyond are called.
const REST: &str = "other routes";

/// By chance one of so many reports has a route that is said to have suffered.
const ERROR: f64 = 0.001;

/// So many requests in both phases, or nothing is said of quantiles.
const REQUESTS_MIN: u64 = 100;

/// A p99 that is not higher by as much, in seconds, is not worth a word.
const P99_MIN: f64 = 0.010;

/// The routes.
#[derive(Debug, Default)]
pub(super) struct Routes {
    ids: HashMap<Arc<str>, u16, RandomState>,
    routes: Vec<Route>,
}

/// Calls to A of one route.
#[derive(Debug)]
pub(super) struct Route {
    name: Arc<str>,
    /// Whether rules matched calls that A made for it.
    pub(super) uses_faulted: bool,
    /// Before anything was injected.
    pub(super) baseline: Part,
    /// While faults flowed.
    pub(super) injecting: Part,
    /// What requests of the control group took.
    pub(super) control: Durations,
    /// What good answers look like without a fault.
    pub(super) looks: Looks,
}

/// Those of one phase.
#[derive(Debug, Default)]
pub(super) struct Part {
    harmed: Count,
    durations: Durations,
}

impl Part {
    /// One more.
    pub(super) fn add(&mut self, is_harmed: bool, took: Duration) {
        self.harmed.add(is_harmed);
        self.durations.add(took);
    }
}

impl Routes {
    /// The number of a route.
    pub(super) fn id(&mut self, name: &Arc<str>) -> u16 {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        let name = if self.ids.len() < ROUTES_MAX { Arc::clone(name) } else { Arc::from(REST) };
        let next = u16::try_from(self.routes.len()).expect("invariant: there are few routes");
        let id = *self.ids.entry(Arc::clone(&name)).or_insert(next);
        if id == next {
            self.routes.push(Route::new(name));
        }
        id
    }

    /// By its number.
    pub(super) fn get(&self, id: u16) -> &Route {
        &self.routes[usize::from(id)]
    }

    /// By its number.
    pub(super) fn get_mut(&mut self, id: u16) -> &mut Route {
        &mut self.routes[usize::from(id)]
    }

    /// Those with the most requests first.
    pub(super) fn report(&self) -> Vec<RouteReport> {
        let (mut reports, error) = (Vec::with_capacity(self.routes.len()), self.error());
        reports.extend(self.routes.iter().map(|route| route.report(error)));
        reports.sort_by_key(|r| std::cmp::Reverse(r.baseline_requests + r.injecting_requests));
        reports
    }

    /// Each route is looked at in two ways, and each of them has its part of the error (Bonferroni).
    fn error(&self) -> f64 {
        ERROR / (2.0 * super::statistics::float(self.routes.len().max(1) as u64))
    }
}

impl Route {
    fn new(name: Arc<str>) -> Self {
        let (baseline, injecting) = (Part::default(), Part::default());
        let (control, looks) = (Durations::default(), Looks::default());
        Self { name, uses_faulted: false, baseline, injecting, control, looks }
    }

    /// For people.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn report(&self, error: f64) -> RouteReport {
        let Self { baseline, injecting, .. } = self;
        RouteReport {
            route: self.name.to_string(),
            uses_faulted: self.uses_faulted,
            baseline_requests: baseline.harmed.all,
            baseline_harmed: baseline.harmed.bad,
            baseline_p99: baseline.durations.quantile(0.99),
            injecting_requests: injecting.harmed.all,
            injecting_harmed: injecting.harmed.bad,
            injecting_p99: injecting.durations.quantile(0.99),
            suffered: fisher(injecting.harmed, baseline.harmed) < error || is_slower(injecting, baseline, error),
        }
    }
}

/// Whether the p99 has more than doubled, and not by chance: a quantile of few requests hangs on one or two of them, so it is
/// also tested how many took longer than twice what the p99 was.
fn is_slower(injecting: &Part, baseline: &Part, error: f64) -> bool {
    let (Some(before), Some(now)) = (baseline.durations.quantile(0.99), injecting.durations.quantile(0.99)) else {
        return false;
    };
    let (all_before, all_now) = (baseline.durations.len(), injecting.durations.len());
    if all_before.min(all_now) < REQUESTS_MIN || now <= 2.0 * before || now - before < P99_MIN {
        return false;
    }
    let slow = |part: &Part| part.durations.longer_than(2.0 * before);
    let (slow_before, slow_now) = (slow(baseline), slow(injecting));
    // Of the requests before, one of a hundred was beyond the p99: no fewer, by what is known, may be beyond twice of it.
    let before = Count { all: all_before, bad: slow_before.max(all_before / 100) };
    fisher(Count { all: all_now, bad: slow_now }, before) < error
}

#[cfg(test)]
mod tests {
    use rand::RngExt;
    use rand_pcg::Pcg32;

    use super::*;

    /// A route with requests of both phases: (how many, which share is harmed, what they take on average).
    fn suffered(seed: u64, before: (u32, f64, f64), now: (u32, f64, f64)) -> bool {
        let mut rng = Pcg32::new(seed, 1);
        let mut routes = Routes::default();
        let id = routes.id(&Arc::from("GET /"));
        let mut fill = |part: &mut Part, (n, rate, mean): (u32, f64, f64)| {
            for _ in 0..n {
                // What they take is spread as waiting times are.
                let took = -mean * (1.0 - rng.random::<f64>()).ln();
                part.add(rng.random_bool(rate), Duration::from_secs_f64(took));
            }
        };
        fill(&mut routes.get_mut(id).baseline, before);
        fill(&mut routes.get_mut(id).injecting, now);
        routes.report()[0].suffered
    }

    #[test]
    fn only_what_is_beyond_chance_has_suffered() {
        let count = |before, now| (0..100).filter(|seed| suffered(*seed, before, now)).count();
        assert_eq!(count((600, 0.01, 0.02), (1_200, 0.01, 0.02)), 0, "as before");
        assert_eq!(count((50, 0.0, 0.02), (80, 0.0, 0.5)), 0, "too few for a quantile");
        assert_eq!(count((600, 0.01, 0.0001), (1_200, 0.01, 0.001)), 0, "not worth a word");
        assert_eq!(count((600, 0.01, 0.02), (1_200, 0.1, 0.02)), 100, "ten times as many fail");
        assert_eq!(count((600, 0.01, 0.02), (1_200, 0.01, 0.08)), 100, "four times as slow");
    }

    #[test]
    fn there_is_a_bound_of_routes() {
        let mut routes = Routes::default();
        let ids: Vec<u16> = (0..1_000).map(|n| routes.id(&Arc::from(format!("GET /{n}")))).collect();
        assert_eq!(ids[127], 127);
        assert!(ids[128..].iter().all(|id| *id == 128));
        assert_eq!(routes.id(&Arc::from("GET /5")), 5);
        assert_eq!(&*routes.get(128).name, REST);
    }
}
