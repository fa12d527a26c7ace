use serde_json::{Value, json};

use super::{assert_said, import, losses};
use crate::import::Options;

const PROXIES: &str = include_str!("toxiproxy.json");

fn toxic(toxic: &Value) -> (Vec<Value>, Vec<String>) {
    let proxies = json!([{"name": "p", "listen": "127.0.0.1:1000", "upstream": "b:80", "toxics": [toxic]}]);
    import(&proxies.to_string(), &Options::default())
}

#[test]
fn proxies_become_listeners_and_clusters() {
    let mut import = crate::import::Import::new();
    import.add(PROXIES, &Options::default()).unwrap();
    let spec = serde_json::to_value(&import.spec).unwrap();
    assert_eq!(
        spec["listeners"],
        json!([
            {"name": "shop_db", "address": "[::]:23306", "enabled": false, "protocol": "tcp", "cluster": "shop_db"},
            {"name": "shop_redis", "address": "127.0.0.1:26379", "protocol": "auto", "cluster": "shop_redis"},
        ])
    );
    assert_eq!(
        spec["clusters"],
        json!([{"name": "shop_db", "endpoints": ["localhost:3306"]}, {"name": "shop_redis", "endpoints": ["redis:6379"]}])
    );
}

#[test]
fn an_upstream_without_a_host_is_on_this_machine() {
    let mut import = crate::import::Import::new();
    import.add(r#"[{"name": "a", "listen": "127.0.0.1:1000", "upstream": ":6379"}]"#, &Options::default()).unwrap();
    let spec = serde_json::to_value(&import.spec).unwrap();
    assert_eq!(spec["clusters"], json!([{"name": "a", "endpoints": ["127.0.0.1:6379"]}]));
}

#[test]
fn toxics_become_rules() {
    let (rules, said) = import(PROXIES, &Options::default());
    let expected = json!([
        ["shop_redis-latency_downstream", 100, {"delay": {"uniform": {"min": "800ms", "max": "1s 200ms"}, "on": "response"}}],
        ["shop_redis-narrow", 5, {"throttle": {"rate": "64kB/s", "direction": "request"}}],
        ["shop_redis-gone", 50, {"blackhole": {"direction": "response"}}],
        ["shop_redis-cut", 12.3456, {"reset": {"on": "response", "after_data": "0s"}}],
        ["shop_redis-crumbs", 100, {"slice": {"size": "64B", "variation": "32B", "every": "10ms", "direction": "response"}}],
        ["shop_redis-short", 100, {"truncate": {"after_bytes": "1KiB", "on": "response"}}],
        ["shop_redis-late_end", 100, {"slow_close": {"delay": "500ms", "direction": "response"}}],
        ["shop_redis-http", 100, {"modify": {"status": 500}}],
    ]);
    let found: Vec<Value> = rules.iter().map(|rule| json!([rule["name"], rule["percentage"], rule["fault"]])).collect();
    assert_eq!(json!(found), expected);
    assert_eq!(losses(&said), Vec::<&String>::new(), "{said:#?}");
}

#[test]
fn the_file_and_the_answers_are_read() {
    let proxy = json!({"name": "p", "listen": "localhost:1000", "upstream": "b:80"});
    for document in [json!([proxy]), json!({"proxies": [proxy]}), json!({"p": proxy})] {
        let mut import = crate::import::Import::new();
        import.add(&document.to_string(), &Options::default()).unwrap();
        let address = import.spec.listeners[0].address.as_ref().unwrap().to_string();
        assert_eq!((import.n_documents, import.spec.clusters.len(), address.as_str()), (1, 1, "127.0.0.1:1000"));
    }
}

#[test]
fn each_type_with_its_edges() {
    let attributes = |kind: &str, attributes: Value| json!({"type": kind, "toxicity": 1, "attributes": attributes});
    for (kind, values, fault, n_losses) in [
        ("latency", json!({"latency": 100}), json!({"delay": {"fixed": "100ms", "on": "response"}}), 0),
        (
            "latency",
            json!({"latency": 1, "jitter": 3}),
            json!({"delay": {"quantiles": {"p0": "0s", "p33.333333": "0s", "p100": "4ms"}, "on": "response"}}),
            0,
        ),
        ("latency", json!({}), Value::Null, 0),
        ("bandwidth", json!({"rate": 0}), json!({"stall": {"on": "response"}}), 0),
        ("bandwidth", json!({"rate": -1}), Value::Null, 1),
        ("timeout", json!({"timeout": 500}), json!({"blackhole": {"direction": "response", "idle": "500ms"}}), 0),
        ("reset_peer", json!({"timeout": 500}), json!({"reset": {"on": "response", "after_data": "500ms"}}), 0),
        ("slow_close", json!({}), Value::Null, 0),
        ("slicer", json!({"average_size": 0}), Value::Null, 0),
        (
            "slicer",
            json!({"average_size": 10, "size_variation": 10}),
            json!({"slice": {"size": "10B", "variation": "9B", "direction": "response"}}),
            0,
        ),
        ("limit_data", json!({"bytes": 0}), json!({"truncate": {"after_bytes": "0B", "on": "response"}}), 0),
        ("limit_data", json!({"bytes": 1, "byte": 2}), json!({"truncate": {"after_bytes": "1B", "on": "response"}}), 1),
        ("header", json!({}), Value::Null, 0),
        ("nonsense", json!({}), Value::Null, 1),
    ] {
        let (rules, said) = toxic(&attributes(kind, values.clone()));
        let found = rules.first().map_or(&Value::Null, |rule| &rule["fault"]);
        assert_eq!((found, losses(&said).len()), (&fault, n_losses), "{kind} {values}: {said:#?}");
    }
}

#[test]
fn toxicity_is_a_percentage_and_is_never_made_up() {
    let latency = |toxicity: Value| json!({"type": "latency", "attributes": {"latency": 1}, "toxicity": toxicity});
    for (toxicity, percentage, n_losses) in [
        (json!(0.05), json!(5), 0),
        (json!(0), json!(0), 0),
        (json!(0.000_001), json!(0.0001), 0),
        (json!(0.123_456_7), json!(12.3457), 1),
        (json!(7), json!(100), 0),
    ] {
        let (rules, said) = toxic(&latency(toxicity.clone()));
        assert_eq!((&rules[0]["percentage"], losses(&said).len()), (&percentage, n_losses), "{toxicity}: {said:#?}");
    }
    let (rules, said) = toxic(&json!({"type": "latency", "attributes": {"latency": 1}}));
    assert_eq!(rules, Vec::<Value>::new());
    assert_said(&said, &["toxicity: no percentage is written, which Toxiproxy takes for 1; none is made up"]);
}

#[test]
fn proxies_that_make_no_sense_are_said() {
    for (proxies, expected) in [
        (json!([{"upstream": "b:80"}]), "[0]: the proxy has no name"),
        (json!([{"name": "p", "upstream": "b"}]), "no listener was made, its clusters[0].endpoints[0]: "),
        (
            json!([{"name": "p", "listen": "here:1", "upstream": "b:80", "toxics": [{}]}]),
            "[0].toxics: they have no listener",
        ),
        (
            json!([{"name": "p", "listen": ":1000", "upstream": "b:80"}, {"name": "q", "listen": ":1000", "upstream": "b:80"}]),
            "[1]: no listener was made, its listeners[1].address: listener \"q\": 0.0.0.0:1000 is taken by listeners[0].address",
        ),
        (json!([{"name": "p", "listen": "127.0.0.1:1000", "upstream": "127.0.0.1:1000"}]), "round in a loop"),
    ] {
        let (_, said) = import(&proxies.to_string(), &Options::default());
        assert_said(&said, &[expected]);
    }
}
