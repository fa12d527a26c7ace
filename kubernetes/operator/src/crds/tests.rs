use serde_json::{Value, json};

use super::*;

/// The rules for structural schemas, as the API server checks them.
fn is_structural(place: &str, schema: &Value, depth: usize) {
    let says = |key: &str| schema.get(key);
    let is_free = says("x-kubernetes-preserve-unknown-fields") == Some(&json!(true));
    assert!(is_free || says("type").is_some_and(Value::is_string), "{place}: neither a type nor anything");
    for banned in ["$ref", "anyOf", "oneOf", "allOf", "const", "default", "examples", "exclusiveMinimum", "format"] {
        // Formats of times are known to the API server.
        assert!(says(banned).is_none(), "{place}: {banned}");
    }
    assert!(says("properties").is_none() || says("additionalProperties").is_none(), "{place}");
    assert!(depth < 20, "{place}: too deep");
    for (name, field) in says("properties").and_then(Value::as_object).into_iter().flatten() {
        is_structural(&format!("{place}.{name}"), field, depth + 1);
    }
    for (key, step) in [("items", "[]"), ("additionalProperties", "{}")] {
        if let Some(inner) = says(key) {
            is_structural(&format!("{place}{step}"), inner, depth + 1);
        }
    }
}

#[test]
fn schemas_are_structural_and_described() {
    for definition in all().unwrap() {
        let definition = serde_json::to_value(definition).unwrap();
        let version = &definition["spec"]["versions"][0];
        assert_eq!(version["subresources"], json!({"status": {}}), "{definition}");
        let schema = &version["schema"]["openAPIV3Schema"];
        is_structural(definition["spec"]["names"]["kind"].as_str().unwrap(), schema, 0);
        for part in ["spec", "status"] {
            for (name, field) in schema["properties"][part]["properties"].as_object().unwrap() {
                let is_described = field["description"].as_str().is_some_and(|text| !text.is_empty());
                assert!(is_described, "{part}.{name} has no description");
            }
        }
    }
}

#[test]
fn what_has_several_forms_is_kept_and_what_has_one_is_typed() {
    let definitions = all().unwrap();
    let rule = serde_json::to_value(&definitions[2]).unwrap();
    let spec = &rule["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    assert_eq!(spec["required"], json!(["percentage", "fault"]));
    let field = |path: &str| spec.pointer(path).unwrap_or_else(|| panic!("{path} in {spec:#}"));
    for anything in ["percentage", "fault/properties/delay", "match/properties/path", "match/properties/method"] {
        let field = field(&format!("/properties/{anything}"));
        assert_eq!((&field["type"], &field["x-kubernetes-preserve-unknown-fields"]), (&Value::Null, &json!(true)));
    }
    for (name, type_) in [
        ("ttl", "string"),
        ("enabled", "boolean"),
        ("match", "object"),
        ("match/properties/cluster", "string"),
        ("sample/properties/first", "integer"),
        ("pods/properties/selector/properties/matchLabels/additionalProperties", "string"),
    ] {
        assert_eq!(field(&format!("/properties/{name}"))["type"], type_, "{name}");
    }
}

const LIVES: check::Lives =
    check::Lives { default: std::time::Duration::from_secs(3600), longest: std::time::Duration::from_secs(24 * 3600) };

fn rule(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "squall.dev/v1alpha1", "kind": "FaultRule", "metadata": {"name": name}, "spec": spec})
}

fn problems<T: std::fmt::Debug>(result: Result<T, squall_config::Problems>) -> Vec<String> {
    result.unwrap_err().0.into_iter().map(|problem| problem.path).collect()
}

