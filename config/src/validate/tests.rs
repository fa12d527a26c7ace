use std::time::Duration;

use crate::model::*;
use crate::spec::ConfigSpec;

mod blast_radius;
mod control;
mod controller;
mod faults;
mod guards;
mod intercept;
mod network;
mod original_dst;
mod rules;

/// Every field in every form.
pub(crate) const EVERYTHING: &str = include_str!("tests/everything.yaml");

/// A document with one listener of each kind and one cluster, and these rules (or other top-level fields).
pub(crate) fn document(rest: &str) -> String {
    format!(
        "version: 1\nlisteners:\n- {{name: web, address: \"127.0.0.1:0\", cluster: b}}\n- {{name: raw, address: \"127.0.0.1:0\", cluster: b, \
         protocol: tcp}}\nclusters:\n- {{name: b, endpoints: [\"127.0.0.1:9000\"]}}\n{rest}"
    )
}

pub(crate) fn load(text: &str) -> Config {
    crate::load_text(text).unwrap().1
}

/// The problems, without positions and hints, as "path: detail".
pub(crate) fn problems(text: &str) -> Vec<String> {
    let spec: ConfigSpec = crate::parse_text(text).unwrap();
    let problems = super::validate(&spec).map(|_| ()).unwrap_err();
    for problem in &problems.0 {
        assert!(problem.hint.is_some(), "{problem} says no fix");
    }
    problems.0.iter().map(|problem| format!("{}: {}", problem.path, problem.detail)).collect()
}

/// The problems of one rule with these fields besides name and percentage, without the rule's own path and label.
pub(super) fn rule_problems(fields: &str) -> Vec<String> {
    let text = document(&format!("rules:\n- {{name: r, percentage: 1, {fields}}}\n"));
    let strip = |problem: String| problem.replace("rules[0].", "").replace("rule \"r\": ", "");
    problems(&text).into_iter().map(strip).collect()
}

/// The faults of one rule.
pub(super) fn rule_faults(fault: &str) -> Vec<Fault> {
    load(&document(&format!("rules:\n- {{name: r, percentage: 1, fault: {fault}}}\n"))).rules.remove(0).faults
}

#[test]
fn everything_loads() {
    let config = load(EVERYTHING);
    assert_eq!(config.rules.len(), 31);
    let first = &config.rules[0];
    assert_eq!(first.percentage.ppm(), 1);
    assert_eq!(first.sample, Sample::Exact);
    assert_eq!(first.ttl, Some(Duration::from_secs(600)));
    assert_eq!(first.matches.source.len(), 2);
    assert_eq!(config.listeners[1].idle_timeout, None);
    assert_eq!(config.limits.head_bytes_max, 32 << 10);
    let kinds: Vec<&str> = config.rules[1].faults.iter().map(Fault::kind).collect();
    assert_eq!(kinds, ["delay", "reset"]);
    assert!(matches!(&config.rules[1].faults[0], Fault::Delay(delay)
        if delay.on == DelayPoint::Response && matches!(delay.amount, Amount::Drawn(Latency::Uniform { .. }))));
}

#[test]
fn an_almost_empty_document_has_the_defaults() {
    let config = load("version: 1\n");
    assert_eq!(config.control, crate::model::ControlApi::at(crate::defaults::CONTROL));
    assert_eq!(config.telemetry, None);
    assert_eq!(config.limits.exclude_paths.len(), 8);
    assert_eq!(config.limits.delay_max, Duration::from_secs(3600));
    assert_eq!(config.drain.timeout, Duration::from_secs(30));
    assert!(config.fault_header && config.access_log.is_none() && config.seed.is_none());
}

#[test]
fn the_version_must_be_1() {
    assert_eq!(problems("seed: 1\n"), ["version: missing"]);
    assert_eq!(problems("version: 2\n"), ["version: version 2 is not known"]);
}

#[test]
fn the_access_log_goes_to_stdout_or_a_file() {
    assert_eq!(problems("version: 1\naccess_log: stderr\n"), ["access_log: stderr is not a place for the access log"]);
    assert_eq!(problems("version: 1\naccess_log: {}\n"), ["access_log.file: no file is named"]);
    assert_eq!(problems("version: 1\naccess_log: {file: \"\"}\n"), ["access_log.file: no file is named"]);
}

#[test]
fn limits_have_bounds() {
    assert_eq!(
        problems(
            "version: 1\nlimits: {delay_max: 2h, default_ttl: 0s, rules_max: 65536, active_faults_max: 0, head_bytes_max: 10,\
             \n  connections_max: 99999999999, stream_buffer_bytes_max: x, exclude_paths: [healthz]}\ndrain: {timeout: 5}\n"
        ),
        [
            "limits.delay_max: 2h is too long",
            "limits.default_ttl: it must be longer than 0s",
            "limits.active_faults_max: 0 is too small",
            "limits.exclude_paths[0]: \"healthz\" does not begin with '/'",
            "limits.head_bytes_max: 10 is too small",
            "limits.connections_max: 99999999999 is too large",
            "limits.rules_max: 65536 is too large",
            "limits.stream_buffer_bytes_max: \"x\" is not a number of bytes",
            "drain.timeout: the duration 5 has no unit",
        ]
    );
}
