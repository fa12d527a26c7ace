use std::sync::Arc;

use rand::RngExt;
use rand_pcg::Pcg32;
use squall_fault::trace_share::SharedId;
use squall_telemetry::ExperimentMatch;

use super::*;
use crate::experiment::report::{Held, RuleReport, SteadyStateReport, Verdict};
use crate::experiment::tests::{call, experiment, inbound};
use crate::experiment::verdict::judge;

/// How A takes it.
#[derive(Clone, Copy, PartialEq)]
enum App {
    /// Waits 100 ms for B, and answers from its cache.
    Robust,
    /// Fails with B.
    Fragile,
    /// Tries three times, then answers without.
    Retrying,
    /// The fault does nothing.
    Untouched,
    /// Fails with B, and passes on no ids.
    Silent,
    /// Does not call through Squall.
    Bypassing,
}

/// A made-up run: some requests before, some while a share of the calls is faulted; fifty a second.
struct World {
    app: App,
    share: f64,
    baseline: u64,
    injecting: u64,
    /// Of requests that fail by themselves.
    error_rate: f64,
    /// From which request on which share of the traces is looked at.
    shares: &'static [(u64, u8)],
}

const EVERY_MS: u64 = 20;

impl World {
    fn new(app: App) -> Self {
        Self { app, share: 0.05, baseline: 400, injecting: 2_000, error_rate: 0.0, shares: &[] }
    }

    fn run(&self, seed: u64) -> (Report, Study) {
        let (t, mut rng) = (Instant::now(), Pcg32::new(seed, 11));
        let at = |ms| t + Duration::from_millis(ms);
        let mut study = Study::new(&experiment(), t, Some(Duration::from_millis(500)));
        let begin = self.baseline * EVERY_MS;
        let end = begin + self.injecting * EVERY_MS;
        let mut outcomes: Vec<Outcome> = Vec::new();
        for n in 0..self.baseline + self.injecting {
            self.request(&mut rng, t, n, &mut outcomes);
        }
        let injected = outcomes.iter().filter(|o| o.matched.as_ref().is_some_and(|by| by.is_picked)).count() as u64;
        let matched = outcomes.iter().filter(|o| o.matched.is_some()).count() as u64;
        let changes =
            self.shares.iter().map(|(n, halvings)| (n * EVERY_MS, TraceShare::new(*halvings, SharedId::Trace)));
        let mut changes = changes.collect::<Vec<_>>().into_iter().peekable();
        outcomes.retain_mut(|o| self.is_looked_at(t, &mut rng, o));
        // Two workers: what ends is seen within 250 ms, in no order.
        outcomes.sort_by_key(|o| (o.ended.duration_since(t).as_millis() / 250, o.trace % 2, o.ended));
        let mut rest = outcomes.into_iter().peekable();
        study.enter(RunPhase::Baseline, t);
        for now in (0..=end + 2_000).step_by(250) {
            match now {
                _ if now == begin => study.enter(RunPhase::Injecting, at(now)),
                _ if now == end => study.enter(RunPhase::Recovering, at(now)),
                _ => {}
            }
            while let Some((at_ms, share)) = changes.next_if(|(at_ms, _)| *at_ms <= now) {
                study.look_at(share, at(at_ms));
            }
            let mut seen: Vec<_> = std::iter::from_fn(|| rest.next_if(|o| o.ended <= at(now))).collect();
            study.take(at(now), &mut seen, 0);
            assert!(seen.is_empty());
        }
        study.finish(at(end + 2_000));
        let held = Held { held: Some(true), requests: Some(self.baseline), ..Held::default() };
        let (baseline, injecting, recovering) = (held.clone(), held.clone(), held);
        let statement = SteadyStateReport { baseline, injecting, recovering, ..SteadyStateReport::default() };
        let rule = RuleReport { matched, injected, ..RuleReport::default() };
        let mut report = Report { steady_state: vec![statement], rules: vec![rule], ..Report::default() };
        report.phases.push(crate::experiment::report::PhaseSpan { phase: RunPhase::Injecting, from: 8.0, to: 48.0 });
        study.fill(at(end + 2_000), &mut report);
        (report, study)
    }

