//! Every call of the control API: good, missing, malformed, conflicting, tried out.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use squall_integration::message::Answer;
use squall_integration::origin::Origin;
use squall_integration::{Api, RawClient, Settings, Squall};

fn start() -> (Origin, Squall) {
    let origin = Origin::ok();
    let squall = Squall::start(&Settings::http(origin.address));
    (origin, squall)
}

fn rule(percentage: u32) -> Value {
    json!({"match": {"path": "/x"}, "percentage": percentage, "fault": {"abort": 503}})
}

/// A problem of RFC 9457 with this status; returns its `errors`.
fn problem(answer: &Answer, status: u16) -> Vec<Value> {
    assert_eq!(answer.status, status, "{} {}", answer.line, answer.text());
    let kind = answer.header("content-type").unwrap_or("");
    assert!(kind.starts_with("application/problem+json"), "{kind}: {}", answer.text());
    let body = answer.json();
    assert!(body["title"].is_string() && body["status"] == status, "{body}");
    body["errors"].as_array().cloned().unwrap_or_default()
}

/// 400 when the body cannot be read, 422 when it can but is not valid.
fn invalid(answer: &Answer) -> Vec<Value> {
    assert!(matches!(answer.status, 400 | 422), "{} {}", answer.line, answer.text());
    problem(answer, answer.status)
}

fn generation_of(answer: &Answer) -> String {
    answer.header("etag").unwrap_or_else(|| panic!("no ETag: {answer:?}")).to_owned()
}

#[test]
fn a_rule_lives_through_its_calls() {
    let (_origin, squall) = start();
    let api = squall.api();
    assert_eq!(api.json("/v1/rules")["rules"], json!([]));
    let made = api.put("/v1/rules/r", &rule(50).to_string());
    assert_eq!(made.status, 201, "{}", made.text());
    let replaced = api.put("/v1/rules/r", &rule(25).to_string());
    assert_eq!(replaced.status, 200);
    assert_ne!(generation_of(&made), generation_of(&replaced));
    let one = api.json("/v1/rules/r");
    assert_eq!((&one["name"], &one["percentage"], &one["fault"]["abort"]), (&json!("r"), &json!(25), &json!(503)));
    let status = &one["status"];
    assert_eq!((&status["unit"], &status["matched"], &status["injected"]), (&json!("request"), &json!(0), &json!(0)));
    assert!(status["expires_at"].is_string(), "made through the API, so it expires: {status}");
    let patched =
        api.call("PATCH", "/v1/rules/r", &["Content-Type: application/merge-patch+json"], "{\"percentage\": 1}");
    assert_eq!(patched.status, 200, "{}", patched.text());
    let one = api.json("/v1/rules/r");
    assert_eq!((&one["percentage"], &one["match"]["path"]), (&json!(1), &json!("/x")), "the rest stays");
    api.call("PATCH", "/v1/rules/r", &[], "{\"match\": null}");
    assert!(api.json("/v1/rules/r")["match"].is_null(), "null removes");
    let all = api.json("/v1/rules");
    assert_eq!(all["rules"].as_array().map(Vec::len), Some(1));
    assert!(all["rules"][0]["status"].is_object() && all["generation"].is_u64());
    assert_eq!(api.delete("/v1/rules/r").status, 204);
    problem(&api.delete("/v1/rules/r"), 404);
    problem(&api.get("/v1/rules/r"), 404);
    problem(&api.call("PATCH", "/v1/rules/r", &[], "{\"percentage\": 1}"), 404);
}

