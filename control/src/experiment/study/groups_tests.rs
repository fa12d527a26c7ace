use std::sync::Arc;
use std::time::Instant;

use super::*;
use crate::experiment::tests::inbound;

/// Groups whose control group takes 1 to 100 ms, with the same shape and size each time.
struct Made {
    groups: Groups,
    routes: Routes,
}

impl Made {
    fn new() -> Self {
        let mut made = Self { groups: Groups::default(), routes: Routes::default() };
        for n in 0..1_000 {
            made.add(Kind::Control, |o| o, 1 + n % 100);
        }
        made
    }

    fn add(&mut self, kind: Kind, change: impl FnOnce(Outcome) -> Outcome, took: u64) {
        let outcome = change(inbound(Instant::now(), 0, took));
        let route = self.routes.id(&outcome.route);
        let fact = Fact::new(&outcome, route, 2, Some(Duration::from_millis(500)));
        self.groups.add(kind, fact, &mut self.routes);
    }

    fn endings(&self) -> [u64; 5] {
        let Group { absorbed, slower, degraded, propagated, harmed, .. } = self.groups.report(&self.routes).0.faulted;
        [absorbed.count, slower.count, degraded.count, propagated.count, harmed.count]
    }
}

#[test]
fn what_failed_is_what_speaks_of_the_server() {
    let good = inbound(Instant::now(), 0, 1);
    let fails = |change: fn(&mut Outcome)| {
        let mut outcome = good.clone();
        change(&mut outcome);
        is_failed(&outcome)
    };
    assert!(!fails(|_| {}) && !fails(|o| o.status = Some(404)) && !fails(|o| o.grpc_status = Some(5)));
    assert!(fails(|o| o.status = None) && fails(|o| o.status = Some(503)) && fails(|o| o.is_abandoned = true));
    assert!(fails(|o| o.grpc_status = Some(14)) && !fails(|o| o.grpc_status = Some(8)));
}

#[test]
fn each_ending_is_told_from_the_control_group() {
    let mut made = Made::new();
    made.add(Kind::Faulted, |o| o, 90);
    made.add(Kind::Faulted, |o| o, 400);
    made.add(Kind::Faulted, |o| Outcome { fallbacks: 1, ..o }, 400);
    made.add(Kind::Faulted, |o| Outcome { shape: 9, ..o }, 4);
    made.add(Kind::Faulted, |o| Outcome { response_bytes: 2, ..o }, 4);
    made.add(Kind::Faulted, |o| Outcome { status: Some(500), shape: 9, ..o }, 4);
    assert_eq!(made.endings(), [1, 1, 3, 1, 1]);
    made.add(Kind::Faulted, |o| o, 600);
    assert_eq!(made.endings(), [1, 2, 3, 1, 2], "beyond the bound it is harmed");
    let (report, exemplars) = made.groups.report(&made.routes);
    assert_eq!((report.control.absorbed.count, report.control.requests), (1_000, 1_000));
    assert!(report.control.p99.is_some_and(|p99| (p99 - 0.099).abs() < 0.002));
    assert_eq!(exemplars.len(), 7);
    assert_eq!((exemplars[5].ending.as_str(), exemplars[5].status, exemplars[5].calls), ("propagated", Some(500), 2));
}

#[test]
fn a_route_is_measured_by_its_own_control_group() {
    let mut made = Made::new();
    let quick = |o| Outcome { route: Arc::from("GET /quick"), shape: 5, ..o };
    made.add(Kind::Faulted, quick, 60);
    assert_eq!(made.endings(), [1, 0, 0, 0, 0]);
    for n in 0..200 {
        made.add(Kind::Control, quick, 1 + n % 5);
    }
    assert_eq!(made.endings(), [0, 1, 0, 0, 0], "known when all is known");
}

#[test]
fn facts_beyond_the_bound_are_settled_and_none_is_lost() {
    let mut made = Made::new();
    for n in 0..FACTS_MAX as u64 + 500 {
        made.add(Kind::Faulted, |o| o, if n % 2 == 0 { 400 } else { 50 });
    }
    assert_eq!(made.groups.facts.len(), FACTS_MAX);
    let half = FACTS_MAX as u64 / 2 + 250;
    assert_eq!(made.endings(), [half, half, 0, 0, 0]);
}