    /// As a worker decides when an exchange begins.
    fn is_looked_at(&self, t: Instant, rng: &mut Pcg32, outcome: &mut Outcome) -> bool {
        let began = u64::try_from(outcome.began.duration_since(t).as_millis()).unwrap();
        let then = self.shares.iter().rev().find(|(n, _)| n * EVERY_MS <= began);
        let share = TraceShare::new(then.map_or(0, |(_, halvings)| *halvings), SharedId::Trace);
        outcome.place = share.place(outcome.trace, outcome.request_id).unwrap_or_else(|| rng.random());
        share.takes(outcome.place)
    }

    /// The exchanges of the n-th request.
    fn request(&self, rng: &mut Pcg32, t: Instant, n: u64, into: &mut Vec<Outcome>) {
        let (begin, is_injecting) = (n * EVERY_MS, n >= self.baseline);
        let b_takes = rng.random_range(5..40);
        let is_plain = rng.random_bool(0.2) || self.app == App::Bypassing;
        let is_faulted = !is_plain && is_injecting && rng.random_bool(self.share);
        let fails = rng.random_bool(self.error_rate);
        let mut root = Outcome { trace: 1 + u128::from(n), ..inbound(t, begin, b_takes + 5) };
        if fails {
            root.status = Some(500);
        }
        if is_plain {
            root.route = Arc::from("GET /plain");
            into.push(root);
            return;
        }
        let experiment = Name::new("e").unwrap();
        let mut made = Outcome { trace: root.trace, ..call(t, begin + 2, b_takes) };
        made.matched = is_injecting.then_some(ExperimentMatch { experiment, is_picked: is_faulted });
        made.is_injected = is_faulted;
        if self.app == App::Silent {
            made.trace = 1 << 100 | u128::from(n);
        }
        if is_faulted {
            into.extend(self.fault(&mut root, &mut made));
        }
        into.extend([root, made]);
    }

    /// What a faulted call changes, and the calls after it.
    fn fault(&self, root: &mut Outcome, made: &mut Outcome) -> Vec<Outcome> {
        let begin = root.began;
        let after = |ms| begin + Duration::from_millis(ms);
        match self.app {
            App::Robust => {
                (made.ended, made.status, made.is_abandoned) = (after(102), None, true);
                (root.ended, root.fallbacks) = (after(105), 1);
            }
            App::Fragile | App::Silent => (made.status, root.status) = (Some(503), Some(500)),
            App::Retrying => {
                (made.ended, made.status) = (after(4), Some(503));
                root.ended = after(200);
                let again = |n: u64| Outcome { began: after(50 * n), ended: after(50 * n + 2), ..made.clone() };
                return [1, 2].map(again).into();
            }
            App::Untouched | App::Bypassing => {}
        }
        Vec::new()
    }

    fn verdict(&self, seed: u64) -> (Verdict, Vec<String>, Report) {
        let (report, _) = self.run(seed);
        let (verdict, reasons) = judge(&report, &experiment());
        (verdict, reasons, report)
    }
}

#[test]
fn one_that_answers_without_b_has_held_with_every_seed() {
    for seed in 0..50 {
        let (verdict, reasons, report) = World::new(App::Robust).verdict(seed);
        assert_eq!(verdict, Verdict::Held, "seed {seed}: {reasons:?}");
        let faulted = &report.groups.faulted;
        assert_eq!(faulted.degraded.count, faulted.requests, "seed {seed}");
    }
}

