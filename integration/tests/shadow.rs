//! Rules in shadow mode: nothing changes on the wire while counts and logs say what would have happened.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use squall_integration::origin::Origin;
use squall_integration::programs::find;
use squall_integration::wait::PATIENCE;
use squall_integration::{Api, Authority, End, RawClient, Settings, Squall, TlsClient, TlsOptions, eventually, squall};

fn shadow(fault: &Value) -> Value {
    json!({"mode": "shadow", "percentage": 100, "fault": fault})
}

fn set_mode(api: Api, mode: &str) {
    let answer = api.call("PATCH", "/v1/rules/r", &[], &json!({"mode": mode}).to_string());
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// (matched, injected, would have been injected)
fn counts(api: Api) -> (u64, u64, u64) {
    let status = api.rule_status("r");
    let count = |name: &str| status[name].as_u64().unwrap_or_else(|| panic!("no {name} in {status}"));
    (count("matched"), count("injected"), count("would_have_injected"))
}

fn skipped(api: Api) -> f64 {
    api.metrics().sum("chaos_skipped_faults_total", &[("rule", "r"), ("reason", "shadow")])
}

/// Status and header fields, as curl sees them.
fn curl(curl: &Path, squall: &Squall) -> String {
    let done = Command::new(curl).args(["-sS", "-i", "-m", "10"]).arg(format!("http://{}/x", squall.to_b())).output();
    let done = done.unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).to_ascii_lowercase()
}

#[test]
fn http_passes_untouched_until_the_rule_injects() {
    let Some(program) = find("curl", "http_passes_untouched_until_the_rule_injects") else { return };
    let origin = Origin::ok();
    let squall = Squall::start(&Settings::http(origin.address).with("access_log: { file: access.log }"));
    let api = squall.api();
    let without = curl(&program, &squall);
    api.rule("r", &shadow(&json!({"delay": "30s", "abort": 503})));
    for _ in 0..10 {
        let with = curl(&program, &squall);
        let stable = |text: &str| text.lines().filter(|line| !line.starts_with("date:")).collect::<Vec<_>>().join("\n");
        assert_eq!(stable(&with), stable(&without));
    }
    assert_eq!((counts(api), skipped(api)), ((10, 0, 10), 10.0));
    assert_eq!(api.metrics().sum("chaos_injected_faults_total", &[("rule", "r")]), 0.0);
    assert_eq!(origin.seen().len(), 11);

    let listed = squall::output(&["rule", "ls", "--control", &api.url()]);
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains("shadow") && listed.contains("10 (shadow)"), "{listed}");

    api.rule("r", &json!({"mode": "shadow", "percentage": 100, "fault": {"abort": 503}}));
    set_mode(api, "inject");
    let faulted = curl(&program, &squall);
    assert!(faulted.starts_with("http/1.1 503") && faulted.contains("x-squall-fault: rule=r; kind=abort"), "{faulted}");
    assert_eq!(counts(api), (11, 1, 10));
    set_mode(api, "shadow");
    assert!(curl(&program, &squall).starts_with("http/1.1 200"));

    let lines: Vec<Value> = eventually("13 lines in the access log", PATIENCE, || {
        let text = std::fs::read_to_string(squall.directory().join("access.log")).ok()?;
        let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        (lines.len() == 13).then_some(lines)
    });
    assert_eq!((lines[0].get("shadows"), &lines[0]["faults"]), (None, &json!([])));
    assert_eq!((&lines[1]["shadows"], &lines[1]["faults"]), (&json!(["r"]), &json!([])));
    assert_eq!(lines[11].get("shadows"), None);
    assert_eq!(lines[11]["faults"][0]["rule"], "r");
}

#[test]
fn a_rule_that_injects_fares_as_if_shadow_rules_were_not_there() {
    let origin = Origin::ok();
    let squall = Squall::start(&Settings::http(origin.address));
    let api = squall.api();
    for n in 0..8 {
        api.rule(&format!("before-{n}"), &shadow(&json!({"delay": "10s"})));
    }
    api.rule("end", &shadow(&json!({"reset": true})));
    api.rule("real", &json!({"percentage": 50, "sample": {"mode": "exact"}, "fault": {"abort": 503}}));
    let mut client = RawClient::connect(squall.to_b());
    let n_faulted = (0..100).filter(|_| client.get("/").status == 503).count();
    assert_eq!((n_faulted, api.injected("real")), (50, 50));
    assert_eq!(api.metrics().sum("chaos_skipped_faults_total", &[("reason", "shadow")]), 900.0);
    assert_eq!(api.metrics().sum("chaos_skipped_faults_total", &[("reason", "plan_full")]), 0.0);
}

#[test]
fn who_watches_sees_what_would_have_been() {
    let origin = Origin::ok();
    let squall = Squall::start(&Settings::http(origin.address));
    squall.api().rule("r", &shadow(&json!({"abort": 503})));
    let control = squall.api().url();
    let mut tap = squall::command(&["tap", "--rule", "r", "-n", "1", "--control", &control]);
    let mut tap = tap.stdout(Stdio::piped()).spawn().unwrap();
    // It watches from some moment on.
    eventually("a line of squall tap", PATIENCE, || {
        RawClient::connect(squall.to_b()).get("/watched");
        tap.try_wait().unwrap()
    });
    let shown = String::from_utf8(tap.wait_with_output().unwrap().stdout).unwrap();
    assert!(
        shown.contains("/watched") && shown.trim_end().ends_with("200 r/shadow") || shown.contains("r/shadow"),
        "{shown}"
    );
}

