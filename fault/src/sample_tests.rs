//! Who is picked, by key and by attempt.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use squall_config::model::{Match, Rule};
use squall_config::units::Percentage;

use super::*;
use crate::decide::{decide_connection, decide_request};
use crate::explain::explain_request;
use crate::plan::RuleIndex;
use crate::testing::*;
use crate::{Stamp, compile};

fn sticky(name: &str, share: f64, key: StickyKey) -> Rule {
    share_rule(name, percent(share), Sample::Sticky(key))
}

fn by_trace(share: f64) -> Rule {
    sticky("r", share, StickyKey::Trace)
}

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())).collect()
}

fn trace(id: u128) -> HeaderMap {
    headers(&[("traceparent", &format!("00-{id:032x}-00f067aa0ba902b7-01"))])
}

/// Whether the first rule hits `GET /` with these header fields.
fn is_hit(snapshot: &Snapshot, headers: &HeaderMap) -> bool {
    let request = RequestMeta { headers, ..get(snapshot, "/") };
    !decide_request(snapshot, &snapshot.listeners[0], &request).plan.is_empty()
}

fn hits(snapshot: &Snapshot, ids: impl Iterator<Item = u128>) -> HashSet<u128> {
    ids.filter(|id| is_hit(snapshot, &trace(*id))).collect()
}

#[test]
fn the_same_trace_has_the_same_answer_on_every_replica() {
    // Seeds of the system differ between replicas and from one start to the next.
    let replicas = [1, 2, 0xDEAD].map(|seed| snapshot(seed, vec![by_trace(10.0)]));
    let picked = replicas.each_ref().map(|replica| hits(replica, 1..2_000));
    assert_eq!(picked[0], picked[1]);
    assert_eq!(picked[0], picked[2]);
    // In any order, any number of times, and after any other requests.
    let again: HashSet<u128> = hits(&replicas[0], (1..2_000).rev());
    assert_eq!(again, picked[0]);
    // Fixed for ever: a report replays on later versions.
    let mut first: Vec<u128> = picked[0].iter().copied().collect();
    first.sort_unstable();
    assert_eq!(first[..6], GOLDEN);
}

const GOLDEN: [u128; 6] = [1, 22, 25, 30, 32, 40];

#[test]
fn a_seed_of_the_configuration_picks_others() {
    let with_seed = |seed| {
        compile(Arc::new(squall_config::model::Config { seed, ..config(vec![by_trace(10.0)]) }), None, Stamp::first(1))
    };
    let [none, zero, seven] = [None, Some(0), Some(7)].map(|seed| hits(&with_seed(seed), 1..2_000));
    assert_eq!(none, zero);
    assert_ne!(none, seven);
}

#[test]
fn five_percent_are_among_ten() {
    let picked = [1.0, 5.0, 10.0, 50.0].map(|share| hits(&snapshot(1, vec![by_trace(share)]), 1..5_000));
    assert!(picked.windows(2).all(|pair| pair[0].is_subset(&pair[1]) && pair[0].len() < pair[1].len()));
    assert_eq!(hits(&snapshot(1, vec![by_trace(0.0)]), 1..500).len(), 0);
    assert_eq!(hits(&snapshot(1, vec![by_trace(100.0)]), 1..500).len(), 499);
}

/// Pearson's statistic of keys over twenty shares of 5 % each, 19 degrees of freedom: 43.8 is the 99.9th percentile.
#[test]
fn keys_are_spread_evenly() {
    let shares: Vec<Snapshot> = (1..=20).map(|n| snapshot(1, vec![by_trace(5.0 * f64::from(n))])).collect();
    let n = 20_000_u128;
    let mut below = 0;
    let mut statistic = 0.0;
    for share in &shares {
        // Ids that count up are the worst case: they differ in a few low bits.
        let up_to = hits(share, 1..=n).len();
        let (observed, expected) = (u32::try_from(up_to - below).unwrap(), 1_000.0);
        statistic += (f64::from(observed) - expected).powi(2) / expected;
        below = up_to;
    }
    assert!(statistic < 43.8, "{statistic}");
    assert_eq!(below, 20_000);
}

#[test]
fn two_rules_pick_different_traces() {
    let of = |name: &str| hits(&snapshot(1, vec![sticky(name, 10.0, StickyKey::Trace)]), 1..2_000);
    let (a, b) = (of("a"), of("b"));
    assert_ne!(a, b);
    let both = a.intersection(&b).count();
    assert!((5..=40).contains(&both), "about 1 % of 2,000 by chance, not {both}");
}

