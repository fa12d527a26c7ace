use std::time::Duration;

use http::{HeaderMap, HeaderName};
use squall_config::model::*;
use squall_config::pattern::Pattern;

use super::*;
use crate::snapshot::Sought;
use crate::testing::*;

fn with(text: &str, matches: Match, faults: Vec<Fault>) -> Rule {
    Rule { matches, ..rule(text, faults) }
}

fn delays() -> Vec<Fault> {
    vec![delay(Phase::Request, 1)]
}

#[test]
fn rules_are_sorted_to_their_listeners() {
    let inbound = Match { direction: Some(Direction::Inbound), ..Match::default() };
    let service_b = Match { cluster: Some(name("service-b")), ..Match::default() };
    let db = Match { listener: Some(name("db")), ..Match::default() };
    let path = Match { path: Some(Pattern::Exact("/".into())), ..Match::default() };
    let rules = vec![
        with("inbound", inbound, delays()),
        with("service-b", service_b, delays()),
        with("db", db, delays()),
        with("path", path, delays()),
        rule("refuse", vec![Fault::Refuse]),
        rule("abort", vec![abort()]),
        Rule { enabled: false, ..rule("off", delays()) },
    ];
    let snapshot = snapshot(1, rules);
    let places = |rules: &[RuleIndex]| rules.iter().map(|rule| rule.place()).collect::<Vec<_>>();
    let lists = |i: usize| (places(&snapshot.listeners[i].http_rules), places(&snapshot.listeners[i].tcp_rules));
    assert_eq!(lists(0), (vec![1, 3, 5], vec![]));
    assert_eq!(lists(1), (vec![0, 3, 5], vec![]));
    assert_eq!(lists(2), (vec![], vec![1, 2, 4]));
    assert_eq!(lists(3), (vec![1, 3, 5], vec![1, 4]));
    assert_eq!(snapshot.listener("from-c").map(|l| l.cluster), Some(1));
    assert!(snapshot.listener("nobody").is_none());
}

#[test]
fn halted_means_no_candidates_but_the_rules_stay() {
    let running = snapshot(1, vec![rule("a", delays())]);
    let halted = compile(Arc::clone(&running.config), Some(&running), Stamp { generation: 2, halted: true, seed: 1 });
    assert!(halted.listeners.iter().all(|l| l.http_rules.is_empty() && l.tcp_rules.is_empty()));
    assert!(decide(&halted, "/").is_empty());
    assert!(running.is_active(&halted.rules[0].state) && !halted.is_active(&halted.rules[0].state));
    assert_eq!(halted.rules.len(), 1);
}

#[test]
fn faults_are_sorted_and_delays_bounded() {
    let mut config = config(vec![rule(
        "a",
        vec![reset(Phase::Response, 0), delay(Phase::Response, 1), abort(), delay(Phase::Request, 9_000)],
    )]);
    config.limits.delay_max = Duration::from_secs(2);
    let snapshot = compile(Arc::new(config), None, Stamp::first(1));
    let kinds: Vec<_> = snapshot.rules[0].rule.faults.iter().map(Fault::kind).collect();
    assert_eq!(kinds, ["delay", "abort", "delay", "reset"]);
    assert_eq!(delay_of(&decide(&snapshot, "/"), &snapshot, Stage::RequestDelay), Duration::from_secs(2));
}

#[test]
fn ten_thousand_other_paths_are_not_candidates() {
    let other = |i: usize| Match { path: Some(Pattern::Exact(format!("/other/{i}"))), ..Match::default() };
    let mut rules: Vec<Rule> = (0..9_999).map(|i| with(&format!("r{i}"), other(i), delays())).collect();
    rules.push(rule("all", delays()));
    let snapshot = snapshot(1, rules);
    let headers = HeaderMap::new();
    let candidates =
        |path| snapshot.listeners[0].index.candidates(path, &headers).map(RuleIndex::place).collect::<Vec<_>>();
    assert_eq!(candidates("/v1/orders"), [9_999]);
    assert_eq!(candidates("/other/42"), [42, 9_999]);
}