#[test]
fn a_request_that_is_held_is_let_go() {
    let origin = Origin::ok();
    let squall = Squall::start(&Settings::http(origin.address));
    let api = squall.api();
    api.rule("r", &json!({"percentage": 100, "fault": {"blackhole": true}}));
    let mut client = RawClient::connect(squall.to_b());
    client.send("GET / HTTP/1.1\r\nHost: b\r\n\r\n");
    eventually("a held request", PATIENCE, || (counts(api).1 == 1).then_some(()));
    set_mode(api, "shadow");
    assert_eq!(client.answer().status, 200);
}

#[test]
fn a_tcp_connection_flows_until_the_rule_injects() {
    let origin = Origin::mirror();
    let squall = Squall::start(&Settings::tcp(origin.address).with("access_log: { file: access.log }"));
    let api = squall.api();
    api.rule("r", &shadow(&json!({"reset": true})));
    let mut open = RawClient::connect(squall.to_b());
    for n in 1..=3 {
        let mut other = RawClient::connect(squall.to_b());
        assert_eq!(other.send("hello").read_exact(5), b"hello");
        other.half_close();
        assert_eq!(other.read_to_end(), (Vec::new(), End::Fin));
        eventually("counts", PATIENCE, || (counts(api) == (n + 1, 0, n + 1)).then_some(()));
    }
    assert_eq!(open.send("still").read_exact(5), b"still");
    assert_eq!(skipped(api), 4.0);
    let line: Value = eventually("a line in the access log", PATIENCE, || {
        let text = std::fs::read_to_string(squall.directory().join("access.log")).ok()?;
        serde_json::from_str(text.lines().next()?).ok()
    });
    assert_eq!((&line["shadows"], &line["faults"]), (&json!(["r"]), &json!([])));

    // Picked it was: from now on that counts.
    set_mode(api, "inject");
    assert_eq!(open.read_to_end().1, End::Reset);
    assert_eq!(counts(api), (4, 1, 4));
}

#[test]
fn a_tunnel_flows_until_the_rule_injects() {
    let origin = Origin::start(|mut peer| {
        if peer.request().is_some() {
            peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n");
            let text = peer.read(5);
            peer.send(text);
            peer.read_to_end();
        }
    });
    let squall = Squall::start(&Settings::http(origin.address));
    let api = squall.api();
    let mut rule = shadow(&json!({"blackhole": {"max": "10ms"}}));
    rule["match"] = json!({"upgrade": "*"});
    api.rule("r", &rule);
    let mut client = RawClient::connect(squall.to_b());
    client.send("GET /chat HTTP/1.1\r\nHost: b\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n");
    assert_eq!(client.answer().status, 101);
    assert_eq!(client.send("hello").read_exact(5), b"hello");
    assert_eq!((counts(api), skipped(api)), ((1, 0, 1), 1.0));
    set_mode(api, "inject");
    assert_eq!(client.read_to_end(), (Vec::new(), End::Fin), "a blackhole ends at its max");
    assert_eq!(counts(api), (1, 1, 1));
}

#[test]
fn a_handshake_succeeds_until_the_rule_injects() {
    let (authority, origin) = (Authority::new(), Origin::ok());
    authority.issue("b");
    let settings = Settings::new().listener_with("to-b", "http", "b", &authority.listener("b")).cluster(
        "b",
        "http1",
        &[origin.address],
    );
    let squall = Squall::start_with(&settings, &["--log", "info,squall_proxy=debug"]);
    let api = squall.api();
    api.rule("r", &shadow(&json!({"tls": {"handshake": "alert"}})));
    let connect = || TlsClient::connect(squall.to_b(), &authority, &TlsOptions::default());
    assert_eq!(connect().unwrap().get("/").unwrap().status, 200);
    assert_eq!((counts(api), skipped(api)), ((1, 0, 1), 1.0));
    let told = || squall.said().lines().filter(|line| line.contains("would have let a TLS handshake go wrong")).count();
    eventually("a line about it", PATIENCE, || (told() == 1).then_some(()));
    set_mode(api, "inject");
    assert!(connect().is_err());
    assert_eq!((counts(api), told()), ((2, 1, 1), 1));
}

#[test]
fn events_say_which_rules_are_in_shadow_mode() {
    let origin = Origin::ok();
    let squall = Squall::start(&Settings::http(origin.address));
    let api = squall.api();
    let mut events = RawClient::connect(api.address).patience(Duration::from_secs(10));
    events.send(format!("GET /v1/events HTTP/1.1\r\nHost: {}\r\n\r\n", api.address));
    events.read_exact(12);
    api.rule("r", &shadow(&json!({"abort": 503})));
    let mut seen = String::new();
    eventually("the event of the rule", PATIENCE, || {
        seen.push_str(&String::from_utf8_lossy(&events.read_exact(1)));
        seen.contains("\"shadow\":[\"r\"]").then_some(())
    });
}