#[test]
fn one_that_fails_with_b_has_failed_with_every_seed() {
    for seed in 0..50 {
        let (report, study) = World::new(App::Fragile).run(seed);
        let (verdict, reasons) = judge(&report, &experiment());
        assert_eq!(verdict, Verdict::Failed, "seed {seed}: {reasons:?}");
        assert!(reasons[0].starts_with("Harm is beyond doubt"), "seed {seed}: {reasons:?}");
        let harm = study.harm().unwrap();
        let soon = harm.at.duration_since(study.began).as_secs_f64();
        assert!(soon < 20.0 && harm.evidence > 20.0 && harm.difference > 0.9, "seed {seed}: after {soon} s, {harm:?}");
        assert_eq!(report.harm.called_at, Some(soon));
    }
}

#[test]
fn a_fault_that_does_nothing_is_seldom_called_harm_over_every_seed() {
    let world = World { error_rate: 0.01, ..World::new(App::Untouched) };
    let failed = (0..200).filter(|seed| world.verdict(*seed).0 == Verdict::Failed).count();
    assert!(failed <= 10, "{failed} of 200");
    let (verdict, reasons, report) = world.verdict(1);
    assert_eq!(verdict, Verdict::Held, "{reasons:?}");
    assert_eq!(report.join.share, Some(1.0));
    let groups = &report.groups;
    assert_eq!(groups.faulted.requests + groups.control.requests + groups.others.requests, 2_000);
    assert_eq!(groups.baseline.requests, 400);
    assert_eq!(
        report.routes.iter().map(|r| (r.route.as_str(), r.uses_faulted)).collect::<Vec<_>>(),
        [("GET /", true), ("GET /plain", false)]
    );
}

#[test]
fn three_tries_show_as_three_times_the_calls() {
    for seed in 0..10 {
        let (_, _, report) = World::new(App::Retrying).verdict(seed);
        let retries = &report.retries;
        assert!((2.9..=3.1).contains(&retries.amplification.unwrap()), "seed {seed}: {retries:?}");
        assert_eq!((retries.retried, retries.calls_max), (report.groups.faulted.requests, 3));
        assert_eq!(retries.spacing, "fixed", "{:?}", retries.gaps);
    }
}

/// Four times as many requests, of which a quarter is looked at from the start.
fn quarter(app: App) -> World {
    World { baseline: 1_600, injecting: 8_000, shares: &[(0, 2)], ..World::new(app) }
}

/// A [`quarter`] at first; from the middle of the injection on a sixteenth is looked at, and towards its end a half.
fn changing(app: App) -> World {
    World { shares: &[(0, 2), (5_000, 4), (7_000, 1)], ..quarter(app) }
}

#[test]
fn of_a_share_of_the_traces_the_same_is_concluded_with_every_seed() {
    for seed in 0..20 {
        for world in [quarter, changing] {
            let (verdict, reasons, report) = world(App::Robust).verdict(seed);
            assert_eq!(verdict, Verdict::Held, "seed {seed}: {reasons:?}");
            let (join, faulted) = (&report.join, &report.groups.faulted);
            assert_eq!((join.share, faulted.degraded.count), (Some(1.0), faulted.requests), "seed {seed}: {join:?}");
            let (verdict, reasons, report) = world(App::Fragile).verdict(seed);
            assert_eq!(verdict, Verdict::Failed, "seed {seed}: {reasons:?}");
            assert_eq!((report.join.share, report.harm.method.as_str()), (Some(1.0), "joined"));
            let (_, _, report) = world(App::Retrying).verdict(seed);
            let retries = &report.retries;
            assert!((2.9..=3.1).contains(&retries.amplification.unwrap()), "seed {seed}: {retries:?}");
            assert_eq!((retries.calls_max, retries.spacing.as_str()), (3, "fixed"));
        }
        let (verdict, reasons, report) = quarter(App::Silent).verdict(seed);
        assert_eq!((verdict, report.harm.method.as_str()), (Verdict::Failed, "phases"), "seed {seed}: {reasons:?}");
        assert_eq!(report.join.share, Some(0.0));
    }
    let world = World { error_rate: 0.01, ..quarter(App::Untouched) };
    let failed = (0..100).filter(|seed| world.verdict(*seed).0 == Verdict::Failed).count();
    assert!(failed <= 5, "{failed} of 100");
}

