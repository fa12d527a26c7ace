//! The invariants of decisions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName};
use proptest::prelude::*;
use squall_config::model::*;
use squall_config::units::Percentage;

use super::*;
use crate::testing::*;
use crate::{Stamp, compile};

fn kinds(snapshot: &Snapshot, plan: &FaultPlan) -> Vec<(usize, &'static str)> {
    plan.steps().iter().map(|step| (step.rule.place(), snapshot.step_fault(*step).kind())).collect()
}

#[test]
fn no_rules_no_plan() {
    assert!(decide(&snapshot(1, Vec::new()), "/").is_empty());
}

#[test]
fn delays_add_up_and_the_first_terminal_fault_wins() {
    let rules = vec![
        rule("a", vec![delay(Phase::Request, 10), delay(Phase::Response, 5)]),
        rule("b", vec![delay(Phase::Request, 20)]),
        // Written in the wrong order: the delay still comes first.
        rule("c", vec![abort(), delay(Phase::Request, 30)]),
        rule("d", vec![delay(Phase::Request, 40), reset(Phase::Request, 0)]),
    ];
    let snapshot = snapshot(1, rules);
    let plan = decide(&snapshot, "/");
    assert_eq!(kinds(&snapshot, &plan), [(0, "delay"), (0, "delay"), (1, "delay"), (2, "delay"), (2, "abort")]);
    assert_eq!(delay_of(&plan, &snapshot, Stage::RequestDelay), Duration::from_millis(60));
    assert_eq!(delay_of(&plan, &snapshot, Stage::ResponseDelay), Duration::from_millis(5));
    assert_eq!(end_of(&plan, &snapshot), Some((2, &abort())));
    // The last rule counted although nothing of it could be reached.
    assert_eq!(snapshot.rules[3].state.matched.load(Relaxed), 1);
}

#[test]
fn after_a_response_reset_request_delays_still_add_up() {
    let rules = vec![
        rule("a", vec![reset(Phase::Response, 7)]),
        rule("b", vec![delay(Phase::Request, 20), delay(Phase::Response, 30), abort()]),
    ];
    let snapshot = snapshot(1, rules);
    let plan = decide(&snapshot, "/");
    assert_eq!(kinds(&snapshot, &plan), [(0, "reset"), (1, "delay")]);
    assert_eq!(delay_of(&plan, &snapshot, Stage::RequestDelay), Duration::from_millis(20));
    assert_eq!(end_of(&plan, &snapshot), Some((0, &reset(Phase::Response, 7))));
}

