use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::faults::Phase;
use crate::validate;

fn document(proxies: &Value) -> ConfigSpec {
    serde_json::from_value(json!({"version": 1, "toxiproxy": {"proxies": proxies}})).unwrap()
}

/// Any toxic that its API would take.
fn any_toxic() -> impl Strategy<Value = Value> {
    let number = || prop_oneof![Just(0_u64), 1..2000_u64];
    let kind = prop_oneof![
        (number(), number()).prop_map(|(a, b)| ("latency", json!({"latency": a, "jitter": b}))),
        number().prop_map(|a| ("bandwidth", json!({"rate": a}))),
        number().prop_map(|a| ("slow_close", json!({"delay": a}))),
        number().prop_map(|a| ("timeout", json!({"timeout": a}))),
        number().prop_map(|a| ("reset_peer", json!({"timeout": a}))),
        (number(), number(), number())
            .prop_map(|(a, b, c)| ("slicer", json!({"average_size": a, "size_variation": b, "delay": c}))),
        number().prop_map(|a| ("limit_data", json!({"bytes": a}))),
        (200..600_u16).prop_map(|a| ("status_code", json!({"status_code": a}))),
        "[a-z]{0,5}".prop_map(|a| ("modify_body", json!({"body": a}))),
        "[a-z]{1,5}".prop_map(|a| ("header", json!({"mode": "response", "headers": {"x-a": a}}))),
    ];
    let stream = prop_oneof![Just("upstream"), Just("downstream")];
    (kind, stream, 0..=1000_u16, ".{1,20}").prop_map(|((kind, attributes), stream, toxicity, name)| {
        let toxicity = f64::from(toxicity) / 1000.0;
        json!({"type": kind, "stream": stream, "toxicity": toxicity, "attributes": attributes, "name": name})
    })
}

fn any_proxies() -> impl Strategy<Value = Value> {
    let proxy = (".{1,70}", any::<bool>(), prop::collection::vec(any_toxic(), 0..6));
    prop::collection::vec(proxy, 0..5).prop_map(|proxies| {
        let names: BTreeMap<String, _> = proxies.into_iter().map(|(name, on, toxics)| (name, (on, toxics))).collect();
        let proxy = |(name, (on, toxics)): (String, (bool, Vec<Value>))| {
            let toxics: BTreeMap<String, Value> =
                toxics.into_iter().map(|toxic| (toxic["name"].as_str().unwrap().to_owned(), toxic)).collect();
            let toxics: Vec<Value> = toxics.into_values().collect();
            json!({"name": name, "upstream": "127.0.0.1:9", "listen": "127.0.0.1:0", "enabled": on, "toxics": toxics})
        };
        names.into_iter().map(proxy).collect()
    })
}

proptest! {
    /// What Toxiproxy takes is valid here, and comes back as it was.
    #[test]
    fn lowered_and_raised_again_nothing_is_lost(proxies in any_proxies()) {
        let lowered = lower(document(&proxies));
        prop_assert_eq!(&lowered.problems, &Vec::new());
        let config = validate(&lowered.document);
        prop_assert!(config.is_ok(), "{:?}", config.err());
        let raised = raise(&lowered.document);
        let again = lower(raised.clone()).document;
        prop_assert_eq!(&again, &lowered.document);
        let back = raised.toxiproxy.unwrap_or_default().proxies;
        prop_assert_eq!(back.len(), proxies.as_array().unwrap().len());
        for (proxy, wanted) in back.iter().zip(proxies.as_array().unwrap()) {
            prop_assert_eq!(&json!(proxy.name), &wanted["name"]);
            prop_assert_eq!(proxy.enabled.unwrap_or(true), wanted["enabled"].as_bool().unwrap());
            let sorted = |toxics: Vec<Value>| -> BTreeMap<String, Value> {
                toxics.into_iter().map(|toxic| (toxic["name"].to_string(), toxic["type"].clone())).collect()
            };
            let toxics = proxy.toxics.iter().map(|toxic| serde_json::to_value(toxic).unwrap()).collect();
            prop_assert_eq!(sorted(toxics), sorted(wanted["toxics"].as_array().unwrap().clone()));
        }
    }

    /// A change of some attributes leaves the others, and what makes no sense changes nothing.
    #[test]
    fn attributes_are_merged(latency in any::<u64>(), jitter in any::<u64>(), name in "(?i)jitter") {
        let kind = ToxicKind::new("latency").unwrap();
        let kind = kind.with(&BTreeMap::from([("latency".to_owned(), json!(latency))])).unwrap();
        let kind = kind.with(&BTreeMap::from([(name, json!(jitter)), ("other".to_owned(), json!(1))])).unwrap();
        prop_assert_eq!(&kind, &ToxicKind::Latency(Latency { latency, jitter }));
        for wrong in [json!(-1), json!(1.5), json!("1"), json!([])] {
            prop_assert!(kind.with(&BTreeMap::from([("jitter".to_owned(), wrong)])).is_err());
        }
    }

    #[test]
    fn a_toxicity_is_a_share_of_whole_millionths(toxicity in -2.0_f32..2.0) {
        let mut toxic = Toxic::new("", ToxicKind::new("timeout").unwrap(), "Upstream").unwrap();
        toxic.toxicity = toxicity;
        let expected = (f64::from(toxicity).clamp(0.0, 1.0) * 1e6).round();
        prop_assert!((f64::from(toxic.percentage().ppm()) - expected).abs() <= 1.0);
        prop_assert_eq!(toxic.name, "timeout_Upstream");
    }
}