#[test]
fn a_rule_is_that_of_the_configuration_and_says_whom_it_is_for() {
    let spec = json!({
        "pods": {"selector": {"matchLabels": {"app": "a"}}, "percentage": "50%"},
        "match": {"cluster": "only-the-sidecar-knows", "path": {"prefix": "/v1/"}},
        "percentage": 0.5, "fault": {"delay": "2s"}, "ttl": "90s",
    });
    let checked = check::check_fault_rule(&rule("slow", &spec), LIVES).unwrap();
    assert_eq!((checked.rule.name.as_str(), checked.ttl.as_secs(), checked.is_enabled), ("slow", 90, true));
    assert_eq!(checked.rule.ttl, None, "the controller ends it");
    assert_eq!(checked.pods.percentage.ppm(), 500_000);
    let least = json!({"percentage": 5, "fault": {"abort": 503}, "enabled": false});
    let checked = check::check_fault_rule(&rule("r", &least), LIVES).unwrap();
    assert_eq!((checked.ttl.as_secs(), checked.is_enabled), (3600, false));
}

#[test]
fn all_problems_of_a_rule_come_at_once_and_at_their_places() {
    let spec = json!({
        "pods": {"selector": {"matchLabels": {"a b": "x"}}, "percentage": 101},
        "fault": {"delay": "2 sheep"}, "ttl": "25h", "match": {"path": "v1"},
    });
    let found = problems(check::check_fault_rule(&rule("Slow B", &spec), LIVES));
    for expected in [
        "metadata.name",
        "spec.pods.selector.matchLabels.a b",
        "spec.pods.percentage",
        "spec.percentage",
        "spec.fault.delay",
        "spec.match.path",
        "spec.ttl",
    ] {
        assert!(found.iter().any(|path| path == expected), "{expected} in {found:?}");
    }
    for (spec, path) in [
        (json!({"percentge": 5, "percentage": 5, "fault": {"delay": "2s"}}), "spec.percentge"),
        (json!({"name": "x", "percentage": 5, "fault": {"delay": "2s"}}), "spec.name"),
        (json!({"percentage": {}, "fault": {"delay": "2s"}}), "spec.percentage"),
        (json!({"percentage": 5, "fault": {"delay": "2s"}, "ttl": "soon"}), "spec.ttl"),
        (json!(null), "spec"),
        (json!([]), "spec"),
    ] {
        assert_eq!(problems(check::check_fault_rule(&rule("r", &spec), LIVES)), [path], "{spec}");
    }
    assert_eq!(problems(check::check_fault_rule(&json!(7), LIVES)), ["metadata.name", "spec"]);
    let generated = json!({"metadata": {"generateName": "r-"}, "spec": {"percentage": 5, "fault": {"delay": "2s"}}});
    assert!(check::check_fault_rule(&generated, LIVES).is_ok());
}

#[test]
fn an_experiment_is_the_document_of_the_command_line() {
    let mut object: Value = serde_saphyr::from_str(squall_config::example_experiment()).unwrap();
    object["metadata"]["labels"] = json!({"team": "a"});
    object["spec"]["pods"] = json!({"percentage": 10});
    let checked = check::check_experiment(&object).unwrap();
    let name = object["metadata"]["name"].as_str().unwrap();
    assert_eq!(checked.document.metadata.as_ref().unwrap().name, name);
    assert_eq!(checked.document.spec.as_ref().unwrap().pods, None);
    assert_eq!(checked.pods.percentage.ppm(), 100_000);
    object["spec"]["schedule"] = json!({"every": "24h"});
    object["spec"]["hypothesis"] = json!("");
    object["metadata"]["name"] = json!("A");
    assert_eq!(problems(check::check_experiment(&object)), ["metadata.name", "spec.schedule", "spec.hypothesis"]);
    assert_eq!(
        problems(check::check_experiment(&json!({"metadata": {"name": "a"}, "spec": {"metod": []}}))),
        ["spec.metod"]
    );
    assert_eq!(problems(check::check_experiment(&json!({"metadata": {"name": "a"}}))), ["spec"]);
}

#[test]
fn a_halt_is_understood_as_far_as_it_makes_sense() {
    let read = |spec: Value| super::cluster_halt::ClusterHaltFields(spec).read();
    let halt = read(json!({"reason": "deploy", "namespaces": ["a", 7, "b"]}));
    assert_eq!((halt.reason.as_str(), halt.namespaces.len()), ("deploy", 2));
    for odd in [json!(null), json!({"reason": 7, "namespaces": "a"}), json!([])] {
        assert_eq!(read(odd), super::cluster_halt::ClusterHaltSpec::default());
    }
}