#[test]
fn every_call_answers_as_documented() {
    const RULE: &str = r#"{"percentage":1,"fault":{"abort":503}}"#;
    let origin = Origin::ok();
    let slow = "rules: [{ name: slow, percentage: 5, fault: { delay: 2s } }]";
    let squall = Squall::start(&Settings::http(origin.address).with(slow));
    let api = squall.api();
    let config = api.get("/v1/config").text();
    let huge = format!("[{}]", "1,".repeat(3 << 20));
    // Method, path, header, body, expected status; in order, on one server.
    let table = [
        ("GET", "/v1/rules", "", "", 200),
        ("GET", "/v1/rules/slow", "", "", 200),
        ("GET", "/v1/rules/none", "", "", 404),
        ("PUT", "/v1/rules/x", "", RULE, 201),
        ("PUT", "/v1/rules/x", "", RULE, 200),
        ("PUT", "/v1/rules/x", "", "{percentage", 400),
        ("PUT", "/v1/rules/x", "", "", 400),
        ("PUT", "/v1/rules/x", "", "{}", 422),
        ("PUT", "/v1/rules/x", "", r#"{"name":"y","percentage":1,"fault":{"abort":503}}"#, 422),
        ("PUT", "/v1/rules/Bad!", "", RULE, 422),
        ("PUT", "/v1/rules/x", "If-Match: \"99\"", RULE, 412),
        ("PUT", "/v1/rules/x", "If-Match: seven", RULE, 400),
        ("PUT", "/v1/rules/x", "If-Match: *", RULE, 200),
        ("PUT", "/v1/rules/x?dryrun=true", "", RULE, 400),
        ("PUT", "/v1/rules/x", "Host: evil.example", RULE, 403),
        ("PUT", "/v1/rules/x", "Origin: http://evil.example", RULE, 403),
        ("PUT", "/v1/rules", "", huge.as_str(), 413),
        ("PATCH", "/v1/rules/x", "", r#"{"percentage":50}"#, 200),
        ("PATCH", "/v1/rules/x", "", r#"{"percentage":500}"#, 422),
        ("PATCH", "/v1/rules/x", "", "nonsense", 400),
        ("PATCH", "/v1/rules/none", "", "{}", 404),
        ("DELETE", "/v1/rules/x?dry_run=true", "", "", 204),
        ("DELETE", "/v1/rules/x", "", "", 204),
        ("DELETE", "/v1/rules/x", "", "", 404),
        ("PUT", "/v1/rules", "", "[]", 200),
        ("PUT", "/v1/rules", "", "{}", 422),
        ("PUT", "/v1/config", "", config.as_str(), 200),
        ("PUT", "/v1/config", "", "{}", 422),
        ("PUT", "/v1/config", "", "version: 1", 400),
        ("POST", "/v1/halt", "", r#"{"reason":"enough"}"#, 200),
        ("POST", "/v1/halt", "", r#"{"why":"enough"}"#, 422),
        ("POST", "/v1/halt", "", "{", 400),
        ("POST", "/v1/resume", "", "", 200),
        ("GET", "/v1/halt", "", "", 405),
        ("POST", "/v1/status", "", "", 405),
        ("GET", "/v1/status", "", "", 200),
        ("GET", "/metrics", "", "", 200),
        ("GET", "/livez", "Host: probe.example", "", 200),
        ("GET", "/readyz", "", "", 200),
        ("GET", "/openapi.json", "", "", 200),
        ("GET", "/nothing", "", "", 404),
    ];
    let description = api.json("/openapi.json");
    for (method, path, header, body, expected) in table {
        let headers = Some(header).filter(|header| !header.is_empty());
        let answer = api.call(method, path, headers.as_slice(), body);
        let call = format!("{method} {path} {header} {}", &body[..body.len().min(80)]);
        assert_eq!(answer.status, expected, "{call}: {}", answer.text());
        check_documented(&description, method, path, &answer);
    }
}

fn check_documented(description: &Value, method: &str, path: &str, answer: &Answer) {
    if answer.status >= 400 {
        assert!(!problem(answer, answer.status).is_empty());
    }
    let path = path.split('?').next().unwrap();
    let template = if path.starts_with("/v1/rules/") { "/v1/rules/{name}" } else { path };
    let operation = &description["paths"][template][method.to_lowercase()];
    if operation.is_null() {
        assert!(matches!(answer.status, 404 | 405));
        assert_eq!(answer.status == 405, answer.header("allow").is_some());
    } else {
        let status = answer.status.to_string();
        assert!(operation["responses"][&status].is_object(), "{method} {path}: {status} is not documented");
    }
}

#[test]
fn what_was_got_can_be_put_back() {
    let (_origin, squall) = start();
    let api = squall.api();
    api.rule("r", &rule(1));
    let got = api.get("/v1/rules/r");
    assert!(generation_of(&got) == "\"2\"" && got.text().ends_with("}\n"));
    let status = &got.json()["status"];
    assert_eq!((&status["unit"], &status["origin"]), (&json!("request"), &json!("api")));
    assert!(status["expires_at"].is_string());
    let put = api.call("PUT", "/v1/rules/r", &["If-Match: \"2\""], &got.text());
    assert_eq!((put.status, &put.json()["percentage"]), (200, &json!(1)), "{}", put.text());
    let put = api.put("/v1/rules", &api.get("/v1/rules").text());
    assert_eq!((put.status, &put.json()["generation"]), (200, &json!(2)), "{}", put.text());
}

#[test]
fn the_whole_set_is_replaced_at_once_or_not_at_all() {
    let (_origin, squall) = start();
    let api = squall.api();
    let set = |names: &[&str]| {
        let rules: Vec<Value> =
            names.iter().map(|n| json!({"name": n, "percentage": 1, "fault": {"abort": 503}})).collect();
        json!({"rules": rules}).to_string()
    };
    let answer = api.put("/v1/rules", &set(&["a", "b"]));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let before = api.generation();
    invalid(&api.put("/v1/rules", &set(&["c", "c"])));
    invalid(&api.put("/v1/rules", &set(&["d", "Not A Name"])));
    let names = |api: Api| {
        let all = api.json("/v1/rules");
        all["rules"].as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(api), ["a", "b"], "nothing is applied in part");
    assert_eq!(api.generation(), before);
    assert_eq!(api.put("/v1/rules", &set(&["b", "a"])).status, 200);
    assert_eq!(names(api), ["b", "a"], "in order");
}

#[test]
fn equal_content_is_no_new_generation() {
    let (_origin, squall) = start();
    let api = squall.api();
    api.rule("r", &rule(50));
    let before = api.generation();
    api.rule("r", &rule(50));
    let after = api.generation();
    assert!(after == before || after == before + 1, "{before} → {after}");
    for path in
        ["/v1/rules", "/v1/rules/r", "/v1/status", "/v1/config", "/metrics", "/livez", "/readyz", "/openapi.json"]
    {
        assert_eq!(api.get(path).status, 200, "{path}");
    }
    assert_eq!(api.generation(), after, "GET never changes anything");
}

#[test]
fn every_problem_is_told_at_once() {
    let (_origin, squall) = start();
    let api = squall.api();
    let bad = json!({"match": {"methd": "GET", "listener": "nowhere"}, "percentge": 5, "fault": {"delay": "fast"}});
    let answer = api.put("/v1/rules/r", &bad.to_string());
    let errors = invalid(&answer);
    let told = Value::from(errors.clone()).to_string();
    for word in ["methd", "percentge"] {
        assert!(told.contains(word), "{word} in {told}");
    }
    assert!(errors.len() >= 2 && errors.iter().all(|e| e["detail"].is_string() && e["path"].is_string()), "{told}");
    assert!(told.contains("percentage"), "a hint at what was meant: {told}");
    let more = json!({"match": {"listener": "nowhere"}, "percentage": 101, "fault": {"delay": "-2s", "abort": 99}});
    let errors = invalid(&api.put("/v1/rules/r", &more.to_string()));
    assert!(errors.len() >= 4, "listener, percentage, delay and abort: {errors:?}");
    let paths: Vec<&str> = errors.iter().map(|error| error["path"].as_str().unwrap()).collect();
    assert!(
        paths.contains(&"percentage") && paths.iter().all(|path| !path.contains("rules[")),
        "of the rule: {paths:?}"
    );
    let unread = problem(&api.put("/v1/rules/r", "{\n  \"percentage\": }"), 400);
    assert_eq!(unread[0]["line"], 2, "{unread:?}");
    let missing = invalid(&api.put("/v1/rules/r", &json!({"fault": {"abort": 503}}).to_string()));
    assert!(Value::from(missing).to_string().contains("percentage"), "a missing percentage is an error");
    for body in ["", "{", "[]", "null", "\"x\"", "{\"percentage\": 5}", "{\"percentage\": 5, \"fault\": {}}", "\u{0}"] {
        let answer = api.put("/v1/rules/r", body);
        invalid(&answer);
    }
    assert_eq!(api.json("/v1/rules")["rules"], json!([]), "nothing of it was kept");
    invalid(&api.put("/v1/rules/Bad%20Name", &rule(1).to_string()));
    let other = json!({"name": "other", "percentage": 1, "fault": {"abort": 503}});
    let answer = api.put("/v1/rules/r", &other.to_string());
    assert!(matches!(answer.status, 400 | 422), "a name that is not that of the path: {}", answer.text());
}

#[test]
fn bodies_are_json_whatever_the_content_type() {
    let (_origin, squall) = start();
    let api = squall.api();
    for kind in
        ["application/json", "application/x-www-form-urlencoded", "text/plain", "application/merge-patch+json", "x"]
    {
        let answer = api.call("PUT", "/v1/rules/r", &[&format!("Content-Type: {kind}")], &rule(1).to_string());
        assert!(matches!(answer.status, 200 | 201), "{kind}: {}", answer.text());
    }
    let huge = format!(
        "{{\"percentage\": 1, \"fault\": {{\"abort\": {{\"status\": 503, \"body\": \"{}\"}}}}}}",
        "x".repeat(20_000_000)
    );
    let mut client = RawClient::connect(api.address);
    let _ = client
        .try_send(format!("PUT /v1/rules/r HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {}\r\n\r\n", huge.len()));
    for part in huge.as_bytes().chunks(1 << 20) {
        if client.try_send(part).is_err() {
            break;
        }
    }
    if let Ok(answer) = client.try_answer("PUT") {
        assert_eq!(answer.status, 413, "{}", answer.text());
    }
    assert_eq!(api.get("/livez").status, 200);
}

#[test]
fn if_match_guards_writes() {
    let (_origin, squall) = start();
    let api = squall.api();
    let tag = generation_of(&api.get("/v1/rules"));
    let guarded =
        |tag: &str, method: &str, path: &str, body: &str| api.call(method, path, &[&format!("If-Match: {tag}")], body);
    let made = guarded(&tag, "PUT", "/v1/rules/r", &rule(1).to_string());
    assert_eq!(made.status, 201, "{}", made.text());
    let stale = tag;
    problem(&guarded(&stale, "PUT", "/v1/rules/r", &rule(2).to_string()), 412);
    problem(&guarded(&stale, "PATCH", "/v1/rules/r", "{\"percentage\": 2}"), 412);
    problem(&guarded(&stale, "DELETE", "/v1/rules/r", ""), 412);
    problem(&guarded(&stale, "PUT", "/v1/rules", "{\"rules\": []}"), 412);
    problem(&guarded(&stale, "POST", "/v1/halt", ""), 412);
    assert_eq!(api.json("/v1/rules/r")["percentage"], 1, "nothing changed");
    let fresh = generation_of(&api.get("/v1/rules"));
    assert_eq!(fresh, generation_of(&made));
    assert_eq!(fresh.trim_matches('"'), api.generation().to_string(), "the tag is the generation");
    assert_eq!(guarded(&fresh, "DELETE", "/v1/rules/r", "").status, 204);
}

#[test]
fn dry_run_judges_and_changes_nothing() {
    let (_origin, squall) = start();
    let api = squall.api();
    api.rule("kept", &rule(1));
    let before = (api.generation(), api.json("/v1/config").to_string());
    for (method, path, body) in [
        ("PUT", "/v1/rules/new", rule(5).to_string()),
        ("PUT", "/v1/rules", "{\"rules\": []}".to_owned()),
        ("PATCH", "/v1/rules/kept", "{\"percentage\": 9}".to_owned()),
        ("DELETE", "/v1/rules/kept", String::new()),
        ("POST", "/v1/halt", String::new()),
    ] {
        let answer = api.call(method, &format!("{path}?dry_run=true"), &[], &body);
        assert_eq!(answer.status / 100, 2, "{method} {path}: {}", answer.text());
        assert_eq!((api.generation(), api.json("/v1/config").to_string()), before, "{method} {path}");
    }
    invalid(&api.put("/v1/rules/new?dry_run=true", "{\"percentage\": 500, \"fault\": {\"abort\": 503}}"));
    assert_eq!(RawClient::connect(squall.to_b()).get("/").status, 200, "not halted, not faulted");
}

#[test]
fn wrong_methods_and_paths_are_told() {
    let (_origin, squall) = start();
    let api = squall.api();
    for (method, path, allowed) in [
        ("POST", "/v1/rules", "PUT"),
        ("DELETE", "/v1/rules", "GET"),
        ("POST", "/v1/rules/r", "PATCH"),
        ("GET", "/v1/halt", "POST"),
        ("PUT", "/v1/resume", "POST"),
        ("PUT", "/v1/status", "GET"),
        ("DELETE", "/v1/config", "PUT"),
        ("POST", "/v1/events", "GET"),
        ("PUT", "/metrics", "GET"),
        ("DELETE", "/readyz", "GET"),
        ("POST", "/openapi.json", "GET"),
    ] {
        let answer = api.call(method, path, &[], "");
        problem(&answer, 405);
        let allow = answer.header("allow").unwrap_or("");
        assert!(allow.split(',').any(|m| m.trim() == allowed), "{method} {path}: Allow: {allow}");
    }
    // What many APIs have for it.
    let hint = &api.post("/v1/rules", r#"{"name": "r"}"#).json()["errors"][0]["hint"];
    assert_eq!(hint, "PUT /v1/rules/NAME makes one");
    for path in ["/", "/v1", "/v1/rule", "/v2/rules", "/v1/rules/a/b"] {
        problem(&api.get(path), 404);
    }
    assert_eq!(api.call("HEAD", "/v1/rules", &[], "").status, 200);
}

#[test]
fn status_tells_what_is_going_on() {
    let (_origin, squall) = start();
    let status = squall.api().json("/v1/status");
    assert!(status["version"].is_string() && status["generation"].is_u64(), "{status}");
    assert_eq!(status["listeners"][0]["name"], "to-b");
    assert_eq!(status["listeners"][0]["enabled"], true);
    assert_eq!(status["clusters"][0]["name"], "service-b");
    assert_eq!(status["active_faults"].as_i64().unwrap_or(-1), 0, "{status}");
}

#[test]
fn events_tell_of_changes_as_they_happen() {
    let (_origin, mut squall) = start();
    let api = squall.api();
    let mut stream = TcpStream::connect(api.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    write!(stream, "GET /v1/events HTTP/1.1\r\nHost: {}\r\n\r\n", api.address).unwrap();
    let mut lines = BufReader::new(stream).lines().map(|l| l.expect("an event within 5 s"));
    let head: Vec<String> = lines.by_ref().take_while(|l| !l.is_empty()).collect();
    assert!(head[0].contains("200") && head.iter().any(|l| l.to_lowercase().contains("text/event-stream")), "{head:?}");
    // What the stream says up to (and with) the first line that has all these words.
    let mut until = |words: &[&str]| {
        let mut said = String::new();
        for line in lines.by_ref() {
            said += &line;
            said.push('\n');
            if words.iter().all(|w| said.contains(w)) {
                return;
            }
        }
        panic!("the stream ended; it said {said:?}, not {words:?}");
    };
    until(&["generation 1"]);
    api.rule("noisy", &rule(5));
    until(&["rule", "noisy"]);
    api.halt();
    until(&["halt"]);
    api.resume();
    until(&["resume"]);
    api.remove("noisy");
    until(&["noisy"]);
    api.rule("short", &json!({"percentage": 1, "ttl": "200ms", "fault": {"abort": 503}}));
    until(&["event: rule", "short"]);
    until(&["event: expired", "short"]);
    problem(&api.get("/v1/rules/short"), 404);
    squall.signal("TERM");
    assert_eq!(lines.filter(|line| line.starts_with("event:")).count(), 0, "nothing more, and the stream ends");
    assert!(squall.wait(Duration::from_secs(5)).success());
    assert!(!squall.said().contains("cut at the end"), "streams end by themselves");
}

#[test]
fn a_page_from_elsewhere_cannot_use_the_api() {
    let (_origin, squall) = start();
    let api = squall.api();
    let rebound = RawClient::connect(api.address)
        .send("GET /v1/status HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
        .answer();
    let foreign = api.call("PUT", "/v1/rules/r", &["Origin: http://evil.example"], &rule(1).to_string());
    assert!(foreign.header("access-control-allow-origin").is_none());
    assert!((400..500).contains(&rebound.status), "a foreign Host on a loopback API: {}", rebound.line);
    assert!((400..500).contains(&foreign.status), "a foreign Origin: {}", foreign.line);
}

#[test]
fn the_description_has_every_call() {
    let (_origin, squall) = start();
    let description = squall.api().json("/openapi.json");
    assert!(description["openapi"].as_str().is_some_and(|v| v.starts_with("3.")), "{}", description["openapi"]);
    let paths = description["paths"].as_object().expect("paths");
    for (path, methods) in [
        ("/v1/rules", &["get", "put"][..]),
        ("/v1/rules/{name}", &["get", "put", "patch", "delete"]),
        ("/v1/halt", &["post"]),
        ("/v1/resume", &["post"]),
        ("/v1/status", &["get"]),
        ("/v1/config", &["get", "put"]),
        ("/v1/events", &["get"]),
        ("/metrics", &["get"]),
        ("/livez", &["get"]),
        ("/readyz", &["get"]),
    ] {
        let described = paths.get(path).unwrap_or_else(|| panic!("{path} is not described"));
        for method in methods {
            assert!(described[method].is_object(), "{method} {path}");
        }
    }
}

#[test]
fn a_broken_client_does_not_harm_the_api() {
    let (_origin, squall) = start();
    let api = squall.api();
    for bytes in [
        "\0\0\0",
        "GET / HTTP/9\r\n\r\n",
        "PUT /v1/rules/r HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{",
    ] {
        let mut client = RawClient::connect(api.address);
        let _ = client.try_send(bytes);
        drop(client);
    }
    assert_eq!(api.get("/readyz").status, 200);
    assert_eq!(api.json("/v1/rules")["rules"], json!([]));
}
