//! Every value on and off: what comes of it is valid, and what is none is refused.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use squall_integration::programs::python;

use crate::{objects, peer, render, stdout, yaml};

const VERSIONS: [&str; 2] = ["1.33.0", "1.37.0"];
/// Kinds of others, which the schemas of Kubernetes do not have.
const FOREIGN: [&str; 3] = ["squall.dev/", "cert-manager.io/", "monitoring.coreos.com/"];

pub(crate) fn is_known(object: &Value) -> bool {
    let version = object["apiVersion"].as_str().unwrap();
    !FOREIGN.iter().any(|foreign| version.starts_with(foreign))
}

/// The second value over the first, field by field.
fn over(below: &Value, above: &Value) -> Value {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            let mut all: Map<String, Value> = below.clone();
            for (name, value) in above {
                let merged = all.get(name).map_or_else(|| value.clone(), |below| over(below, value));
                all.insert(name.clone(), merged);
            }
            all.into()
        }
        _ => above.clone(),
    }
}

/// Values that say something else than the defaults, each for itself.
fn options() -> Vec<Value> {
    let digest = format!("sha256:{}", "a".repeat(64));
    vec![
        json!({ "controller": { "enabled": false } }),
        json!({ "controller": { "enabled": false }, "replicas": 3 }),
        json!({ "injection": { "enabled": false } }),
        json!({ "validation": { "enabled": false } }),
        json!({ "certificates": { "mode": "cert-manager" } }),
        json!({ "certificates": { "mode": "cert-manager", "certManager": { "issuerRef": { "name": "ours", "kind": "ClusterIssuer" } } } }),
        json!({ "certificates": { "mode": "given", "given": { "secret": "tls", "caBundle": "-----BEGIN CERTIFICATE-----" } } }),
        json!({ "certificates": { "secret": "other" } }),
        json!({ "serviceAccount": { "create": false, "name": "ours" }, "rbac": { "create": false } }),
        json!({ "serviceAccount": { "annotations": { "a": "b" } }, "service": { "annotations": { "a": "b" } } }),
        json!({ "podDisruptionBudget": { "enabled": true }, "networkPolicy": { "enabled": true } }),
        json!({ "networkPolicy": { "enabled": true, "telemetryFrom": [{ "namespaceSelector": { "matchLabels": { "a": "b" } } }] } }),
        json!({ "monitoring": { "podMonitor": { "enabled": true, "labels": { "release": "x" } } } }),
        json!({ "monitoring": { "prometheusRule": { "enabled": true }, "dashboard": { "enabled": true, "annotations": { "folder": "x" } } } }),
        json!({ "image": { "repository": "r.example/k", "digest": digest, "pullPolicy": "Always" }, "imagePullSecrets": [{ "name": "s" }] }),
        json!({ "injection": { "image": { "tag": "1" }, "initImage": { "digest": digest }, "mode": "explicit",
            "defaults": { "skip-subnets": "10.96.0.0/12", "cpu-limit": "1" } } }),
        json!({ "injection": { "failurePolicy": "Fail", "timeoutSeconds": 2, "reinvocationPolicy": "Never",
            "matchConditions": [{ "name": "mine", "expression": "true" }], "excludedNamespaces": ["a"] } }),
        json!({ "podAnnotations": { "a": "b" }, "podLabels": { "a": "b" }, "commonLabels": { "team": "x" } }),
        json!({ "priorityClassName": "high", "nodeSelector": { "disk": "fast" },
            "tolerations": [{ "key": "a", "operator": "Exists" }], "affinity": { "podAntiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [{ "weight": 1, "podAffinityTerm": {
                    "topologyKey": "kubernetes.io/hostname", "labelSelector": { "matchLabels": { "a": "b" } } } }] } },
            "topologySpreadConstraints": [{ "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway" }] }),
        json!({ "fullnameOverride": "faults", "nameOverride": "f" }),
        json!({ "controller": { "url": "https://squall.example:443", "lease": "1m", "maxPodsHit": 5 } }),
        json!({ "log": { "level": "debug", "format": "text" }, "resources": { "limits": { "memory": "1Gi", "cpu": "1" } } }),
    ]
}

/// Each option alone, and each with each other one that it can be with.
fn cases() -> Vec<Value> {
    let options = options();
    let pairs = options
        .iter()
        .enumerate()
        .flat_map(|(index, one)| options[index + 1..].iter().map(move |other| over(one, other)));
    std::iter::once(json!({})).chain(options.iter().cloned()).chain(pairs).collect()
}