#[test]
fn every_type_is_called_by_its_name() {
    let names: Vec<&str> = ToxicKind::TYPES.iter().map(|name| ToxicKind::new(name).unwrap().name()).collect();
    assert_eq!(names, ToxicKind::TYPES);
}

#[test]
fn draws_below_zero_pass_at_once() {
    let kind = ToxicKind::Latency(Latency { latency: 10, jitter: 40 });
    let fault = serde_json::to_value(kind.fault(Phase::Response)).unwrap();
    let quantiles = json!({"p0": "0s", "p37.500000": "0s", "p100": "50ms"});
    assert_eq!(fault, json!({"delay": {"quantiles": quantiles, "on": "response"}}));
}

#[test]
fn what_is_wrong_is_told_where_it_was_written() {
    let proxies = json!([
        {"name": "a", "upstream": "127.0.0.1:9"},
        {"name": "b", "upstream": "nonsense"},
        {"name": "c", "upstream": "127.0.0.1:9", "toxics": [
            {"type": "latency"},
            {"type": "slicer", "attributes": {"average_size": 1, "delay": 90_000_000}},
        ]},
    ]);
    let mut document = document(&proxies);
    document.clusters.push(crate::spec::ClusterSpec { name: "b".to_owned(), ..Default::default() });
    let lowered = lower(document);
    let problems = lowered.relocate(validate(&lowered.document).unwrap_err().0);
    let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(
        paths,
        ["clusters[0].endpoints", "toxiproxy.proxies[1]", "toxiproxy.proxies[2].toxics[1]"],
        "{problems:#?}"
    );
}

#[test]
fn no_host_is_this_machine() {
    let lowered = lower(document(&json!([{"name": "a", "listen": ":26379", "upstream": ":6379"}])));
    let config = validate(&lowered.document).unwrap();
    assert_eq!(config.listeners[0].address.to_string(), "[::]:26379");
    assert_eq!(config.clusters[0].endpoints[0].address.to_string(), "127.0.0.1:6379");
    let raised = raise(&lowered.document).toxiproxy.unwrap().proxies;
    assert_eq!(raised[0].upstream, ":6379", "as it was written");
}

#[test]
fn names_are_kept_apart() {
    let proxies = json!([
        {"name": "Redis", "upstream": "127.0.0.1:9", "toxics": [{"type": "timeout"}]},
        {"name": "redis", "upstream": "127.0.0.1:9", "toxics": [{"type": "timeout"}]},
    ]);
    let document = lower(document(&proxies)).document;
    let names: Vec<&str> = document.listeners.iter().map(|listener| listener.name.as_str()).collect();
    let rules: Vec<&str> = document.rules.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(
        (names, rules),
        (vec!["redis", "redis-2"], vec!["redis.timeout_downstream", "redis-2.timeout_downstream"])
    );
    assert_eq!(listener_of(&document, "redis").unwrap().1.name, "redis-2");
}
