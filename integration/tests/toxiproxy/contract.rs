//! Every route with what it is given: right, missing, twice, malformed. Statuses, bodies and header fields are those of
//! Toxiproxy 2.12.

use std::net::TcpListener;

use serde_json::{Value, json};
use squall_integration::message::Answer;

use super::Toxiproxy;

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// What a call must answer: status, content type, and the body: JSON, or text.
enum Body {
    Json(Value),
    Text(String),
    Empty,
}

fn error(status: u16, message: &str) -> (u16, Body) {
    (status, Body::Text(format!("{{\"error\":\"{message}\",\"status\":{status}}}\n")))
}

fn check(toxiproxy: &Toxiproxy, call: (&str, &str, &str), (status, body): (u16, Body)) {
    let (method, path, sent) = call;
    let answer = toxiproxy.api.call(method, path, &[], sent);
    assert_eq!(answer.status, status, "{call:?}: {}", answer.text());
    assert!(answer.header("x-toxiproxy-request-id").is_some(), "{call:?}");
    match body {
        Body::Json(expected) => {
            assert_eq!(answer.header("content-type"), Some(JSON), "{call:?}");
            assert_eq!(answer.json(), expected, "{call:?}");
        }
        Body::Text(expected) => {
            assert_eq!(answer.header("content-type"), Some(TEXT), "{call:?}");
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{call:?}");
            assert_eq!(answer.text(), expected, "{call:?}");
        }
        Body::Empty => assert_eq!(answer.text(), "", "{call:?}"),
    }
}

/// A proxy that is off, so that all of it is known.
fn off(name: &str) -> Value {
    json!({"name": name, "listen": "127.0.0.1:0", "upstream": "127.0.0.1:9", "enabled": false, "toxics": []})
}

fn latency(name: &str, ms: u64) -> Value {
    let attributes = json!({"latency": ms, "jitter": 0});
    json!({"attributes": attributes, "name": name, "type": "latency", "stream": "downstream", "toxicity": 1})
}

