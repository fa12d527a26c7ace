//! Rules in shadow mode, and what no rule reaches.

use std::sync::Arc;

use http::Method;
use proptest::prelude::*;
use squall_config::model::*;
use squall_config::pattern::Pattern;

use super::*;
use crate::explain::explain_request;
use crate::testing::*;
use crate::{Stamp, compile};

fn shadow(rule: Rule) -> Rule {
    Rule { mode: Mode::Shadow, ..rule }
}

/// (matched, shadow, protected, excluded path)
fn counts(snapshot: &Snapshot, rule: usize) -> (u64, u64, u64, u64) {
    let state = &snapshot.rules[rule].state;
    let [matched, shadow, protected, excluded] =
        [&state.matched, &state.skipped_shadow, &state.skipped_protected, &state.skipped_excluded_path]
            .map(|count| count.load(Relaxed));
    (matched, shadow, protected, excluded)
}

fn protecting(paths: Vec<Pattern>, clusters: &[&str], rules: Vec<Rule>) -> Snapshot {
    let mut config = config(rules);
    let clusters = clusters.iter().map(|cluster| name(cluster)).collect();
    config.limits.blast_radius.protected = Protected { paths, clusters };
    compile(Arc::new(config), None, Stamp::first(1))
}

#[test]
fn a_shadow_rule_is_counted_and_injects_nothing() {
    let rules =
        vec![shadow(rule("s", vec![abort()])), rule("r", vec![delay(Phase::Request, 1)]), rule("end", vec![abort()])];
    let rules = [rules, vec![shadow(rule("late", vec![abort()]))]].concat();
    let snapshot = snapshot(1, rules);
    let decision = decide_request(&snapshot, &snapshot.listeners[0], &get(&snapshot, "/"));
    assert_eq!(decision.plan.rules().collect::<Vec<_>>(), [RuleIndex::new(1), RuleIndex::new(2)]);
    // The last one would not have been reached.
    assert_eq!(decision.shadows, [RuleIndex::new(0)]);
    assert_eq!((counts(&snapshot, 0), counts(&snapshot, 3)), ((1, 1, 0, 0), (1, 0, 0, 0)));
    let _counted = decide_request(&snapshot, &snapshot.listeners[0], &get(&snapshot, "/healthz"));
    assert_eq!(counts(&snapshot, 0), (1, 1, 0, 1));
}

#[test]
fn shadow_rules_do_not_fill_the_plan() {
    let mut rules: Vec<Rule> = (0..9).map(|i| shadow(rule(&format!("s{i}"), vec![delay(Phase::Request, 1)]))).collect();
    rules.push(rule("r", vec![delay(Phase::Request, 1)]));
    let snapshot = snapshot(1, rules);
    let decision = decide_request(&snapshot, &snapshot.listeners[0], &get(&snapshot, "/"));
    assert_eq!((decision.shadows.len(), decision.plan.steps().len()), (9, 1));
}

#[test]
fn connections_and_handshakes_have_shadows_too() {
    let snapshot = snapshot(1, vec![shadow(rule("s", vec![Fault::Refuse])), rule("r", vec![Fault::Refuse])]);
    let listener = &snapshot.listeners[2];
    let decide = |rule| decide_connection(&snapshot, listener, RuleIndex::new(rule), &connection(&snapshot));
    // What it would be: the connection has it once the rule injects.
    assert_eq!(decide(0).steps().len(), 1);
    assert_eq!(decide(1).steps().len(), 1);
    assert_eq!((counts(&snapshot, 0).1, counts(&snapshot, 1).1), (1, 0));

    let mut config = config(vec![
        shadow(rule("s", vec![Fault::Tls(TlsFault::Alert)])),
        rule("r", vec![Fault::Tls(TlsFault::Stall)]),
        shadow(rule("late", vec![Fault::Tls(TlsFault::Alert)])),
    ]);
    let files = KeyPairFiles { cert: "c".into(), key: "k".into() };
    config.listeners[0].tls = Some(ListenerTls::Terminate(ServerTls { identity: files, client_ca: None }));
    let snapshot = compile(Arc::new(config), None, Stamp::first(1));
    let decided = decide_handshake(&snapshot, &snapshot.listeners[0], [127, 0, 0, 1].into(), |_| {});
    assert_eq!(decided, Some((RuleIndex::new(1), TlsFault::Stall)));
    assert_eq!([0, 1, 2].map(|rule| counts(&snapshot, rule).1), [1, 0, 0]);
}

