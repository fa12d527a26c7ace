use proptest::prelude::*;
use squall_config::model::{Expect, MethodStep, Name, Ramp};

use super::*;

fn rule(name: &str, percentage: f64) -> StepRule {
    let spec: RuleSpec = squall_config::parse_value(&serde_json::json!({
        "name": name, "percentage": percentage, "fault": {"delay": "2s"}
    }))
    .unwrap();
    let percentage = format!("{percentage}%").parse().unwrap();
    StepRule { name: Name::new(name).unwrap(), spec, percentage }
}

fn step(name: &str, percentage: f64, hold: u64) -> MethodStep {
    let (ramp, pause) = (None, Duration::ZERO);
    MethodStep { name: name.to_owned(), rules: vec![rule(name, percentage)], ramp, hold: secs(hold), pause }
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn experiment(method: Vec<MethodStep>) -> Experiment {
    Experiment {
        name: Name::new("e").unwrap(),
        title: String::new(),
        hypothesis: String::new(),
        steady_state: Vec::new(),
        baseline: secs(10),
        method,
        recovery: secs(20),
        rollback: Duration::ZERO,
        expect: Expect {
            harmed: Percentage::from_ppm(0).unwrap(),
            stop_on_harm: true,
            amplification: None,
            unsafe_retries: true,
        },
        fallback: None,
        guards: Vec::new(),
        duration: secs(300),
        schedule: None,
        minimum_requests: 100,
        add_ids: true,
        joined_per_second: 4_000,
        pods: squall_config::model::Pods::default(),
    }
}

/// What a run does, second by second, when `seen` is what is seen: (second, phase or shares).
fn played(experiment: Experiment, seen: impl Fn(u64) -> Seen) -> Vec<(u64, String)> {
    let began = Instant::now();
    let mut machine = Machine::new(Arc::new(experiment), began);
    let mut all = Vec::new();
    for second in 0..400 {
        for order in machine.step(began + secs(second), seen(second)) {
            all.push((second, in_words(&order)));
        }
    }
    assert!(machine.is_over());
    all
}

fn in_words(order: &Order) -> String {
    match order {
        Order::Enter(phase) => phase.as_str().to_owned(),
        Order::Rules { rules, .. } => {
            let rule = |rule: &RuleSpec| format!("{} {}", rule.name, rule.percentage.as_ref().unwrap());
            rules.iter().map(rule).collect::<Vec<_>>().join(", ")
        }
    }
}

fn steady(_: u64) -> Seen {
    Seen { is_steady: true, ..Seen::default() }
}

fn said(all: &[(u64, &str)]) -> Vec<(u64, String)> {
    all.iter().map(|(at, text)| (*at, (*text).to_owned())).collect()
}

#[test]
fn steps_follow_each_other_with_their_pauses() {
    let mut method = vec![step("one", 5.0, 30), step("two", 10.0, 20), step("three", 1.0, 5)];
    method[0].pause = secs(7);
    let expected = said(&[
        (10, "injecting"),
        (10, "one 5%"),
        (40, ""),
        (47, "two 10%"),
        // Without a pause one step takes the place of the other.
        (67, "three 1%"),
        (72, ""),
        (72, "recovering"),
        (73, "done"),
    ]);
    assert_eq!(played(experiment(method), steady), expected);
}

#[test]
fn shares_grow_by_equal_stages_and_fall_again() {
    let mut one = step("one", 10.0, 30);
    one.ramp = Some(Ramp { from: None, over: secs(10), stages: 5 });
    let mut all = experiment(vec![one]);
    all.rollback = secs(8);
    let expected = said(&[
        (10, "injecting"),
        (10, "one 2%"),
        (12, "one 3.6%"),
        (14, "one 5.2%"),
        (16, "one 6.8%"),
        (18, "one 8.4%"),
        (20, "one 10%"),
        (50, "one 8%"),
        (52, "one 6%"),
        (54, "one 4%"),
        (56, "one 2%"),
        (58, ""),
        (58, "recovering"),
        (59, "done"),
    ]);
    assert_eq!(played(all, steady), expected);
}

#[test]
fn a_ramp_begins_where_it_says_and_with_no_more_than_the_rule() {
    let mut method = step("one", 4.0, 5);
    method.rules.push(rule("less", 0.5));
    method.ramp = Some(Ramp { from: Percentage::from_ppm(20_000), over: secs(4), stages: 2 });
    let orders = played(experiment(vec![method]), steady);
    assert_eq!(orders[1..4], said(&[(10, "one 2%, less 0.5%"), (12, "one 3%, less 0.5%"), (14, "one 4%, less 0.5%")]));
}

#[test]
fn a_steady_state_that_does_not_hold_keeps_faults_from_flowing() {
    let orders = played(experiment(vec![step("one", 5.0, 30)]), |second| Seen {
        baseline: (second >= 10).then(|| "p99 is broken".to_owned()),
        ..Seen::default()
    });
    assert_eq!(orders, said(&[(10, "aborted")]));
}

#[test]
fn recovery_takes_as_long_as_it_takes_within_its_bound() {
    let slow = |from: u64| move |second: u64| Seen { is_steady: second >= from, ..Seen::default() };
    let orders = |from| played(experiment(vec![step("one", 5.0, 30)]), slow(from));
    assert_eq!(orders(50)[3..], said(&[(40, "recovering"), (50, "done")]));
    assert_eq!(orders(1000)[3..], said(&[(40, "recovering"), (60, "done")]));
}

#[test]
fn what_takes_too_long_ends() {
    let orders = played(Experiment { duration: secs(20), ..experiment(vec![step("one", 5.0, 30)]) }, steady);
    assert_eq!(orders[2..], said(&[(20, ""), (20, "aborted")]));
}

#[test]
fn rules_end_by_themselves_a_little_after_the_run_may_take() {
    let began = Instant::now();
    let mut machine = Machine::new(Arc::new(experiment(vec![step("one", 5.0, 30)])), began);
    let orders = machine.step(began + secs(10), steady(10));
    let Order::Rules { ttl, .. } = &orders[1] else { panic!("rules") };
    assert_eq!(*ttl, secs(300), "290 s are left, and 10 s of grace");
}

proptest! {
    /// Whatever is seen whenever it is looked at: from the moment of an abort on nothing is in force, nothing comes after the
    /// end, and no run takes longer than it may.
    #[test]
    fn no_fault_outlives_its_run(
        looks in prop::collection::vec((1u64..20_000, any::<bool>(), prop::option::weighted(0.02, Just(()))), 1..200),
        holds in prop::collection::vec((1u64..60, 0u64..20, prop::option::of(2u32..10)), 1..5),
        rollback in 0u64..20,
    ) {
        let method = holds.iter().enumerate().map(|(n, (hold, pause, ramp))| {
            let mut step = step(&format!("s{n}"), 7.0, *hold);
            step.pause = secs(*pause);
            step.ramp = ramp.map(|stages| Ramp { from: None, over: secs(9), stages });
            step
        });
        let experiment = Experiment { rollback: secs(rollback), ..experiment(method.collect()) };
        let (began, duration) = (Instant::now(), experiment.duration);
        let mut machine = Machine::new(Arc::new(experiment), began);
        let (mut now, mut in_force) = (began, 0);
        for (wait, is_steady, abort) in looks {
            now += Duration::from_millis(wait);
            let was_over = machine.is_over();
            let abort = abort.map(|()| Aborted {
                by: AbortedBy::Stop, reason: "enough".to_owned(), released_within_milliseconds: None,
            });
            let is_aborting = abort.is_some();
            let orders = machine.step(now, Seen { abort, baseline: None, is_steady });
            prop_assert!(!was_over || orders.is_empty());
            for order in &orders {
                if let Order::Rules { rules, .. } = order {
                    in_force = rules.len();
                }
            }
            if is_aborting || now - began >= duration {
                prop_assert!(machine.is_over());
            }
            if machine.phase() != RunPhase::Injecting {
                prop_assert_eq!(in_force, 0, "in phase {:?}", machine.phase());
            }
        }
    }
}