#[test]
fn a_share_of_the_traces_stands_for_all_in_the_series_and_only_for_itself_in_the_groups() {
    let (report, _) = quarter(App::Robust).run(1);
    let sum = |read: fn(&crate::experiment::report::SeriesPoint) -> u64| report.series.iter().map(read).sum::<u64>();
    let (requests, calls, looked_at) = (sum(|p| p.requests), sum(|p| p.calls), sum(|p| p.faulted + p.control));
    assert!((9_000..=10_200).contains(&requests) && (7_000..=8_400).contains(&calls), "{requests} {calls}");
    assert!((1_400..=1_800).contains(&looked_at), "{looked_at}");
    let groups = &report.groups;
    let injecting = groups.faulted.requests + groups.control.requests + groups.others.requests;
    assert_eq!(injecting, report.join.requests);
    assert!((1_800..=2_200).contains(&injecting), "{injecting}");
    assert_eq!(report.join.sampled.unwrap().one_in, 4);
    assert!(judge(&report, &experiment()).1.iter().any(|r| r.starts_with("One trace in 4 was looked at")));
}

#[test]
fn without_ids_phases_are_compared() {
    for seed in 0..20 {
        let (verdict, reasons, report) = World::new(App::Silent).verdict(seed);
        assert_eq!((report.join.share, report.harm.method.as_str()), (Some(0.0), "phases"));
        assert_eq!(verdict, Verdict::Failed, "seed {seed}: {reasons:?}");
        assert!(reasons.iter().any(|r| r.contains("A does not pass on trace ids")), "{reasons:?}");
        assert!(report.harm.difference > Some(0.5), "of the faulted ones nearly all: {:?}", report.harm);
    }
}

#[test]
fn with_all_faulted_those_before_are_the_control_group() {
    for (app, expected) in [(App::Fragile, Verdict::Failed), (App::Robust, Verdict::Held)] {
        let world = World { share: 1.0, injecting: 500, ..World::new(app) };
        for seed in 0..10 {
            let (verdict, reasons, report) = world.verdict(seed);
            assert_eq!(verdict, expected, "seed {seed}: {reasons:?}");
            assert_eq!((report.harm.method.as_str(), report.groups.control.requests), ("phases", 0));
        }
    }
}

#[test]
fn those_before_are_known_when_the_first_faulted_ones_are_however_short_it_is() {
    for (app, expected) in [(App::Fragile, Verdict::Failed), (App::Robust, Verdict::Held)] {
        // Two seconds before, two of faults, and two until the end.
        let world = World { share: 1.0, baseline: 100, injecting: 100, ..World::new(app) };
        for seed in 0..10 {
            let (verdict, reasons, report) = world.verdict(seed);
            assert_eq!((verdict, report.groups.baseline.requests), (expected, 100), "seed {seed}: {reasons:?}");
        }
    }
}

#[test]
fn one_that_does_not_call_through_squall_and_too_few_say_nothing() {
    let (verdict, reasons, _) = World::new(App::Bypassing).verdict(1);
    assert_eq!(verdict, Verdict::Inconclusive);
    assert!(reasons[0].contains("A does not call through Squall"), "{reasons:?}");
    let few = World { share: 0.002, injecting: 500, ..World::new(App::Robust) };
    let (verdict, reasons, report) = few.verdict(5);
    assert_eq!(verdict, Verdict::Inconclusive, "{:?}", report.groups.faulted);
    assert!(reasons[0].contains("Too few to tell") || reasons[0].contains("Nothing was faulted"), "{reasons:?}");
}