#[test]
fn what_a_rule_in_shadow_mode_holds_is_let_go() {
    let before = snapshot(1, vec![rule("r", vec![abort()])]);
    let state = Arc::clone(&before.rules[0].state);
    assert!(before.is_active(&state));
    let config = Arc::new(config(vec![shadow(rule("r", vec![abort()]))]));
    assert!(!compile(config, Some(&before), Stamp { generation: 2, halted: false, seed: 1 }).is_active(&state));
}

#[test]
fn protected_paths_and_clusters_are_passed_by() {
    let exact = Match { path: Some(Pattern::Exact("/pay".to_owned())), ..Match::default() };
    let rules = vec![rule("all", vec![abort()]), Rule { matches: exact, ..rule("exact", vec![abort()]) }];
    let paths = vec![Pattern::Exact("/pay".to_owned()), Pattern::glob("/admin/**").unwrap()];
    let of_paths = protecting(paths, &[], rules.clone());
    assert!(decide(&of_paths, "/pay").is_empty() && decide(&of_paths, "/admin/a/b").is_empty());
    assert!(!decide(&of_paths, "/payment").is_empty());
    assert_eq!((counts(&of_paths, 0), counts(&of_paths, 1)), ((1, 0, 2, 0), (0, 0, 1, 0)));

    let of_cluster = protecting(Vec::new(), &["service-b"], vec![rule("all", vec![abort(), Fault::Refuse])]);
    assert!(decide(&of_cluster, "/").is_empty());
    let (tcp, inbound) = (&of_cluster.listeners[2], &of_cluster.listeners[1]);
    assert!(decide_connection(&of_cluster, tcp, RuleIndex::new(0), &connection(&of_cluster)).is_empty());
    assert_eq!(counts(&of_cluster, 0), (0, 0, 2, 0));
    // Another cluster.
    assert!(!decide_request(&of_cluster, inbound, &get(&of_cluster, "/")).plan.is_empty());
}

#[test]
fn tunnels_of_protected_paths_are_passed_by() {
    let matches = Match { upgrade: Some(UpgradeMatch::Any), ..Match::default() };
    let rule = Rule { matches, ..rule("t", vec![reset(Phase::Request, 0)]) };
    let snapshot = protecting(vec![Pattern::Prefix("/ws/".to_owned())], &[], vec![rule]);
    let decide = |path| {
        let tunnel = TunnelMeta { request: get(&snapshot, path), protocol: "websocket" };
        decide_tunnel(&snapshot, &snapshot.listeners[0], RuleIndex::new(0), &tunnel)
    };
    assert!(decide("/ws/1").is_empty());
    assert!(!decide("/").is_empty());
    assert_eq!(counts(&snapshot, 0), (1, 0, 1, 0));
}

#[test]
fn the_explanation_tells_both() {
    let rules = vec![shadow(rule("s", vec![delay(Phase::Request, 1), abort()])), rule("r", vec![abort()])];
    let snapshot = protecting(vec![Pattern::Exact("/pay".to_owned())], &["service-a"], rules);
    let reasons = |listener: usize, path| {
        let verdicts = explain_request(&snapshot, &snapshot.listeners[listener], &get(&snapshot, path));
        verdicts.into_iter().map(|verdict| (verdict.reason, verdict.would_inject)).collect::<Vec<_>>()
    };
    let picked = "matches; takes 100% of what matches, and match number 1 is picked";
    assert_eq!(
        reasons(0, "/"),
        [
            (format!("{picked}; in shadow mode, so that delay and abort is counted and not injected"), vec![]),
            (picked.to_owned(), vec!["abort"]),
        ]
    );
    assert_eq!(reasons(0, "/pay")[1].0, "path \"/pay\" is in limits.protected.paths; no rule reaches it");
    assert_eq!(reasons(1, "/")[1].0, "cluster \"service-a\" is in limits.protected.clusters; no rule reaches it");
}

