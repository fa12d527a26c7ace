use proptest::prelude::*;

use crate::model::Rule;
use crate::validate::tests::{document, load, problems};

/// `{limits, rules}` on the listeners of [`document`].
fn with_max(max: &str, rules: &[&str]) -> String {
    let rules: Vec<String> = rules.iter().enumerate().map(|(i, rule)| format!("- {{name: r{i}, {rule}}}\n")).collect();
    document(&format!("limits: {{percentage_max: {max}}}\nrules:\n{}", rules.concat()))
}

fn fits(rules: &[&str]) {
    load(&with_max("10", rules));
}

/// The names of the rules that are too much together.
fn crowd(rules: &[&str]) -> Vec<String> {
    let found = problems(&with_max("10", rules));
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].split('"').filter(|word| word.starts_with('r') && word.len() == 2).map(str::to_owned).collect()
}

const DELAY: &str = "fault: {delay: 1s}";

fn rule(percentage: &str, matches: &str) -> String {
    format!("percentage: {percentage}, match: {{{matches}}}, {DELAY}")
}

#[test]
fn rules_that_exclude_each_other_are_no_sum() {
    for [a, b] in [
        ["path: /a", "path: /b"],
        ["path: {prefix: /a/}", "path: {prefix: /b/}"],
        ["path: {prefix: /a/}", "path: {glob: \"/b/*\"}"],
        ["path: {regex: \"/a.*\"}", "path: /b"],
        ["method: [GET, HEAD]", "method: POST"],
        ["authority: a.example", "authority: b.example"],
        ["authority: \"a.example:80\"", "authority: \"a.example:81\""],
        ["headers: {x-user: alice}", "headers: {x-user: bob}"],
        ["headers: {x-user: {present: false}}", "headers: {x-user: bob}"],
        ["query: {q: {prefix: a}}", "query: {q: b}"],
        ["grpc: {service: a.B}", "grpc: {service: a.C}"],
        ["grpc: {service: a.B}", "path: {prefix: /v1/}"],
        ["source: 10.0.0.0/8", "source: 192.168.0.0/16"],
        ["listener: web", "listener: raw"],
        ["upgrade: websocket", "upgrade: other"],
    ] {
        fits(&[&rule("6", a), &rule("6", b)]);
        assert_eq!(crowd(&[&rule("6", a), &rule("5", a)]), ["r0", "r1"], "{a}");
    }
}

#[test]
fn rules_that_may_meet_the_same_are() {
    for [a, b] in [
        ["path: /a", "method: GET"],
        ["path: {prefix: /a}", "path: {prefix: /a/b}"],
        ["path: {regex: \"/a.*\"}", "path: {prefix: /b}"],
        ["authority: a.example", "authority: \"A.example:80\""],
        ["headers: {x-user: alice}", "headers: {x-group: bob}"],
        ["listener: web", "cluster: b"],
        ["source: 10.0.0.0/8", "source: [192.168.0.0/16, 10.1.0.0/16]"],
        ["upgrade: websocket", "upgrade: \"*\""],
    ] {
        assert_eq!(crowd(&[&rule("6", a), &rule("5", b)]), ["r0", "r1"], "{a} {b}");
    }
}

#[test]
fn only_what_injects_into_the_same_kind_of_traffic_counts() {
    fits(&[&rule("10", ""), &format!("mode: shadow, {}", rule("100", ""))]);
    fits(&[&rule("10", ""), &format!("enabled: false, {}", rule("10", ""))]);
    fits(&["percentage: 10, fault: {abort: 503}", "percentage: 10, fault: {refuse: true}"]);
    fits(&["percentage: 100, sample: {every: 20}, fault: {abort: 503}", &rule("5", "")]);
    assert_eq!(crowd(&["percentage: 9, sample: {first: 3}, fault: {abort: 503}", &rule("5", "")]), ["r0", "r1"]);
}

#[test]
fn what_overlaps_with_two_that_exclude_each_other_counts_with_the_greater() {
    fits(&[&rule("4", ""), &rule("6", "path: /a"), &rule("5", "path: /b"), &rule("6", "path: /c")]);
    let over = [&rule("5", "")[..], &rule("6", "path: /a"), &rule("5", "path: /b")];
    assert_eq!(crowd(&over), ["r0", "r1"]);
}

