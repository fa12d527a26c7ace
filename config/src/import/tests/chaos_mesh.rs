use serde_json::{Value, json};

use super::{assert_said, five_percent, import, losses, on_cluster_b};
use crate::import::Options;

const DOCUMENTS: &str = include_str!("chaos-mesh.yaml");

fn chaos(kind: &str, mut spec: Value) -> String {
    spec.as_object_mut().unwrap().entry("duration").or_insert(json!("1h"));
    json!({"apiVersion": "chaos-mesh.org/v1alpha1", "kind": kind, "metadata": {"name": "c"}, "spec": spec}).to_string()
}

#[test]
fn percentages_of_pods_are_none_of_requests() {
    let (rules, said) = import(DOCUMENTS, &Options::default());
    assert_eq!(rules, Vec::<Value>::new());
    assert_eq!(said.iter().filter(|line| line.contains("no percentage is written")).count(), 6, "{said:#?}");
    assert_said(&said, &["note: spec.value: it is a share or a number of pods, never of requests"]);
}

#[test]
fn http_chaos_becomes_a_rule_on_the_cluster_behind_its_port() {
    let (rules, said) = import(DOCUMENTS, &on_cluster_b());
    assert_eq!(
        rules[0],
        json!({"name": "slow-orders-1", "percentage": 5, "fault": {"delay": "2s"}, "ttl": "5m",
            "match": {"cluster": "b", "method": ["POST"], "path": {"prefix": "/v1/orders/"}, "headers": {"x-tenant": "acme"}}})
    );
    // Its match looks at the answer, which no rule can.
    assert_eq!(
        rules[1],
        json!({"name": "broken-orders-1", "enabled": false, "percentage": 5, "ttl": "1h",
            "match": {"cluster": "b", "path": {"regex": "/v./orders/.*/items"}},
            "fault": {"modify": {"status": 404, "set_headers": {"retry-after": "5", "x-injected": "yes"}, "body": "not here"}}})
    );
    assert_eq!(
        rules[2],
        json!({"name": "cut-orders-1", "percentage": 5, "match": {"cluster": "b"}, "fault": {"response_lost": true}, "ttl": "30s"})
    );
    assert_said(
        &said,
        &[
            "not enabled: spec.code: ",
            "not carried over: spec.patch.body: ",
            "differs: spec.patch.headers[0]: ",
            "note: spec: it has no duration",
            "not carried over: : a proxy has no way to do what PodChaos does",
        ],
    );
    let (rules, said) = import(DOCUMENTS, &five_percent());
    assert_eq!(rules[0]["enabled"], json!(false));
    assert_said(
        &said,
        &["not enabled: spec.port: a match has no port, so that the rule would hit other ports than 8080"],
    );
}

#[test]
fn network_chaos_goes_the_way_of_the_bytes() {
    let (rules, said) = import(DOCUMENTS, &on_cluster_b());
    let uniform = json!({"min": "80ms", "max": "100ms"});
    let way = |side: &str, half: &str| json!([{"direction": side}, {"delay": {"uniform": uniform, "on": half}}]);
    for (rule, expected) in rules[3..5].iter().zip([way("outbound", "request"), way("inbound", "response")]) {
        assert_eq!(json!([rule["match"], rule["fault"]]), expected);
        assert_eq!((&rule["ttl"], &rule["enabled"]), (&json!("1h"), &Value::Null));
    }
    let throttle = |half: &str| json!({"throttle": {"rate": "1MiB/s", "direction": half}});
    assert_eq!((&rules[5]["fault"], &rules[6]["fault"]), (&throttle("request"), &throttle("response")));
    assert_eq!(rules[5]["match"], json!({"direction": "outbound", "cluster": "b"}));
    assert_eq!(rules[6]["match"], json!({"direction": "inbound", "source": ["10.0.0.0/8", "192.0.2.7"]}));
    assert_eq!(rules[7]["match"], json!({"direction": "outbound", "cluster": "b"}));
    assert_eq!((&rules[8]["fault"], &rules[8]["enabled"]), (&json!({"blackhole": true}), &json!(false)));
    assert_said(
        &said,
        &[
            "differs: spec.delay.correlation: ",
            "not carried over: spec.loss: a proxy sees streams and no packets",
            "differs: spec.bandwidth.rate: all connections of a pod share the rate there",
            "differs: spec.action: a connection is accepted and then silent here",
            "not enabled: spec.target: callers are known by their addresses alone",
        ],
    );
}