#[test]
fn source_and_header_are_keys_too() {
    let user = StickyKey::Header(HeaderName::from_static("x-user"));
    let by_user = snapshot(1, vec![sticky("r", 30.0, user)]);
    let users: Vec<bool> = (0..200).map(|n| is_hit(&by_user, &headers(&[("x-user", &format!("user-{n}"))]))).collect();
    assert!((40..80).contains(&users.iter().filter(|hit| **hit).count()));
    for (n, hit) in users.iter().enumerate() {
        assert_eq!(is_hit(&by_user, &headers(&[("x-user", &format!("user-{n}"))])), *hit);
    }
    let by_source = snapshot(1, vec![sticky("r", 30.0, StickyKey::Source)]);
    let hit = |source: &str| {
        let request = RequestMeta { source: source.parse().unwrap(), ..get(&by_source, "/") };
        !decide_request(&by_source, &by_source.listeners[0], &request).plan.is_empty()
    };
    let n_hit = (0..250).filter(|n| hit(&format!("10.0.0.{n}"))).count();
    assert!((50..100).contains(&n_hit), "{n_hit}");
    // What a dual-stack socket shows is the same caller.
    assert!((0..250).all(|n| hit(&format!("10.0.0.{n}")) == hit(&format!("::ffff:10.0.0.{n}"))));
    // A connection from there is picked alike.
    for n in 0..50_u8 {
        let connection = crate::meta::ConnectionMeta { source: [10, 0, 0, n].into(), ..connection(&by_source) };
        let plan = decide_connection(&by_source, &by_source.listeners[2], RuleIndex::new(0), &connection);
        assert_eq!(!plan.is_empty(), hit(&format!("10.0.0.{n}")));
    }
}

#[test]
fn who_has_no_key_passes_and_is_counted() {
    let snapshot = snapshot(1, vec![by_trace(100.0), share_rule("attempt", Percentage::ALWAYS, attempt(1))]);
    for _ in 0..3 {
        assert!(!is_hit(&snapshot, &HeaderMap::new()));
    }
    assert!(decide_connection(&snapshot, &snapshot.listeners[2], RuleIndex::new(0), &connection(&snapshot)).is_empty());
    let counts = |n: usize| {
        let state = &snapshot.rules[n].state;
        (state.matched.load(Relaxed), state.skipped_no_key.load(Relaxed))
    };
    assert_eq!((counts(0), counts(1)), ((4, 4), (3, 3)));
    let verdicts = explain_request(&snapshot, &snapshot.listeners[0], &get(&snapshot, "/"));
    assert_eq!(verdicts[0].reason, "matches; takes 100% of all traces, and the request has none of that");
    assert_eq!(counts(0), (4, 4));
}

fn attempt(n: u32) -> Sample {
    Sample::Attempt(NonZeroU32::new(n).unwrap())
}

fn attempts_hit(n: u32, tries: &[HeaderMap]) -> Vec<bool> {
    let snapshot = snapshot(1, vec![share_rule("r", Percentage::ALWAYS, attempt(n))]);
    tries.iter().map(|headers| is_hit(&snapshot, headers)).collect()
}

#[test]
fn the_caller_may_say_which_attempt_it_is() {
    let envoy = |n: &str| headers(&[("x-envoy-attempt-count", n)]);
    assert_eq!(attempts_hit(1, &[envoy("1"), envoy("2"), envoy("1"), envoy("3")]), [true, false, true, false]);
    assert_eq!(attempts_hit(2, &[envoy("1"), envoy("2"), envoy("0"), envoy("x")]), [false, true, false, false]);
    let grpc = |n: &str| headers(&[("grpc-previous-rpc-attempts", n)]);
    // The first try of gRPC says nothing; its trace tells.
    assert_eq!(attempts_hit(2, &[trace(7), grpc("1"), grpc("2")]), [false, true, false]);
}