#[test]
fn where_no_call_is_seen_as_with_faults_of_connections_all_are_compared_with_those_before() {
    let t = Instant::now();
    let at = |ms| t + Duration::from_millis(ms);
    let mut study = Study::new(&experiment(), t, None);
    study.enter(RunPhase::Baseline, t);
    study.enter(RunPhase::Injecting, at(10_000));
    let request = |n: u64| {
        let status = Some(if n >= 200 && n.is_multiple_of(2) { 502 } else { 200 });
        Outcome { status, ..inbound(t, n * 50, 10) }
    };
    study.take(at(20_000), &mut (0..400).map(request).collect(), 0);
    study.take(at(30_000), &mut Vec::new(), 0);
    assert_eq!(study.harm(), None, "calls may still be seen to be joined");
    study.finish(at(30_000));
    let harm = study.harm().unwrap();
    assert!(harm.evidence > 20.0 && (0.4..0.6).contains(&harm.difference), "{harm:?}");
}

#[test]
fn what_begins_in_a_pause_is_of_no_group() {
    let t = Instant::now();
    let at = |ms| t + Duration::from_millis(ms);
    let mut study = Study::new(&experiment(), t, None);
    study.enter(RunPhase::Injecting, t);
    study.set_paused(true, at(1_000));
    study.set_paused(false, at(2_000));
    let mut seen: Vec<_> = [500, 1_500, 2_500].map(|ms| inbound(t, ms, 10)).into();
    study.take(at(3_000), &mut seen, 4);
    study.finish(at(4_000));
    let mut report = Report::default();
    study.fill(at(4_000), &mut report);
    assert_eq!((report.groups.others.requests, report.join.requests, report.join.lost), (2, 3, 4));
}

#[test]
fn requests_under_way_are_those_of_inbound_listeners() {
    use squall_telemetry::TrafficTotals;
    let (t, b) = (Instant::now(), Name::new("b").unwrap());
    let mut study = Study::new(&experiment(), t, None);
    study.enter(RunPhase::Baseline, t);
    for (second, in_flight) in [4, 6, 2].into_iter().enumerate() {
        let totals = |direction, begun| TrafficTotals {
            listener: b.clone(),
            cluster: b.clone(),
            direction,
            connections: 0,
            bytes_request: 0,
            bytes_response: 0,
            begun,
            ended: 10,
            injected: 0,
            failed: 0,
            durations: Vec::new(),
        };
        let totals = vec![totals(Direction::Inbound, 10 + in_flight), totals(Direction::Outbound, 99)];
        study.sample(t + Duration::from_secs(second as u64), &Traffic { duration_bounds: &[], totals });
    }
    let mut report = Report::default();
    study.fill(t + Duration::from_secs(3), &mut report);
    assert_eq!((report.queue.baseline_mean, report.queue.baseline_max), (Some(4.0), Some(6)));
    assert_eq!(report.series.iter().map(|p| p.in_flight).collect::<Vec<_>>(), [4, 6, 2]);
}

#[test]
fn an_exchange_costs_little() {
    let (t, begin) = (Instant::now(), Instant::now());
    let mut study = Study::new(&experiment(), t, None);
    study.enter(RunPhase::Injecting, t);
    let experiment = Name::new("e").unwrap();
    let made: Vec<_> = (0..20_000_u64)
        .flat_map(|n| {
            let trace = (1 + u128::from(n)).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834);
            let ids = |outcome| Outcome { trace, request_id: !trace, ..outcome };
            let matched = Some(ExperimentMatch { experiment: experiment.clone(), is_picked: n % 20 == 0 });
            [ids(Outcome { matched, ..call(t, n, 20) }), ids(inbound(t, n, 30))]
        })
        .collect();
    let (count, built) = (u32::try_from(made.len()).unwrap(), Instant::now());
    let mut rest = made.into_iter();
    for now in (0..30_000).step_by(250) {
        study.take(t + Duration::from_millis(now), &mut rest.by_ref().take(500).collect(), 0);
    }
    study.finish(t);
    let each = built.elapsed() / count;
    println!("{each:?} for each exchange, {:?} in all", begin.elapsed());
    // Of a build without optimisation, beside other tests; with it, it is about a microsecond.
    assert!(study.join_report().joined == 20_000 && each < Duration::from_micros(200), "{each:?}");
}
