use serde_json::{Value, json};

use super::{assert_said, import, losses, on_cluster_b};
use crate::import::Options;

const DOCUMENTS: &str = include_str!("kuma.yaml");

#[test]
fn a_list_is_rolled_one_after_the_other() {
    let (rules, said) = import(DOCUMENTS, &Options::default());
    let inbound = json!({"direction": "inbound"});
    let expected = [
        json!({"name": "backend-faults-1", "match": inbound, "percentage": 2.5, "fault": {"delay": "5s"}}),
        json!({"name": "backend-faults-2", "match": inbound, "percentage": 50,
            "fault": {"throttle": {"rate": "6250kB/s", "direction": "response"}}}),
        json!({"name": "backend-faults-3", "match": inbound, "percentage": 70, "fault": {"abort": 500}}),
        json!({"name": "backend-faults-4", "match": inbound, "percentage": 50, "fault": {"abort": 503}}),
    ];
    assert_eq!(rules[..4], expected);
    assert_said(
        &said,
        &[
            "note: spec.rules[0].default.http[1].abort.percentage: 50% of the 30% that the aborts before it let pass, 15% of all",
            "not carried over: spec.rules[0].default.http[2].delay: no percentage is written, which Kuma refuses",
        ],
    );
}

#[test]
fn callers_by_name_make_a_rule_that_is_not_enabled() {
    let (rules, said) = import(DOCUMENTS, &Options::default());
    let enabled = |name: &str| rules.iter().find(|rule| rule["name"] == name).unwrap()["enabled"].clone();
    assert_eq!(enabled("by-caller-1"), json!(false));
    assert_eq!(enabled("by-caller-2"), Value::Null);
    assert_eq!(enabled("old-1"), json!(false));
    assert_said(&said, &["not enabled: spec.from[0].targetRef: ", "not enabled: sources: "]);
    assert_eq!(rules[8]["fault"], json!({"abort": 500}));
    assert_eq!(rules[6]["percentage"], json!(50.5));
}

#[test]
fn what_cannot_be_carried_over_is_said() {
    for (entry, n_rules, expected) in [
        (json!({"default": {"http": [{}]}}), 0, "not carried over: spec.rules[0].default.http[0]: it names neither"),
        (
            json!({"default": {"http": [{"abort": {"percentage": 1}}]}}),
            0,
            "not carried over: spec.rules[0].default.http[0].abort: it has no httpStatus",
        ),
        (
            json!({"default": {"http": [{"responseBandwidth": {"limit": "fast", "percentage": 1}}]}}),
            0,
            "not carried over: spec.rules[0].default.http[0].responseBandwidth.limit: \"fast\" is no limit",
        ),
        (
            json!({"matches": [{"spiffeID": {"type": "Exact", "value": "spiffe://a"}}],
                "default": {"http": [{"abort": {"httpStatus": 500, "percentage": "0.5"}}]}}),
            1,
            "not enabled: spec.rules[0].matches: Squall does not know who calls",
        ),
        (
            json!({"default": {"http": [{"abort": {"httpStatus": 500, "percentage": "half"}}]}}),
            0,
            "not carried over: spec.rules[0].default.http[0].abort.percentage: \"half\" is not a percentage",
        ),
        (
            json!({"default": {"http": [{"delay": {"value": "0s", "percentage": 5}}]}}),
            0,
            "note: spec.rules[0].default.http[0].delay.value: it does nothing",
        ),
    ] {
        let document =
            json!({"type": "MeshFaultInjection", "mesh": "default", "name": "f", "spec": {"rules": [entry]}});
        let (rules, said) = import(&document.to_string(), &Options::default());
        assert_eq!(rules.len(), n_rules, "{document}: {said:#?}");
        assert_said(&said, &[expected]);
    }
}

#[test]
fn the_cluster_answers_for_the_target_of_calls() {
    let document = json!({"apiVersion": "kuma.io/v1alpha1", "kind": "MeshFaultInjection", "metadata": {"name": "f"},
        "spec": {"to": [{"targetRef": {"kind": "MeshService", "name": "b"},
            "default": {"http": [{"delay": {"value": "1s", "percentage": 10}}]}}]}});
    let (rules, said) = import(&document.to_string(), &Options::default());
    assert_eq!(rules[0]["enabled"], json!(false));
    assert_eq!(losses(&said).len(), 1);
    let (rules, said) = import(&document.to_string(), &on_cluster_b());
    assert_eq!(rules[0]["match"], json!({"direction": "outbound", "cluster": "b"}));
    assert_eq!((&rules[0]["enabled"], losses(&said).len()), (&Value::Null, 0));
}
