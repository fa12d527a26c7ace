//! What decisions say of the rules of experiments.

use proptest::prelude::*;
use squall_config::model::*;
use squall_config::units::Percentage;

use crate::decide::{Decision, decide_request};
use crate::plan::RuleIndex;
use crate::snapshot::Snapshot;
use crate::testing::*;

fn of(experiment: &str, rule: Rule) -> Rule {
    Rule { experiment: Some(name(experiment)), ..rule }
}

/// A rule that matches and is never picked.
fn passing(text: &str) -> Rule {
    share_rule(text, Percentage::NEVER, Sample::Random)
}

fn decided(snapshot: &Snapshot, path: &str) -> Decision {
    decide_request(snapshot, &snapshot.listeners[0], &get(snapshot, path))
}

/// The first rule of an experiment that matched, and whether the experiment has a part in the plan.
fn part(rules: Vec<Rule>, path: &str) -> Option<(usize, bool)> {
    let snapshot = snapshot(1, rules);
    let decision = decided(&snapshot, path);
    decision.experiment.map(|rule| (rule.place(), snapshot.has_part_of_experiment(rule, decision.plan.steps())))
}

#[test]
fn the_first_rule_of_an_experiment_that_matches_is_told() {
    let fires = |text| rule(text, vec![delay(Phase::Request, 1)]);
    assert_eq!(part(vec![], "/"), None);
    assert_eq!(part(vec![fires("r")], "/"), None, "a rule of no experiment");
    assert_eq!(part(vec![fires("r"), of("e", passing("a"))], "/"), Some((1, false)));
    assert_eq!(part(vec![of("e", passing("a")), of("e", fires("b"))], "/"), Some((0, true)), "its second rule fires");
    assert_eq!(part(vec![of("e", passing("a")), of("f", fires("b")), fires("c")], "/"), Some((0, false)));
    assert_eq!(part(vec![of("f", fires("b")), of("e", fires("a"))], "/"), Some((0, true)));
}

#[test]
fn only_what_is_in_the_plan_is_a_part() {
    let ends = rule("ends", vec![abort()]);
    assert_eq!(part(vec![ends.clone(), of("e", rule("late", vec![abort()]))], "/"), Some((1, false)), "not reached");
    let shadow = Rule { mode: Mode::Shadow, ..of("e", ends.clone()) };
    assert_eq!(part(vec![shadow], "/"), Some((0, false)));
    let mut rules: Vec<Rule> = (0..7).map(|i| rule(&format!("r{i}"), vec![delay(Phase::Request, 1)])).collect();
    rules.push(of("e", ends.clone()));
    assert_eq!(part(rules, "/"), Some((7, false)), "no room");
    assert_eq!(part(vec![of("e", ends)], "/healthz"), None, "spared");
}

#[test]
fn a_rule_of_no_experiment_has_no_part() {
    let snapshot = snapshot(1, vec![rule("r", vec![abort()])]);
    let plan = decided(&snapshot, "/").plan;
    assert!(!snapshot.has_part_of_experiment(RuleIndex::new(0), plan.steps()));
}

proptest! {
    #[test]
    fn belonging_to_an_experiment_changes_no_plan(seed: u64, shares in prop::collection::vec((0..=100u32, any::<bool>()), 1..5)) {
        let rules = |belongs: bool| {
            let rule = |(i, &(share, is_of)): (usize, &(u32, bool))| {
                let rule = share_rule(&format!("r{i}"), percent(f64::from(share)), Sample::Random);
                if belongs && is_of { of("e", rule) } else { rule }
            };
            shares.iter().enumerate().map(rule).collect::<Vec<_>>()
        };
        let (with, without) = (snapshot(seed, rules(true)), snapshot(seed, rules(false)));
        for _ in 0..50 {
            let (one, other) = (decided(&with, "/"), decided(&without, "/"));
            prop_assert_eq!(one.plan, other.plan);
            let first = shares.iter().position(|(_, is_of)| *is_of).and_then(|at| u16::try_from(at).ok());
            prop_assert_eq!((one.experiment, other.experiment), (first.map(RuleIndex::new), None));
            let picked = one.plan.rules().any(|rule| shares[rule.place()].1);
            prop_assert_eq!(one.experiment.is_some_and(|rule| with.has_part_of_experiment(rule, one.plan.steps())), picked);
        }
    }
}