#[test]
fn what_callers_ask_for_is_capped_by_the_share_of_the_rule() {
    let wishes = [Wish::Delay, Wish::Throughput, Wish::Abort]
        .map(|what| Fault::Requested(Requested { what, by: RequestedBy::Headers, max: Duration::from_secs(10) }));
    let count = |share: f64, fields: &[(&str, &str)]| {
        let snapshot = snapshot(3, vec![Rule { percentage: percent(share), ..rule("r", wishes.to_vec()) }]);
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.insert(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        let request = RequestMeta { headers: &headers, ..get(&snapshot, "/") };
        let plans = (0..10_000).map(|_| decide_request(&snapshot, &snapshot.listeners[0], &request).plan);
        let mut counts = BTreeMap::new();
        for plan in plans {
            let kinds: Vec<_> = kinds(&snapshot, &plan).into_iter().map(|(_, kind)| kind).collect();
            *counts.entry(kinds).or_insert(0) += 1;
        }
        counts
    };
    let (delay, abort) = (("x-envoy-fault-delay-request", "100"), ("x-envoy-fault-abort-request", "503"));
    let nothing = |n| BTreeMap::from([(vec![], n)]);
    assert_eq!(count(100.0, &[]), nothing(10_000), "who asks for nothing gets nothing");
    assert_eq!(count(0.0, &[delay, abort]), nothing(10_000));
    assert_eq!(count(100.0, &[delay, abort]), BTreeMap::from([(vec!["delay", "abort"], 10_000)]));
    let less = count(100.0, &[delay, ("x-envoy-fault-delay-request-percentage", "20")]);
    assert!((1_850..2_150).contains(&less[&vec!["delay"]]), "{less:?}");
    let more = count(20.0, &[delay, ("x-envoy-fault-delay-request-percentage", "90")]);
    assert!((1_850..2_150).contains(&more[&vec!["delay"]]), "no more than the rule allows: {more:?}");
    // Each wish has dice of its own: a quarter gets both.
    let each = count(50.0, &[delay, abort]);
    for kinds in [vec![], vec!["delay"], vec!["abort"], vec!["delay", "abort"]] {
        assert!((2_300..2_700).contains(&each[&kinds]), "{each:?}");
    }
}

#[test]
fn a_rule_without_room_is_skipped_whole_and_counted() {
    let two = || vec![delay(Phase::Request, 1), delay(Phase::Response, 1)];
    let snapshot = snapshot(1, ["a", "b", "c", "d"].map(|name| rule(name, two())).to_vec());
    let plan = decide(&snapshot, "/");
    assert_eq!(plan.rules().map(RuleIndex::place).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(snapshot.rules[3].state.skipped_plan_full.load(Relaxed), 1);
}

#[test]
fn excluded_paths_are_spared_unless_named_exactly() {
    let exact = Match { path: Some(Pattern::Exact("/healthz".into())), ..Match::default() };
    let prefix = Match { path: Some(Pattern::Prefix("/healthz".into())), ..Match::default() };
    let with = |name, matches| Rule { matches, ..rule(name, vec![delay(Phase::Request, 1)]) };
    let rules = vec![with("all", Match::default()), with("prefix", prefix), with("exact", exact)];
    let snapshot = snapshot(1, rules);
    assert_eq!(kinds(&snapshot, &decide(&snapshot, "/healthz")), [(2, "delay")]);
    let counts = |i: usize| {
        let state = &snapshot.rules[i].state;
        (state.matched.load(Relaxed), state.skipped_excluded_path.load(Relaxed))
    };
    assert_eq!([counts(0), counts(1), counts(2)], [(0, 1), (0, 1), (1, 0)]);
}

#[test]
fn connections_get_all_faults_that_can_be_reached() {
    let throttle = Fault::Throttle(Throttle {
        rate: squall_config::units::ByteRate::from_bytes_per_second(1).unwrap(),
        direction: None,
    });
    let rules = vec![
        rule("late", vec![reset(Phase::Response, 9), delay(Phase::Response, 1), throttle, abort()]),
        rule("now", vec![Fault::Refuse, delay(Phase::Response, 1)]),
        Rule { enabled: false, ..rule("off", vec![Fault::Refuse]) },
    ];
    let snapshot = snapshot(1, rules);
    let decide =
        |rule| decide_connection(&snapshot, &snapshot.listeners[2], RuleIndex::new(rule), &connection(&snapshot));
    assert_eq!(kinds(&snapshot, &decide(0)), [(0, "throttle"), (0, "delay"), (0, "reset")]);
    assert_eq!(kinds(&snapshot, &decide(1)), [(1, "refuse")]);
    assert!(decide(2).is_empty());
    assert_eq!(decide(0).steps()[1].drawn, 0);
    assert_eq!(snapshot.listeners[2].tcp_rules, [0, 1].map(RuleIndex::new));
}

/// The latency of a plan tells its ordinal: the log of what fired, sorted, is the same for every number of threads.
#[test]
fn thread_count_does_not_change_what_fires() {
    let exponential = || drawn_delay(Phase::Request, Latency::Exponential { mean: Duration::from_millis(50) });
    let log = |threads: usize| {
        let a = Rule { faults: vec![exponential()], ..share_rule("a", percent(5.0), Sample::Random) };
        let b = Rule { faults: vec![exponential()], ..share_rule("b", percent(5.0), Sample::Exact) };
        let snapshot = snapshot(42, vec![a, b]);
        let work = || (0..20_000 / threads).map(|_| decide(&snapshot, "/")).collect::<Vec<_>>();
        let plans: Vec<FaultPlan> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        let steps = plans.iter().flat_map(|plan| plan.steps().iter().map(|step| (step.rule.place(), step.drawn)));
        let mut log: Vec<_> = steps.collect();
        log.sort_unstable();
        log
    };
    let one = log(1);
    assert_eq!(one.iter().filter(|(rule, _)| *rule == 1).count(), 1_000);
    assert_eq!(one, log(4));
}

/// Across threads, as many plans are faulted as the ordinals say.
#[test]
fn threads_share_the_exact_count() {
    let snapshot = snapshot(42, vec![share_rule("exact", percent(5.0), Sample::Exact)]);
    let faulted = || (0..5_000).filter(|_| !decide(&snapshot, "/").is_empty()).count();
    let total: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(faulted)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(total, 1_000);
}

#[test]
fn state_survives_a_change_of_the_rule() {
    let first =
        snapshot(1, vec![share_rule("a", percent(5.0), Sample::Random), share_rule("b", percent(1.0), Sample::Random)]);
    fired(&first, 10);
    let rules = vec![share_rule("new", percent(5.0), Sample::Random), share_rule("a", percent(50.0), Sample::Exact)];
    let second = compile(Arc::new(config(rules)), Some(&first), Stamp { generation: 2, halted: false, seed: 1 });
    assert!(Arc::ptr_eq(&second.rules[1].state, &first.rules[0].state));
    assert_eq!(second.rules[0].state.matched.load(Relaxed), 0);
    assert!(second.is_active(&first.rules[0].state) && !second.is_active(&first.rules[1].state));
}

fn share() -> impl Strategy<Value = Percentage> {
    (0..=1_000_000u32).prop_map(|ppm| Percentage::from_ppm(ppm).unwrap())
}

fn sample() -> impl Strategy<Value = Sample> {
    let n = 1..50u64;
    prop_oneof![Just(Sample::Random), Just(Sample::Exact), n.clone().prop_map(Sample::First), n.prop_map(Sample::Every)]
}

fn hits(seed: u64, name: &str, share: Percentage, sample: Sample) -> BTreeSet<usize> {
    let fired = fired(&snapshot(seed, vec![share_rule(name, share, sample)]), 200);
    fired.iter().enumerate().filter(|(_, names)| !names.is_empty()).map(|(i, _)| i).collect()
}

proptest! {
    #[test]
    fn never_and_always(seed: u64, name in "[a-z]{1,9}") {
        for sample in [Sample::Random, Sample::Exact] {
            prop_assert_eq!(hits(seed, &name, Percentage::NEVER, sample.clone()).len(), 0);
            prop_assert_eq!(hits(seed, &name, Percentage::ALWAYS, sample).len(), 200);
        }
    }

    #[test]
    fn monotone(seed: u64, p in share(), q in share()) {
        let (p, q) = (p.min(q), p.max(q));
        for sample in [Sample::Random, Sample::First(90), Sample::Every(3)] {
            prop_assert!(hits(seed, "r", p, sample.clone()).is_subset(&hits(seed, "r", q, sample)));
        }
    }

    #[test]
    fn other_rules_change_nothing(seed: u64, a in (share(), sample()), b in (share(), sample()), with_abort: bool) {
        let alone = fired(&snapshot(seed, vec![share_rule("a", a.0, a.1.clone())]), 200);
        let mut other = share_rule("b", b.0, b.1);
        if with_abort {
            other.faults = vec![abort()];
        }
        let both = snapshot(seed, vec![other, share_rule("a", a.0, a.1)]);
        for (alone, both) in alone.iter().zip(fired(&both, 200)) {
            // A fires when it does alone, unless the abort of B comes before it and takes its place.
            let is_preempted = with_abort && both.contains(&"b".to_owned());
            prop_assert!(is_preempted || both.contains(&"a".to_owned()) == alone.contains(&"a".to_owned()));
        }
        prop_assert_eq!(both.rules[1].state.matched.load(Relaxed), 200);
    }

    #[test]
    fn same_seed_same_plans(seed: u64, p in share(), sample in sample()) {
        let delay = drawn_delay(Phase::Request, Latency::Exponential { mean: Duration::from_millis(50) });
        let plans = || {
            let rule = Rule { faults: vec![delay.clone()], ..share_rule("r", p, sample.clone()) };
            let snapshot = snapshot(seed, vec![rule]);
            (0..100).map(|_| decide(&snapshot, "/")).collect::<Vec<_>>()
        };
        prop_assert_eq!(plans(), plans());
    }

    #[test]
    fn exact_counts(seed: u64, percent in 0..=100u32, skip in 0..300usize) {
        let share = Percentage::from_ppm(percent * 10_000).unwrap();
        let snapshot = snapshot(seed, vec![share_rule("r", share, Sample::Exact)]);
        fired(&snapshot, skip);
        let count = fired(&snapshot, 100).iter().filter(|names| !names.is_empty()).count();
        prop_assert_eq!(count, usize::try_from(percent).unwrap());
    }

    /// The index is an optimisation: it finds what a walk over all rules finds.
    #[test]
    fn index_finds_what_a_walk_finds(
        patterns in prop::collection::vec((0..4u8, "(/[ab]{0,2}){0,3}", 0..6u8, 0..3u8), 0..30),
        path in "(/[ab]{0,2}){1,3}",
        fields in prop::collection::vec((0..6u8, 0..3u8), 0..6),
    ) {
        let pattern = |kind: u8, text: &str| match kind {
            0 => Some(Pattern::Exact(text.to_owned())),
            1 => Some(Pattern::Prefix(text.to_owned())),
            2 => Pattern::glob(&format!("{text}*")).ok(),
            _ => None,
        };
        let name = |name: u8| HeaderName::try_from(format!("x-{name}")).unwrap();
        let field = |n: u8, value: u8| match n {
            0 => Vec::new(),
            _ => vec![(name(n), ValueMatch::Pattern(Pattern::Exact(value.to_string())))],
        };
        let headers = fields.iter().fold(HeaderMap::new(), |mut all, (n, value)| {
            all.append(name(*n), value.to_string().parse().unwrap());
            all
        });
        let rules: Vec<Rule> = patterns
            .iter()
            .enumerate()
            .map(|(i, (kind, text, name, value))| Rule {
                matches: Match { path: pattern(*kind, text), headers: field(*name, *value), ..Match::default() },
                ..rule(&format!("r{i}"), vec![delay(Phase::Request, 1)])
            })
            .collect();
        let snapshot = snapshot(1, rules);
        let request = RequestMeta { headers: &headers, ..get(&snapshot, &path) };
        let _counted = decide_request(&snapshot, &snapshot.listeners[0], &request);
        for rule in &snapshot.rules {
            let holds = match_request(rule, &request).is_ok();
            prop_assert_eq!(rule.state.matched.load(Relaxed), u64::from(holds));
        }
        let found: Vec<RuleIndex> = snapshot.listeners[0].index.candidates(&path, &headers).collect();
        prop_assert!(found.is_sorted_by(|a, b| a < b));
    }
}