#[test]
fn the_problem_names_rules_sum_and_limit() {
    let text = with_max("10", &[&rule("6", "method: GET"), &rule("5", "path: {prefix: /v1/}")]);
    assert_eq!(
        problems(&text),
        [
            "rules[1].percentage: together \"r0\" (6%), \"r1\" (5%) can reach 11% of the requests of listener \"web\", more than \
           limits.percentage_max 10%"
        ]
    );
    let alone = with_max("10", &[&rule("11", "")]);
    assert_eq!(problems(&alone), ["rules[0].percentage: rule \"r0\": 11% exceeds limits.percentage_max 10%"]);
    fits(&["percentage: 100, sample: {every: 10}, fault: {abort: 503}"]);
}

#[test]
fn thousands_of_rules_are_compared_in_a_moment() {
    let rules: Vec<String> = (0..900).map(|i| rule("1", &format!("path: /{i}"))).collect();
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    fits(&rules);
    let more: Vec<String> = (0..1001).map(|i| rule("0.01", &format!("path: /{i}"))).collect();
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    let found = problems(&with_max("10", &more));
    assert!(found[0].contains("and 996 before them can reach 10.01%"), "{found:?}");
}

const METHODS: [&str; 3] = ["GET", "POST", "PUT"];
const PATHS: [&str; 5] = ["/", "/a", "/a/b", "/b", "/b/c"];
const PATTERNS: [&str; 9] = [
    "/a",
    "/b",
    "{prefix: /a}",
    "{prefix: /a/}",
    "{prefix: /b}",
    "{glob: \"/*\"}",
    "{glob: \"/b/*\"}",
    "{regex: \"/a.*\"}",
    "{prefix: /}",
];

fn matches_request(rule: &Rule, method: &str, path: &str) -> bool {
    let matches = &rule.matches;
    (matches.method.is_empty() || matches.method.iter().any(|m| m.as_str() == method))
        && matches.path.as_ref().is_none_or(|pattern| pattern.is_match(path))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever is let through keeps within the limit on every request.
    #[test]
    fn no_request_is_beyond_what_validation_lets_through(
        drawn in prop::collection::vec((1_u32..8, prop::option::of(0..METHODS.len()), prop::option::of(0..PATTERNS.len())), 1..9),
    ) {
        let text: Vec<String> = drawn.iter().map(|(percentage, method, path)| {
            let method = method.map(|at| format!("method: {}", METHODS[at]));
            let path = path.map(|at| format!("path: {}", PATTERNS[at]));
            rule(&percentage.to_string(), &method.into_iter().chain(path).collect::<Vec<_>>().join(", "))
        }).collect();
        let text: Vec<&str> = text.iter().map(String::as_str).collect();
        let rules = load(&with_max("100", &text)).rules;
        let sum = |method, path| rules.iter().filter(|r| matches_request(r, method, path)).map(|r| r.percentage.ppm()).sum::<u32>();
        let worst = METHODS.iter().flat_map(|m| PATHS.map(|p| sum(m, p))).max().unwrap_or(0);
        let is_refused = crate::load_text(&with_max("10", &text)).is_err();
        prop_assert!(is_refused || worst <= 100_000, "{worst} ppm were let through: {text:?}");
    }

    /// Of rules that are told apart by their paths alone, and one for all, none are refused without need.
    #[test]
    fn paths_are_told_apart_exactly(all in 0_u32..6, drawn in prop::collection::vec((1_u32..6, 0_u32..4), 1..9)) {
        let mut text = vec![rule(&all.to_string(), "")];
        text.extend(drawn.iter().map(|(percentage, path)| rule(&percentage.to_string(), &format!("path: /{path}"))));
        let text: Vec<&str> = text.iter().map(String::as_str).collect();
        let of_path = |path| drawn.iter().filter(|(_, p)| *p == path).map(|(percentage, _)| percentage).sum::<u32>();
        let worst = all + (0..4).map(of_path).max().unwrap_or(0);
        prop_assert_eq!(crate::load_text(&with_max("10", &text)).is_err(), worst > 10);
    }
}