#[test]
fn proxies_are_listed_made_shown_changed_and_removed() {
    let toxiproxy = Toxiproxy::start();
    let call = |call: (&str, &str, &str), expected| check(&toxiproxy, call, expected);
    let make = json!({"name": "a", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:9", "enabled": false}).to_string();
    call(("GET", "/proxies", ""), (200, Body::Json(json!({}))));
    call(("POST", "/proxies", &make), (201, Body::Json(off("a"))));
    call(("POST", "/proxies", &make), error(409, "proxy already exists"));
    call(("GET", "/proxies", ""), (200, Body::Json(json!({"a": off("a")}))));
    call(("GET", "/proxies/a", ""), (200, Body::Json(off("a"))));
    call(("GET", "/proxies/b", ""), error(404, "proxy not found"));
    for (body, message) in [
        ("", "bad request body: EOF"),
        ("{\"name\"", "bad request body: unexpected EOF"),
        ("{\"name\": 5, \"upstream\": \"a:1\"}", "bad request body: name is a number, not a string"),
        ("[]", "bad request body: the body is a list, not an object"),
        ("{}", "missing required field: name"),
        ("{\"upstream\": \"127.0.0.1:9\"}", "missing required field: name"),
        ("{\"name\": \"b\"}", "missing required field: upstream"),
        ("{\"name\": \"\", \"upstream\": \"127.0.0.1:9\"}", "missing required field: name"),
    ] {
        call(("POST", "/proxies", body), error(400, message));
    }
    for method in ["POST", "PATCH"] {
        call((method, "/proxies/a", "{\"upstream\": \"127.0.0.1:8\", \"name\": \"z\"}"), {
            let mut expected = off("a");
            expected["upstream"] = json!("127.0.0.1:8");
            (200, Body::Json(expected))
        });
        call((method, "/proxies/a", "{}"), {
            let mut expected = off("a");
            expected["upstream"] = json!("127.0.0.1:8");
            (200, Body::Json(expected))
        });
        call((method, "/proxies/b", "{}"), error(404, "proxy not found"));
        call((method, "/proxies/a", ""), error(400, "bad request body: EOF"));
        call(
            (method, "/proxies/a", "{\"enabled\": 1}"),
            error(400, "bad request body: enabled is a number, not a boolean"),
        );
    }
    call(("DELETE", "/proxies/a", ""), (204, Body::Empty));
    call(("DELETE", "/proxies/a", ""), error(404, "proxy not found"));
    call(("GET", "/proxies", ""), (200, Body::Json(json!({}))));
}

#[test]
fn toxics_are_listed_made_shown_changed_and_removed() {
    let toxiproxy = Toxiproxy::start();
    let call = |call: (&str, &str, &str), expected| check(&toxiproxy, call, expected);
    let make = json!({"name": "a", "upstream": "127.0.0.1:9", "enabled": false}).to_string();
    toxiproxy.api.post("/proxies", &make);
    call(("GET", "/proxies/a/toxics", ""), (200, Body::Json(json!([]))));
    call(("GET", "/proxies/b/toxics", ""), error(404, "proxy not found"));
    let slow = "{\"type\": \"latency\", \"attributes\": {\"latency\": 100}}";
    let named = latency("latency_downstream", 100);
    call(("POST", "/proxies/a/toxics", slow), (200, Body::Json(named.clone())));
    call(("POST", "/proxies/a/toxics", slow), error(409, "toxic already exists"));
    call(("POST", "/proxies/b/toxics", slow), error(404, "proxy not found"));
    call(("GET", "/proxies/a/toxics/latency_downstream", ""), (200, Body::Json(named.clone())));
    call(("GET", "/proxies/a/toxics/b", ""), error(404, "toxic not found"));
    call(("GET", "/proxies/b/toxics/b", ""), error(404, "proxy not found"));
    for (body, message) in [
        ("", "bad request body: EOF"),
        ("{", "bad request body: unexpected EOF"),
        ("{}", "invalid toxic type"),
        ("{\"type\": \"nonsense\"}", "invalid toxic type"),
        ("{\"type\": \"Latency\"}", "invalid toxic type"),
        (
            "{\"type\": \"nonsense\", \"stream\": \"sideways\"}",
            "stream was invalid, can be either upstream or downstream",
        ),
        ("{\"type\": \"latency\", \"stream\": \"\"}", "stream was invalid, can be either upstream or downstream"),
        ("{\"type\": \"latency\", \"toxicity\": \"1\"}", "bad request body: toxicity is a string, not a number"),
        ("{\"type\": \"latency\", \"attributes\": []}", "bad request body: attributes is a list, not an object"),
    ] {
        call(("POST", "/proxies/a/toxics", body), error(400, message));
    }
    // The name counts before the attributes, and whatever the stream.
    let taken = "{\"type\": \"bandwidth\", \"name\": \"latency_downstream\", \"stream\": \"upstream\", \"attributes\": {\"rate\": \"x\"}}";
    call(("POST", "/proxies/a/toxics", taken), error(409, "toxic already exists"));
    let wrong = toxiproxy.api.post("/proxies/a/toxics", "{\"type\": \"bandwidth\", \"attributes\": {\"rate\": \"x\"}}");
    assert_eq!(wrong.status, 400);
    assert!(wrong.json()["error"].as_str().unwrap().starts_with("bad request body: rate: "), "{}", wrong.text());
    // The stream is taken in any case and shown as it came; names of fields are, too.
    let shouted =
        "{\"TYPE\": \"timeout\", \"Stream\": \"UPSTREAM\", \"attributes\": {\"TIMEOUT\": 7}, \"toxicity\": 0.3}";
    let shown = json!({
        "type": "timeout", "stream": "UPSTREAM", "name": "timeout_UPSTREAM", "attributes": {"timeout": 7}, "toxicity": 0.3,
    });
    call(("POST", "/proxies/a/toxics", shouted), (200, Body::Json(shown.clone())));
    call(("GET", "/proxies/a/toxics", ""), (200, Body::Json(json!([shown, named]))));
    for method in ["POST", "PATCH"] {
        let path = "/proxies/a/toxics/latency_downstream";
        let changed = "{\"attributes\": {\"jitter\": 5}, \"toxicity\": 0.5, \"name\": \"z\", \"type\": \"timeout\", \"stream\": \"upstream\"}";
        let mut expected = named.clone();
        (expected["attributes"]["jitter"], expected["toxicity"]) = (json!(5), json!(0.5));
        call((method, path, changed), (200, Body::Json(expected.clone())));
        call((method, path, "{}"), (200, Body::Json(expected)));
        call((method, path, ""), error(400, "bad request body: EOF"));
        call((method, "/proxies/a/toxics/b", "{}"), error(404, "toxic not found"));
        call((method, "/proxies/b/toxics/b", "{}"), error(404, "proxy not found"));
    }
    call(("DELETE", "/proxies/a/toxics/latency_downstream", ""), (204, Body::Empty));
    call(("DELETE", "/proxies/a/toxics/latency_downstream", ""), error(404, "toxic not found"));
    call(("DELETE", "/proxies/b/toxics/latency_downstream", ""), error(404, "proxy not found"));
    call(("GET", "/proxies/a/toxics", ""), (200, Body::Json(json!([shown]))));
}

#[test]
fn every_type_shows_all_of_its_attributes() {
    let toxiproxy = Toxiproxy::start();
    toxiproxy.proxy("a", "127.0.0.1:9");
    for (kind, attributes) in [
        ("latency", json!({"latency": 0, "jitter": 0})),
        ("bandwidth", json!({"rate": 0})),
        ("slow_close", json!({"delay": 0})),
        ("timeout", json!({"timeout": 0})),
        ("reset_peer", json!({"timeout": 0})),
        ("slicer", json!({"average_size": 0, "size_variation": 0, "delay": 0})),
        ("limit_data", json!({"bytes": 0})),
    ] {
        for stream in ["upstream", "downstream"] {
            let shown = toxiproxy.toxic("a", kind, stream, &json!({}));
            assert_eq!(shown["attributes"], attributes, "{kind}");
            assert_eq!(shown["name"], json!(format!("{kind}_{stream}")));
        }
    }
    let status = json!({"status_code": 503, "modify_response_body": 1});
    let shown = toxiproxy.toxic("a", "status_code", "downstream", &status);
    let whole = json!({
        "status_code": 503, "modify_response_body": 1, "response_body": "", "content_encoding": "", "content_type": "",
    });
    assert_eq!(shown["attributes"], whole);
    assert_eq!(toxiproxy.call("GET", "/proxies/a/toxics", &Value::Null, 200).as_array().unwrap().len(), 15);
}

#[test]
fn populate_makes_what_is_not_there_and_replaces_what_is_another() {
    let toxiproxy = Toxiproxy::start();
    let populate = |body: &Value, status| toxiproxy.call("POST", "/populate", body, status);
    assert_eq!(populate(&json!([]), 201), json!({"proxies": null}));
    let body = json!([{"name": "a", "upstream": "127.0.0.1:9", "listen": "127.0.0.1:0"}, {"name": "b", "upstream": "127.0.0.1:9", "enabled": false}]);
    let made = populate(&body, 201);
    let (a, b) = (made["proxies"][0].clone(), made["proxies"][1].clone());
    assert_eq!((&a["enabled"], &b["enabled"], &b["listen"]), (&json!(true), &json!(false), &json!("")));
    toxiproxy.toxic("a", "latency", "downstream", &json!({"latency": 5}));
    // The same addresses: it stays, with its toxics.
    let same = json!([{"name": "a", "upstream": "127.0.0.1:9", "listen": a["listen"]}]);
    assert_eq!(populate(&same, 201)["proxies"][0]["toxics"], json!([latency("latency_downstream", 5)]));
    // Another upstream: it is a new one.
    let other = json!([{"name": "a", "upstream": "127.0.0.1:8", "listen": a["listen"]}]);
    let replaced = &populate(&other, 201)["proxies"][0];
    assert_eq!((&replaced["toxics"], &replaced["listen"]), (&json!([]), &a["listen"]));
    // What lacks something is found before anything is touched.
    for (body, message) in [
        (
            json!([{"name": "c", "upstream": "127.0.0.1:9"}, {"upstream": "127.0.0.1:9"}]),
            "missing required field: name at proxy 2",
        ),
        (json!([{"name": "c"}]), "missing required field: upstream at proxy 1"),
        (json!({"name": "c"}), "bad request body: the body is an object, not a list"),
        (json!([7]), "bad request body: the body is a number, not an object"),
    ] {
        assert_eq!(populate(&body, 400), json!({"error": message, "status": 400, "proxies": null}));
    }
    check(&toxiproxy, ("GET", "/proxies/c", ""), error(404, "proxy not found"));
    // What cannot be had later leaves what came before.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let body = json!([{"name": "d", "upstream": "127.0.0.1:9", "enabled": false}, {"name": "e", "upstream": "127.0.0.1:9", "listen": address}]);
    let half = populate(&body, 500);
    assert_eq!(half["error"], json!(format!("listen tcp {address}: bind: address already in use")));
    assert_eq!(half["proxies"][0]["name"], json!("d"));
    check(&toxiproxy, ("GET", "/proxies/e", ""), error(404, "proxy not found"));
}

#[test]
fn populate_takes_toxics_and_says_what_is_off() {
    let toxiproxy = Toxiproxy::start();
    let toxics = json!([{"type": "latency", "attributes": {"latency": 5}}]);
    let body = json!([{"name": "a", "upstream": "127.0.0.1:9", "listen": "127.0.0.1:0", "toxics": toxics}]);
    let a = toxiproxy.call("POST", "/populate", &body, 201)["proxies"][0].clone();
    assert_eq!(a["toxics"], json!([latency("latency_downstream", 5)]));
    let with = |more: Value| {
        let mut proxy = json!({"name": "a", "upstream": "127.0.0.1:9", "listen": a["listen"]});
        proxy.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        toxiproxy.call("POST", "/populate", &json!([proxy]), 201)["proxies"][0].clone()
    };
    assert_eq!(with(json!({}))["toxics"], a["toxics"], "what is not said stays");
    let off = with(json!({"enabled": false, "toxics": []}));
    assert_eq!((&off["enabled"], &off["toxics"], &off["listen"]), (&json!(false), &json!([]), &a["listen"]));
    assert_eq!(with(json!({}))["enabled"], json!(false), "what is not said stays");
    assert_eq!(with(json!({"enabled": true}))["enabled"], json!(true));
}

#[test]
fn reset_enables_every_proxy_and_removes_all_toxics() {
    let toxiproxy = Toxiproxy::start();
    toxiproxy.proxy("a", "127.0.0.1:9");
    toxiproxy.call(
        "POST",
        "/proxies",
        &json!({"name": "b", "upstream": "127.0.0.1:9", "listen": "127.0.0.1:0", "enabled": false}),
        201,
    );
    toxiproxy.toxic("a", "latency", "upstream", &json!({}));
    toxiproxy.toxic("b", "timeout", "upstream", &json!({}));
    check(&toxiproxy, ("POST", "/reset", ""), (204, Body::Empty));
    let proxies = toxiproxy.call("GET", "/proxies", &Value::Null, 200);
    for proxy in ["a", "b"] {
        assert_eq!((&proxies[proxy]["enabled"], &proxies[proxy]["toxics"]), (&json!(true), &json!([])));
    }
    check(&toxiproxy, ("POST", "/reset", "nonsense"), (204, Body::Empty));
}

#[test]
fn other_paths_and_methods_are_refused_as_go_does() {
    let toxiproxy = Toxiproxy::start();
    let answer = toxiproxy.api.get("/version");
    assert_eq!((answer.status, answer.text().as_str()), (200, "{\"version\": \"2.12.0\"}\n"));
    assert_eq!(answer.header("content-type"), Some("application/json;charset=utf-8"));
    for path in ["/", "/metrics", "/proxy", "/proxies/", "/v1/rules"] {
        check(&toxiproxy, ("GET", path, ""), (404, Body::Text("404 page not found\n".to_owned())));
    }
    for (method, path) in [
        ("PUT", "/proxies"),
        ("DELETE", "/proxies"),
        ("PUT", "/proxies/a"),
        ("GET", "/populate"),
        ("GET", "/reset"),
        ("POST", "/version"),
        ("PATCH", "/proxies/a/toxics"),
        ("PUT", "/proxies/a/toxics/b"),
    ] {
        check(&toxiproxy, (method, path, ""), (405, Body::Empty));
    }
}

#[test]
fn browsers_are_turned_away() {
    let toxiproxy = Toxiproxy::start();
    let call = |headers: &[&str]| toxiproxy.api.call("GET", "/proxies", headers, "");
    let is_refused = |answer: &Answer| (answer.status, answer.text()) == (403, "User agent not allowed\n".to_owned());
    assert!(is_refused(&call(&["User-Agent: Mozilla/5.0 (X11; Linux x86_64)"])));
    assert_eq!(call(&["User-Agent: toxiproxy-cli/2.12.0"]).status, 200);
    // A page that hides what it is still names itself.
    assert_eq!(call(&["Origin: http://evil.example"]).status, 403);
}

#[test]
fn the_address_is_shown_as_the_system_bound_it_and_kept() {
    let toxiproxy = Toxiproxy::start();
    let show = || toxiproxy.call("GET", "/proxies/a", &Value::Null, 200);
    let made = toxiproxy.call(
        "POST",
        "/proxies",
        &json!({"name": "a", "upstream": "127.0.0.1:9", "listen": "localhost:0", "enabled": false}),
        201,
    );
    assert_eq!(made["listen"], json!("localhost:0"), "as it was written while it is off");
    let on = toxiproxy.call("POST", "/proxies/a", &json!({"enabled": true}), 200);
    let listen = on["listen"].as_str().unwrap().to_owned();
    assert!(listen.starts_with("127.0.0.1:") && !listen.ends_with(":0"), "{listen}");
    toxiproxy.call("POST", "/proxies/a", &json!({"enabled": false}), 200);
    assert_eq!(show()["listen"], json!(listen));
    toxiproxy.call("POST", "/proxies/a", &json!({"enabled": true}), 200);
    assert_eq!(show()["listen"], json!(listen), "the same port again");
    let everywhere = toxiproxy.call("POST", "/proxies", &json!({"name": "b", "upstream": "127.0.0.1:9"}), 201);
    assert!(everywhere["listen"].as_str().unwrap().starts_with("[::]:"), "{everywhere}");
    let twice =
        toxiproxy.api.post("/proxies", &json!({"name": "c", "upstream": "127.0.0.1:9", "listen": listen}).to_string());
    assert_eq!(twice.status, 500);
    assert_eq!(twice.json()["error"], json!(format!("listen tcp {listen}: bind: address already in use")));
    // A port is free as soon as its proxy is gone.
    for _ in 0..50 {
        toxiproxy.call("DELETE", "/proxies/a", &Value::Null, 204);
        toxiproxy.call("POST", "/proxies", &json!({"name": "a", "upstream": "127.0.0.1:9", "listen": listen}), 201);
    }
}