#[test]
fn whatever_is_said_kubernetes_takes_it() {
    let Some(python) = python("chart: what Kubernetes thinks of it") else { return };
    let cases = cases();
    assert!(cases.len() > 200);
    // Most values leave most templates as they are: each text is looked at once.
    let (mut texts, mut n_foreign) = (BTreeSet::new(), 0);
    for (values, rendered) in cases.iter().zip(render(&python, &cases)) {
        match rendered {
            Ok(rendered) => texts.extend(rendered),
            // The one thing that no two options may say together.
            Err(error) => {
                let is_too_many = values["replicas"] == 3 && values["controller"]["enabled"] != false;
                assert!(is_too_many, "{values}: {error}");
            }
        }
    }
    let all = yaml(&texts.into_iter().collect::<Vec<_>>());
    let read = peer(&python, "kubernetes_peer.py", &["validate"], &all);
    let documents: Vec<Value> = serde_json::from_str(stdout(&read)).unwrap();
    let mut known = String::new();
    for document in &documents {
        if is_known(document) {
            known.push_str(&format!("---\n{document}\n"));
        } else {
            n_foreign += 1;
        }
    }
    stdout(&peer(&python, "kubernetes_peer.py", &[&["validate"][..], &VERSIONS].concat(), &known));
    let n_known = documents.len() - n_foreign;
    assert!(n_known > 200 && n_foreign > 20, "{n_known} of Kubernetes, {n_foreign} of others");
}

#[test]
fn what_is_no_value_is_refused_with_its_place() {
    let Some(python) = python("chart: values that are refused") else { return };
    let wrong = [
        (json!({ "replica": 1 }), "additional properties 'replica' not allowed"),
        (json!({ "injection": { "mdoe": "native" } }), "/injection"),
        (json!({ "injection": { "mode": "magic" } }), "/injection/mode"),
        (json!({ "injection": { "defaults": { "colour": "red" } } }), "/injection/defaults"),
        (json!({ "injection": { "failurePolicy": "Sometimes" } }), "/injection/failurePolicy"),
        (json!({ "injection": { "timeoutSeconds": 60 } }), "/injection/timeoutSeconds"),
        (json!({ "certificates": { "mode": "none" } }), "/certificates/mode"),
        (json!({ "certificates": { "mode": "given", "given": { "caBundle": "x" } } }), "certificates.given.secret"),
        (json!({ "certificates": { "mode": "given", "given": { "secret": "tls" } } }), "certificates.given.caBundle"),
        (json!({ "controller": { "lease": 15 } }), "/controller/lease"),
        (json!({ "controller": { "maxPodsHit": 0 } }), "/controller/maxPodsHit"),
        (json!({ "controller": { "url": "http://plain" } }), "/controller/url"),
        (json!({ "replicas": 2 }), "more replicas need controller.enabled=false"),
        (json!({ "image": { "digest": "sha256:12" } }), "/image/digest"),
        (json!({ "fullnameOverride": "A_B" }), "/fullnameOverride"),
        (json!({ "monitoring": { "podMonitor": true } }), "/monitoring/podMonitor"),
    ];
    let cases: Vec<Value> = wrong.iter().map(|(values, _)| values.clone()).collect();
    for ((values, place), rendered) in wrong.iter().zip(render(&python, &cases)) {
        let error = rendered.expect_err(&values.to_string());
        assert!(error.contains(place), "{values}: {error}");
    }
}

/// Nobody writes values that the schema does not know, or knows values that are not written.
#[test]
fn the_schema_has_every_value_and_no_other() {
    let Some(python) = python("chart: values and schema") else { return };
    let read = |name: &str| std::fs::read_to_string(crate::root().join("deploy/chart/squall").join(name)).unwrap();
    let values = peer(&python, "kubernetes_peer.py", &["validate"], &read("values.yaml"));
    let values: Vec<Value> = serde_json::from_str(stdout(&values)).unwrap();
    let schema: Value = serde_json::from_str(&read("values.schema.json")).unwrap();
    let known = |part: &Value, name: &str| part["properties"].get(name).cloned();
    fn compare(path: &str, values: &Value, part: &Value, known: &dyn Fn(&Value, &str) -> Option<Value>) {
        let (Some(values), Some(names)) = (values.as_object(), part["properties"].as_object()) else { return };
        assert_eq!(part["additionalProperties"], false, "{path}");
        for (name, value) in values {
            let below = known(part, name).unwrap_or_else(|| panic!("{path}/{name} is not in the schema"));
            compare(&format!("{path}/{name}"), value, &below, known);
        }
        for name in names
            .keys()
            .filter(|name| path != "/injection/defaults" && !["global", "claims", "requests"].contains(&name.as_str()))
        {
            assert!(values.contains_key(name), "{path}/{name} is not in values.yaml");
        }
    }
    compare("", &values[0], &schema, &known);
}

#[test]
fn more_than_one_replica_leaves_no_moment_without() {
    let Some(python) = python("chart: several replicas") else { return };
    let objects = objects(&python, &json!({ "controller": { "enabled": false }, "replicas": 2 }));
    let deployment = crate::find(&objects, "Deployment");
    assert_eq!(deployment["spec"]["strategy"]["type"], "RollingUpdate");
    assert_eq!(deployment["spec"]["template"]["spec"]["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"], 3);
}