#[test]
fn wildcards_of_paths() {
    for (path, expected) in [
        ("*", Value::Null),
        ("/a", json!("/a")),
        ("/a*", json!({"prefix": "/a"})),
        ("/a/*/b", json!({"regex": "/a/.*/b"})),
        ("/a.b/?", json!({"regex": r"/a\.b/."})),
    ] {
        let document = chaos("HTTPChaos", json!({"target": "Request", "port": 80, "path": path, "delay": "1s"}));
        let (rules, _) = import(&document, &on_cluster_b());
        assert_eq!(rules[0]["match"]["path"], expected, "{path}");
    }
}

#[test]
fn requests_are_altered_and_cut_too() {
    for (fault, expected, n_losses) in [
        (json!({"abort": true}), json!({"malformed": "empty"}), 0),
        (json!({"abort": true, "delay": "1s"}), json!({"malformed": "empty"}), 0),
        (json!({"delay": "1s", "abort": false}), json!({"delay": "1s"}), 0),
        (
            json!({"replace": {"body": "aGk=", "headers": {"x-a": "1"}}}),
            json!({"modify": {"on": "request", "body": "hi", "set_headers": {"x-a": "1"}}}),
            0,
        ),
        (json!({"delay": "1s", "replace": {"path": "/b", "code": 500, "body": "//8="}}), json!({"delay": "1s"}), 3),
    ] {
        let mut spec = json!({"target": "Request", "port": 80, "path": "*"});
        spec.as_object_mut().unwrap().extend(fault.as_object().unwrap().clone());
        let (rules, said) = import(&chaos("HTTPChaos", spec), &on_cluster_b());
        assert_eq!((&rules[0]["fault"], losses(&said).len()), (&expected, n_losses), "{said:#?}");
    }
}

#[test]
fn what_cannot_be_carried_over_is_said() {
    for (kind, spec, expected) in [
        ("HTTPChaos", json!({"port": 80, "delay": "1s"}), "not carried over: spec.target: "),
        ("HTTPChaos", json!({"target": "Request", "port": 80}), "not carried over: spec: nothing of its fault is left"),
        (
            "HTTPChaos",
            json!({"target": "Response", "port": 80, "patch": {"queries": [["a", "b"]]}}),
            "spec.patch.queries: ",
        ),
        ("NetworkChaos", json!({"action": "fly"}), "not carried over: spec.action: "),
        ("NetworkChaos", json!({"action": "delay", "delay": {}}), "not carried over: spec.delay: it has no latency"),
        (
            "NetworkChaos",
            json!({"action": "delay", "delay": {"latency": "1"}}),
            "spec.delay.latency: the duration 1 has no unit",
        ),
        (
            "NetworkChaos",
            json!({"action": "bandwidth", "bandwidth": {"rate": "fast"}}),
            "\"fast\" is no rate such as 1mbps",
        ),
        ("NetworkChaos", json!({"action": "loss", "loss": {"loss": "10"}}), "not carried over: spec.loss: "),
        ("NetworkChaos", json!({"action": "delay", "direction": "up"}), "not carried over: spec.direction: "),
    ] {
        let (rules, said) = import(&chaos(kind, spec), &on_cluster_b());
        assert_eq!(rules, Vec::<Value>::new(), "{said:#?}");
        assert_said(&said, &[expected]);
    }
    let jitter = json!({"action": "delay", "delay": {"latency": "5ms", "jitter": "10ms"}, "direction": "both"});
    let (rules, said) = import(&chaos("NetworkChaos", jitter), &five_percent());
    assert_eq!(rules.len(), 4);
    assert_eq!(rules[3]["fault"]["delay"], json!({"uniform": {"min": "0s", "max": "15ms"}, "on": "request"}));
    assert_said(&said, &["differs: spec.delay.jitter: it is above the latency"]);
}
