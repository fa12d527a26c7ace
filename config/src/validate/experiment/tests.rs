use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::model::{Bound, Condition, Measure, Schedule, WhenBlind};
use crate::problem::Problems;
use crate::units::Percentage;
use crate::validate::tests::document as config;
use crate::{load_experiment_text, load_text, parse_experiment_text, parse_text, parse_value};

mod documents;
mod method;
mod refusals;
mod steady_state;

/// An experiment with these fields of its spec in place of, or besides, the least that one needs; an empty one is left out.
fn experiment(fields: &[(&str, &str)]) -> String {
    let least = [
        ("hypothesis", "all is well"),
        ("steady_state", "[{name: s, condition: {metric: error_rate, below: 1%}}]"),
        ("method", "[{rules: [{name: r, percentage: 5, fault: {delay: 2s}}], hold: 1m}]"),
    ];
    let others = least.iter().filter(|(name, _)| !fields.iter().any(|(other, _)| other == name));
    let spec = others.chain(fields).filter(|(_, value)| !value.is_empty());
    let spec: String = spec.map(|(name, value)| format!("  {name}: {value}\n")).collect();
    format!("apiVersion: squall.dev/v1alpha1\nkind: Experiment\nmetadata: {{name: e}}\nspec:\n{spec}")
}

/// A method of one step with these fields.
fn step(fields: &str) -> String {
    format!("[{{rules: [{{name: r, percentage: 5, fault: {{delay: 2s}}}}], {fields}}}]")
}

/// A method of one step with one rule with these fields.
fn rule(fields: &str) -> String {
    format!("[{{rules: [{{name: r, {fields}}}], hold: 1m}}]")
}

/// In a configuration with these fields besides its listeners and its cluster.
fn load_in(configuration: &str, fields: &[(&str, &str)]) -> Experiment {
    let against = parse_text(&config(configuration)).unwrap();
    load_experiment_text(&experiment(fields), &against).unwrap().1
}

fn load(fields: &[(&str, &str)]) -> Experiment {
    load_in("", fields)
}

/// The problems, as "path: detail"; each says a fix.
fn lines(problems: &Problems) -> Vec<String> {
    let line = |problem: &crate::Problem| {
        assert!(problem.hint.as_ref().is_some_and(|hint| !hint.is_empty()), "{problem} says no fix");
        format!("{}: {}", problem.path, problem.detail)
    };
    problems.0.iter().map(line).collect()
}

fn problems_in(configuration: &str, fields: &[(&str, &str)]) -> Vec<String> {
    let against = parse_text(&config(configuration)).unwrap();
    let document = parse_experiment_text(&experiment(fields)).unwrap();
    lines(&validate_experiment(&document, &against).map(|_| ()).unwrap_err())
}

fn problems(fields: &[(&str, &str)]) -> Vec<String> {
    problems_in("", fields)
}

#[test]
fn the_least_that_can_be_written_has_the_defaults() {
    let experiment = load(&[]);
    let seconds = Duration::from_secs;
    assert_eq!((experiment.name.as_str(), experiment.title.as_str()), ("e", "e"));
    assert_eq!((experiment.baseline, experiment.recovery, experiment.rollback), (seconds(30), seconds(30), seconds(0)));
    assert_eq!(experiment.duration, seconds(30 + 60 + 30 + 60), "the parts and a minute");
    assert_eq!(experiment.expect, expect::NOTHING_HARMED);
    assert!(experiment.expect.stop_on_harm && experiment.expect.unsafe_retries && experiment.add_ids);
    assert_eq!(experiment.joined_per_second, 2_000);
    assert_eq!((experiment.minimum_requests, experiment.schedule, experiment.fallback), (100, None, None));
    let [step] = &experiment.method[..] else { panic!("one step") };
    assert_eq!((step.name.as_str(), step.ramp, step.hold, step.pause), ("r", None, seconds(60), seconds(0)));
    assert_eq!(step.rules[0].percentage, Percentage::from_ppm(50_000).unwrap());
}

#[test]
fn everything_that_can_be_written_is_read() {
    let method = "[{name: first, rules: [{name: a, percentage: 10, fault: {delay: 1s}}, {name: b, percentage: 4, match: {path: /b}, \
                  fault: {abort: 503}}], ramp: {from: 2, over: 20s, stages: 4}, hold: 30s, pause: 5s}, {rules: [{name: c, \
                  percentage: 1, fault: {reset: true}}, {name: d, percentage: 1, fault: {blackhole: true}}], hold: 1s}]";
    let experiment = load(&[
        ("title", "T"),
        ("hypothesis", "\" it holds \""),
        ("owner", "team"),
        ("links", "[\"https://wiki.example/x?y=z#part\"]"),
        ("baseline", "10s"),
        ("method", method),
        ("recovery", "20s"),
        ("rollback", "{over: 4s}"),
        ("expect", "{harmed: 0.5%, stop_on_harm: false, amplification: 3, unsafe_retries: false}"),
        ("fallback", "{header: X-Served-From, value: cache}"),
        ("guards", "[{name: g, condition: {metric: in_flight, above: 5, for: 5s}}]"),
        ("duration", "10m"),
        ("schedule", "{every: 1h}"),
        ("minimum_requests", "7"),
        ("add_ids", "false"),
        ("joined_per_second", "100"),
    ]);
    let seconds = Duration::from_secs;
    assert_eq!((experiment.title.as_str(), experiment.hypothesis.as_str()), ("T", "it holds"));
    assert_eq!((experiment.baseline, experiment.recovery, experiment.rollback), (seconds(10), seconds(20), seconds(4)));
    assert_eq!((experiment.duration, experiment.schedule), (seconds(600), Some(Schedule::Every(seconds(3600)))));
    let harmed = Percentage::from_ppm(5_000).unwrap();
    let expect = crate::model::Expect { harmed, stop_on_harm: false, amplification: Some(3.0), unsafe_retries: false };
    assert_eq!(experiment.expect, expect);
    let fallback = experiment.fallback.unwrap();
    assert_eq!((fallback.header.as_str(), fallback.value.unwrap().to_str().unwrap()), ("x-served-from", "cache"));
    assert_eq!((experiment.guards[0].name.as_str(), experiment.minimum_requests, experiment.add_ids), ("g", 7, false));
    assert_eq!(experiment.joined_per_second, 100);
    let names: Vec<&str> = experiment.method.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names, ["first", "c, d"]);
    let ramp = experiment.method[0].ramp.unwrap();
    assert_eq!((ramp.from, ramp.over, ramp.stages), (Percentage::from_ppm(20_000), seconds(20), 4));
    assert_eq!(experiment.method[0].pause, seconds(5));
    assert_eq!(
        experiment.method[0].rules[1].spec.matches.as_ref().unwrap().path,
        Some(crate::spec::Written::Short("/b".into()))
    );
}

#[test]
fn a_time_to_start_is_in_utc() {
    let at = |text: &str| load(&[("schedule", &format!("{{at: \"{text}\"}}"))]).schedule;
    let expected = SystemTime::UNIX_EPOCH + Duration::from_secs(1_796_119_200);
    assert_eq!(at("2026-12-01T10:00:00Z"), Some(Schedule::At(expected)));
    assert_eq!(load(&[("schedule", "{at: 2026-12-01T10:00:00Z}")]).schedule, Some(Schedule::At(expected)));
}
