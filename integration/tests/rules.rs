//! Which requests a rule hits, and what several rules do together.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use squall_integration::echo::Echo;
use squall_integration::path::Path;
use squall_integration::{RawClient, Settings, Squall};

const GET: &str = "GET /echo HTTP/1.1\r\nHost: b\r\n\r\n";

#[test]
fn only_what_matches_is_hit() {
    let path = Path::bare();
    let hit = |matches: Value, request: &str| {
        path.api().rule("r", &json!({"match": matches, "percentage": 100, "fault": {"abort": 503}}));
        path.client().send(request).answer().status == 503
    };
    let get = |target: &str, fields: &str| format!("GET {target} HTTP/1.1\r\nHost: b:80\r\n{fields}\r\n");
    assert!(hit(json!({}), &get("/x", "")));
    assert!(hit(json!({"listener": "to-b", "cluster": "service-b", "direction": "outbound"}), &get("/x", "")));
    assert!(!hit(json!({"direction": "inbound"}), &get("/x", "")));
    assert!(hit(json!({"method": ["GET", "PUT"]}), &get("/x", "")));
    assert!(!hit(json!({"method": ["PUT"]}), &get("/x", "")));
    assert!(hit(json!({"path": "/x"}), &get("/x?q=1", "")));
    assert!(!hit(json!({"path": "/x"}), &get("/x/y", "")));
    assert!(hit(json!({"path": {"prefix": "/v1/"}}), &get("/v1/y", "")));
    assert!(!hit(json!({"path": {"prefix": "/v1/"}}), &get("/v2/y", "")));
    assert!(hit(json!({"path": {"glob": "/a/*/c"}}), &get("/a/b/c", "")));
    assert!(hit(json!({"path": {"regex": "^/a+$"}}), &get("/aaa", "")));
    assert!(!hit(json!({"path": {"regex": "^/a+$"}}), &get("/aab", "")));
    assert!(hit(json!({"authority": "b:80"}), &get("/", "")));
    assert!(!hit(json!({"authority": "c"}), &get("/", "")));
    assert!(hit(json!({"headers": {"x-user": "7"}}), &get("/", "X-User: 7\r\n")));
    assert!(!hit(json!({"headers": {"x-user": "7"}}), &get("/", "X-User: 8\r\n")));
    assert!(hit(json!({"headers": {"x-user": {"present": true}}}), &get("/", "X-User: 8\r\n")));
    assert!(hit(json!({"headers": {"x-user": {"regex": "^[0-9]+$"}}}), &get("/", "X-User: 8\r\n")));
    assert!(hit(json!({"query": {"debug": "1"}}), &get("/?a=b&debug=1", "")));
    assert!(!hit(json!({"query": {"debug": "1"}}), &get("/?debug=2", "")));
    assert!(hit(json!({"source": ["127.0.0.0/8"]}), &get("/", "")));
    assert!(!hit(json!({"source": ["10.0.0.0/8"]}), &get("/", "")));
    assert!(hit(json!({"endpoint": path.echo.address.to_string()}), &get("/", "")));
    assert!(!hit(json!({"path": "/x", "method": ["POST"]}), &get("/x", "")), "all must hold");
}

#[test]
fn health_checks_are_spared_unless_named() {
    let path = Path::with(&json!({"abort": 503}));
    let mut client = path.client();
    for target in ["/livez", "/readyz", "/healthz", "/health", "/metrics", "/ping"] {
        assert_eq!(client.get(target).status, 200, "{target}");
    }
    assert_eq!(client.get("/other").status, 503);
    path.api().rule("r", &json!({"match": {"path": "/healthz"}, "percentage": 100, "fault": {"abort": 503}}));
    assert_eq!(client.get("/healthz").status, 503, "named exactly");
    assert_eq!(client.get("/livez").status, 200);
}

#[test]
fn first_and_every_pick_by_count() {
    let path = Path::bare();
    let picked = |sample: Value| {
        path.api().rule("r", &json!({"percentage": 100, "sample": sample, "fault": {"abort": 503}}));
        let mut client = path.client();
        let hits: Vec<usize> = (1..=12).filter(|_| client.get("/echo").status == 503).collect();
        path.api().remove("r");
        hits
    };
    assert_eq!(picked(json!({"first": 3})), [1, 2, 3]);
    assert_eq!(picked(json!({"every": 4})), [4, 8, 12]);
}