#[test]
fn rules_for_other_header_values_are_not_candidates() {
    let field = |name: &str, value: ValueMatch| (HeaderName::try_from(name).unwrap(), value);
    let exact = |value: &str| ValueMatch::Pattern(Pattern::Exact(value.to_owned()));
    let of_user = |user: &str| Match { headers: vec![field("x-user", exact(user))], ..Match::default() };
    let present = Match { headers: vec![field("x-user", ValueMatch::Present(true))], ..Match::default() };
    let regex = Match { path: Pattern::regex("/.*").ok(), ..of_user("alice") };
    let mut rules = vec![
        with("alice", of_user("alice"), delays()),
        with("bob", of_user("bob"), delays()),
        with("present", present, delays()),
        with("regex", regex, delays()),
    ];
    // More names than are looked up: the last six are candidates always.
    for i in 0..9 {
        let matches = Match { headers: vec![field(&format!("x-{i}"), exact("y"))], ..Match::default() };
        rules.push(with(&format!("r{i}"), matches, delays()));
    }
    let snapshot = snapshot(1, rules);
    let candidates = |fields: &[(&str, &str)]| {
        let pair = |(name, value): &(&str, &str)| (HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        let headers = fields.iter().map(pair).collect();
        snapshot.listeners[0]
            .index
            .candidates("/", &headers)
            .map(RuleIndex::place)
            .filter(|rule| *rule < 7)
            .collect::<Vec<_>>()
    };
    assert_eq!(candidates(&[]), [2]);
    assert_eq!(candidates(&[("x-user", "alice")]), [0, 2, 3]);
    assert_eq!(candidates(&[("x-user", "bob")]), [1, 2]);
    assert_eq!(candidates(&[("x-user", "nobody")]), [2]);
    assert_eq!(candidates(&[("x-user", "nobody"), ("x-user", "bob")]), [0, 1, 2, 3], "any value of several counts");
    assert_eq!(candidates(&[("x-0", "y"), ("x-2", "y")]), [2, 4, 6]);
    assert!(
        (7..13).all(|rule| snapshot.listeners[0].index.candidates("/", &HeaderMap::new()).any(|c| c.place() == rule))
    );
}

#[test]
fn grpc_rules_are_indexed_by_path() {
    let grpc = |service: Option<&str>, method: Option<&str>| Match {
        grpc: Some(GrpcMatch { service: service.map(str::to_owned), method: method.map(str::to_owned) }),
        ..Match::default()
    };
    let rules = vec![
        with("both", grpc(Some("pkg.S"), Some("M")), delays()),
        with("service", grpc(Some("pkg.S"), None), delays()),
        with("method", grpc(None, Some("M")), delays()),
    ];
    let snapshot = snapshot(1, rules);
    let headers = HeaderMap::new();
    let candidates =
        |path| snapshot.listeners[0].index.candidates(path, &headers).map(RuleIndex::place).collect::<Vec<_>>();
    assert_eq!(candidates("/pkg.S/M"), [0, 1, 2]);
    assert_eq!(candidates("/pkg.S/N"), [1, 2]);
    assert_eq!(candidates("/pkg.SX/M"), [2]);
}

#[test]
fn a_step_is_of_its_rule() {
    let two = vec![delay(Phase::Request, 1), delay(Phase::Response, 1)];
    let snapshot = snapshot(1, vec![rule("a", two), rule("b", delays())]);
    let plan = decide(&snapshot, "/");
    let rules: Vec<_> = plan.steps().iter().map(|step| snapshot.step_rule(*step).rule.name.as_str()).collect();
    assert_eq!(rules, ["a", "a", "b"]);
}

#[test]
fn a_redirected_connection_belongs_to_the_first_cluster_that_lists_it() {
    let text = "version: 1
listeners: [{name: out, address: \"[::]:1\", cluster: original_dst}]
clusters:
- {name: by-name, original_dst: true, destinations: [\"b:80\", \"*.c.example:*\"]}
- {name: by-address, original_dst: true, destinations: [\"10.0.0.0/8:*\", \"[fd00::1]:80\"]}
rules: [{name: r, percentage: 1, match: {cluster: by-address}, fault: {delay: 1s}}]
";
    let config = squall_config::load_text(text).unwrap().1;
    let snapshot = compile(Arc::new(config), None, Stamp::first(7));
    let listener = &snapshot.listeners[0];
    assert!(listener.goes_by_names());
    for (to, server_name, authority, expected) in [
        ("10.1.2.3:80", None, None, "by-address"),
        ("10.1.2.3:80", None, Some("b"), "by-name"),
        ("10.1.2.3:80", None, Some("B:8080"), "by-name"),
        ("10.1.2.3:81", None, Some("b"), "by-address"),
        ("11.0.0.1:81", None, Some("b"), "original_dst"),
        ("11.0.0.1:443", Some("x.c.example"), None, "by-name"),
        ("11.0.0.1:443", Some("c.example"), None, "original_dst"),
        // A name is not an address, whatever it looks like.
        ("11.0.0.1:80", None, Some("10.1.2.3"), "original_dst"),
        ("fd00::1:80", None, Some(""), "by-address"),
    ] {
        let (host, port) = to.rsplit_once(':').unwrap();
        let sought = Sought { server_name, ip: host.parse().ok(), port: port.parse().ok(), authority };
        let found = listener.route(sought).map_or(listener, |route| &listener.routes[route]);
        assert_eq!(found.listener.cluster.as_str(), expected, "{to} {server_name:?} {authority:?}");
        assert_eq!(found.tcp_rules.len(), usize::from(expected == "by-address"));
    }
}