#[test]
fn tries_of_a_request_are_counted_by_key_and_by_trace() {
    let key = |key: &str| headers(&[("idempotency-key", key)]);
    assert_eq!(attempts_hit(1, &[key("a"), key("a"), key("b"), key("a"), key("b")]), [true, false, true, false, false]);
    assert_eq!(attempts_hit(2, &[trace(1), trace(2), trace(1), trace(1)]), [false, false, true, false]);
    // An explanation counts nothing.
    let snapshot = snapshot(1, vec![share_rule("r", Percentage::ALWAYS, attempt(2))]);
    let (first, listener) = (trace(1), &snapshot.listeners[0]);
    let request = RequestMeta { headers: &first, ..get(&snapshot, "/") };
    let explained = || !explain_request(&snapshot, listener, &request)[0].would_inject.is_empty();
    assert!(!explained() && !explained());
    assert!(!is_hit(&snapshot, &first));
    assert!(explained() && explained() && is_hit(&snapshot, &first) && !explained());
}

#[test]
fn other_requests_of_the_trace_are_no_retries() {
    let snapshot = snapshot(1, vec![share_rule("r", Percentage::ALWAYS, attempt(1))]);
    let (id, post) = (trace(1), http::Method::POST);
    let hit = |request: RequestMeta<'_>| !decide_request(&snapshot, &snapshot.listeners[0], &request).plan.is_empty();
    let base = RequestMeta { headers: &id, ..get(&snapshot, "/a") };
    assert!(hit(base) && !hit(base));
    assert!(hit(RequestMeta { path: "/b", ..base }));
    assert!(hit(RequestMeta { method: &post, ..base }));
    assert!(hit(RequestMeta { query: Some("q=1"), ..base }));
    assert!(hit(RequestMeta { authority: "c.example", ..base }));
    assert!(!hit(base));
}

#[test]
fn requests_that_a_rule_does_not_match_are_not_tried() {
    let matches = Match { method: vec![http::Method::POST], ..Match::default() };
    let snapshot = snapshot(1, vec![Rule { matches, ..share_rule("r", Percentage::ALWAYS, attempt(1)) }]);
    let id = trace(1);
    assert!(!is_hit(&snapshot, &id));
    let post = http::Method::POST;
    let request = RequestMeta { headers: &id, method: &post, ..get(&snapshot, "/") };
    assert!(!decide_request(&snapshot, &snapshot.listeners[0], &request).plan.is_empty());
}

#[test]
fn the_percentage_is_of_the_attempts() {
    let snapshot = snapshot(3, vec![share_rule("r", percent(25.0), attempt(1))]);
    let n_hit = hits(&snapshot, 1..=4_000).len();
    assert!((900..=1_100).contains(&n_hit), "{n_hit}");
    assert_eq!(hits(&snapshot, 1..=4_000).len(), 0, "these are second tries");
}

proptest! {
    /// However the tries of several requests are mixed, and on however many threads, each request is hit once.
    #[test]
    fn every_request_fails_its_attempt_once(order in proptest::collection::vec(0_u128..8, 1..120), n in 1_u32..4) {
        let snapshot = snapshot(1, vec![share_rule("r", Percentage::ALWAYS, attempt(n))]);
        let hit = |part: &[u128]| part.iter().copied().filter(|id| is_hit(&snapshot, &trace(*id + 1))).collect::<Vec<_>>();
        let hit: Vec<u128> = std::thread::scope(|scope| {
            let parts = order.chunks(order.len().div_ceil(3));
            let workers: Vec<_> = parts.map(|part| scope.spawn(|| hit(part))).collect();
            workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
        });
        for id in 0..8 {
            let times = |list: &[u128]| list.iter().filter(|other| **other == id).count();
            prop_assert_eq!(times(&hit), usize::from(times(&order) >= n as usize));
        }
    }

    #[test]
    fn a_larger_share_has_all_of_a_smaller_one(id in 1_u128.., p in 0_u32..=1_000_000, q in 0_u32..=1_000_000) {
        let (p, q) = (p.min(q), p.max(q));
        let hit = |ppm| {
            let rule = share_rule("r", Percentage::from_ppm(ppm).unwrap(), Sample::Sticky(StickyKey::Trace));
            is_hit(&snapshot(1, vec![rule]), &trace(id))
        };
        prop_assert!(!hit(p) || hit(q));
    }

    #[test]
    fn no_header_panics(values in proptest::collection::vec("[ -~]{0,60}", 5)) {
        let names = ["traceparent", "b3", "x-b3-traceid", "x-envoy-attempt-count", "idempotency-key"];
        let fields = names.into_iter().zip(&values).map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_str(v).unwrap()));
        let snapshot = snapshot(1, vec![by_trace(50.0), share_rule("a", Percentage::ALWAYS, attempt(1))]);
        is_hit(&snapshot, &fields.collect());
    }
}