#[test]
fn a_sticky_share_is_the_same_on_every_replica_and_after_a_restart() {
    let rule = json!({"percentage": 20, "sample": {"mode": "sticky", "key": "trace"}, "fault": {"abort": 503}});
    let picked = || {
        let path = Path::bare();
        path.api().rule("r", &rule);
        let mut client = path.client();
        let mut hit = |id: u32| {
            let trace = format!("traceparent: 00-{:032x}-00f067aa0ba902b7-01\r\n", u128::from(id) << 40);
            client.send(format!("GET /echo HTTP/1.1\r\nHost: b\r\n{trace}\r\n")).answer().status == 503
        };
        let hits: Vec<u32> = (1..=300).filter(|id| hit(*id)).collect();
        // Who has no trace passes, and that is counted.
        assert_eq!(path.client().get("/echo").status, 200);
        let skipped = [("rule", "r"), ("reason", "no_key")];
        assert_eq!(path.api().metrics().sum("chaos_skipped_faults_total", &skipped), 1.0);
        hits
    };
    let (first, second) = (picked(), picked());
    assert_eq!(first, second);
    assert!((35..=85).contains(&first.len()), "{}", first.len());
}

#[test]
fn the_first_try_fails_and_its_retry_passes() {
    let path = Path::bare();
    path.api().rule("r", &json!({"percentage": 100, "sample": {"attempt": 1}, "fault": {"abort": 503}}));
    let retry = |fields: &str| {
        let request = format!("POST /pay HTTP/1.1\r\nHost: b\r\nContent-Length: 0\r\n{fields}\r\n");
        // A connection each, so that several workers see them.
        [(); 3].map(|()| path.client().send(&request).answer().status)
    };
    assert_eq!(retry("Idempotency-Key: a\r\n"), [503, 200, 200]);
    assert_eq!(retry("Idempotency-Key: b\r\n"), [503, 200, 200]);
    assert_eq!(retry("b3: 4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1\r\n"), [503, 200, 200]);
    assert_eq!(retry("X-Envoy-Attempt-Count: 2\r\n"), [200, 200, 200]);
    assert_eq!(retry("X-Envoy-Attempt-Count: 1\r\n"), [503, 503, 503]);
    assert_eq!(retry(""), [200, 200, 200]);
}

#[test]
fn a_disabled_rule_does_nothing() {
    let path = Path::with(&json!({"abort": 503}));
    let mut client = path.client();
    assert_eq!(client.get("/echo").status, 503);
    let answer = path.api().call("PATCH", "/v1/rules/r", &[], "{\"enabled\": false}");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(client.get("/echo").status, 200);
    path.api().call("PATCH", "/v1/rules/r", &[], "{\"enabled\": true}");
    assert_eq!(client.get("/echo").status, 503);
}

#[test]
fn the_fault_header_can_be_switched_off() {
    let echo = Echo::http1();
    let squall = Squall::start(&Settings::http(echo.address).with("fault_header: false"));
    squall.api().rule("r", &json!({"percentage": 100, "fault": {"abort": 503}}));
    let answer = RawClient::connect(squall.to_b()).get("/echo");
    assert_eq!((answer.status, answer.header("x-squall-fault")), (503, None));
}

#[test]
fn beyond_the_budget_requests_pass_and_are_counted() {
    let echo = Echo::http1();
    let squall = Squall::start(&Settings::http(echo.address).with("limits: { active_faults_max: 5 }"));
    let api = squall.api();
    api.rule("r", &json!({"percentage": 100, "fault": {"delay": "2s"}}));
    let mut clients: Vec<RawClient> = (0..12).map(|_| RawClient::connect(squall.to_b())).collect();
    let begin = Instant::now();
    for client in &mut clients {
        client.send(GET);
    }
    let slow = clients.iter_mut().map(|c| (c.answer(), begin.elapsed())).collect::<Vec<_>>();
    let faulted = slow.iter().filter(|(a, _)| a.header("x-squall-fault").is_some()).count();
    assert_eq!(faulted, 5);
    assert!(slow.iter().all(|(a, _)| a.status == 200));
    assert_eq!(api.metrics().sum("chaos_skipped_faults_total", &[("rule", "r")]), 7.0);
    assert_eq!(api.metrics().sum("chaos_active_faults", &[("rule", "r")]), 0.0, "all were given back");
}

#[test]
fn delays_add_up_and_the_first_terminal_fault_wins() {
    let path = Path::bare();
    let api = path.api();
    api.put(
        "/v1/rules",
        &json!({"rules": [
            {"name": "a", "percentage": 100, "fault": {"delay": "100ms"}},
            {"name": "b", "percentage": 100, "fault": {"delay": "150ms", "abort": 502}},
            {"name": "c", "percentage": 100, "fault": {"abort": 418}},
        ]})
        .to_string(),
    );
    let begin = Instant::now();
    let answer = path.client().get("/echo");
    assert!(begin.elapsed() >= Duration::from_millis(250), "{:?}", begin.elapsed());
    assert_eq!(answer.status, 502);
    let said = answer.header_all("x-squall-fault").join(",");
    for part in ["rule=a; kind=delay", "rule=b; kind=delay", "rule=b; kind=abort"] {
        assert!(said.contains(part), "{said}");
    }
    assert!(!said.contains("rule=c"), "{said}");
}