/// A rule of a few shapes, in shadow mode or not.
fn any_rule(at: usize, (kind, share, is_shadow): (u8, f64, bool)) -> Rule {
    let fault = match kind {
        0 => vec![delay(Phase::Request, 1)],
        1 => vec![abort()],
        2 => vec![reset(Phase::Response, 3)],
        _ => vec![delay(Phase::Response, 1), delay(Phase::Request, 1), abort()],
    };
    let rule = Rule { faults: fault, ..share_rule(&format!("r{at}"), percent(share), Sample::Random) };
    if is_shadow { shadow(rule) } else { rule }
}

fn any_match() -> impl Strategy<Value = Match> {
    let pattern = prop_oneof![
        "/[ab]{0,2}".prop_map(Pattern::Exact),
        "/[ab]{0,2}".prop_map(Pattern::Prefix),
        "/[ab]?[*]".prop_map(|text| Pattern::glob(&text).unwrap()),
        "/[ab]?[.][*]".prop_map(|text| Pattern::regex(&text).unwrap()),
    ];
    let authority = prop_oneof!["[ABb](:80)?".prop_map(Pattern::Exact), "[Ab]".prop_map(Pattern::Prefix)];
    let methods = prop::sample::subsequence(vec![Method::GET, Method::POST], 0..3);
    let sources = prop::sample::subsequence(vec!["10.0.0.0/8", "10.0.0.0/24", "10.0.1.0/24", "::/0"], 0..3);
    let parts = (methods, prop::option::of(pattern), prop::option::of(authority), sources);
    parts.prop_map(|(method, path, authority, source)| Match {
        method,
        path,
        authority,
        source: source.into_iter().map(|net| net.parse().unwrap()).collect(),
        ..Match::default()
    })
}

proptest! {
    /// Whatever shadow rules there are, the others decide as if they were not there.
    #[test]
    fn shadow_rules_change_nothing_for_others(
        seed: u64,
        drawn in prop::collection::vec((0_u8..4, 0.0..100.0, any::<bool>()), 1..12),
    ) {
        let rules: Vec<Rule> = drawn.iter().enumerate().map(|(at, rule)| any_rule(at, *rule)).collect();
        let real: Vec<Rule> = rules.iter().filter(|rule| rule.mode == Mode::Inject).cloned().collect();
        let (with, without) = (snapshot(seed, rules), snapshot(seed, real));
        for _ in 0..20 {
            let of = |snapshot: &Snapshot, plan: FaultPlan| {
                let named = |step: &Step| (snapshot.step_rule(*step).rule.name.clone(), step.fault, step.drawn);
                plan.steps().iter().map(named).collect::<Vec<_>>()
            };
            prop_assert_eq!(of(&with, decide(&with, "/")), of(&without, decide(&without, "/")));
        }
    }

    /// Two matches that are said to exclude each other never hold for the same request.
    #[test]
    fn exclusion_is_sound(
        a in any_match(), b in any_match(), path in "/[ab]{0,3}", authority in "[AaBb](:8[01])?", third in 0_u8..2, fourth in 1_u8..3,
    ) {
        let with = |text, matches| Rule { matches, ..rule(text, vec![abort()]) };
        let snapshot = snapshot(1, vec![with("a", a.clone()), with("b", b.clone())]);
        for method in [Method::GET, Method::POST] {
            let source = IpAddr::from([10, 0, third, fourth]);
            let request = RequestMeta { method: &method, path: &path, authority: &authority, source, ..get(&snapshot, "/") };
            let hold = snapshot.rules.iter().all(|rule| match_request(rule, &request).is_ok());
            prop_assert!(!(hold && a.excludes(&b)), "{a:?} {b:?} {request:?}");
            prop_assert_eq!(a.excludes(&b), b.excludes(&a));
        }
    }
}
