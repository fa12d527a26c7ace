//! Guards that ask over HTTP: Prometheus, and whether something is well.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use squall_integration::origin::{Origin, refusing};
use squall_integration::programs::Program;
use squall_integration::wait::pause;
use squall_integration::{Api, Authority, RawClient, Settings, Squall, eventually};

const PATIENCE: Duration = Duration::from_secs(15);

fn guard(squall: &Squall, name: &str) -> Value {
    let status = squall.api().json("/v1/status");
    let guards = status["guards"].as_array().unwrap();
    guards.iter().find(|guard| guard["name"] == name).unwrap_or_else(|| panic!("{name} in {status:#}")).clone()
}

fn becomes(squall: &Squall, name: &str, state: &str) -> Value {
    eventually(&format!("{name} is {state}"), PATIENCE, || {
        let guard = guard(squall, name);
        (guard["state"] == state).then_some(guard)
    })
}

fn reason(squall: &Squall) -> Option<String> {
    squall.api().json("/v1/status")["halt"]["reason"].as_str().map(str::to_owned)
}

fn halted(squall: &Squall) -> String {
    eventually("a halt", PATIENCE, || reason(squall))
}

/// A Squall with a rule that is seen by its status, and these guards.
fn guarded(guards: &str) -> (Squall, Origin) {
    let origin = Origin::ok();
    let rules = "rules: [{name: r, percentage: 100, fault: {abort: 418}}]";
    let squall = Squall::start(&Settings::http(origin.address).with(rules).with(&format!("guards:\n{guards}")));
    (squall, origin)
}

fn answer(squall: &Squall) -> u16 {
    RawClient::connect(squall.to_b()).get("/").status
}

#[test]
fn a_query_to_a_real_prometheus_trips_and_one_that_is_gone_does_too() {
    let (service, _origin) = guarded("");
    let rules = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(rules.path(), "groups: []\n").unwrap();
    let Some(prometheus) = Program::prometheus("guards", service.api().address, rules.path()) else { return };
    let api = Api { address: prometheus.address };
    let is_scraped = || {
        let answer = api.get("/api/v1/query?query=squall_active_connections");
        (answer.status == 200 && answer.text().contains("to-b")).then_some(())
    };
    // The listener has a series from the first connection on.
    assert_eq!(answer(&service), 418);
    eventually("the service is scraped", PATIENCE, is_scraped);
    let address = prometheus.address;
    let ask = |query: &str| format!("prometheus: \"http://{address}\", query: '{query}', every: 250ms");
    let (squall, _own) = guarded(&format!(
        "- {{name: crowd, blind_after: 2s, condition: {{{}, above: 2, for: 1s}}}}\n\
         - {{name: none, blind: ignore, condition: {{{}, above: 2, for: 1s}}}}\n\
         - {{name: wrong, blind: ignore, condition: {{{}, above: 2, for: 1s}}}}\n",
        ask("sum(squall_active_connections{listener=\"to-b\"})"),
        ask("no_such_metric"),
        ask("sum(")
    ));
    assert_eq!(becomes(&squall, "none", "blind")["trouble"], format!("http://{address}/: the query gives no series"));
    let trouble = becomes(&squall, "wrong", "blind")["trouble"].as_str().unwrap().to_owned();
    assert!(trouble.contains("status 400") && trouble.contains("parse error"), "{trouble}");
    let crowd = becomes(&squall, "crowd", "ok");
    assert!(crowd["value"].as_f64().is_some_and(|value| value <= 2.0), "{crowd}");
    assert_eq!(answer(&squall), 418);

    // Too many connections for a second.
    let clients: Vec<_> = (0..5).map(|_| RawClient::connect(service.to_b())).collect();
    let said = halted(&squall);
    let expected = "guard crowd: sum(squall_active_connections{listener=\"to-b\"}) above 2 for 1s; 5";
    assert!(said.starts_with(expected), "{said}");
    assert_eq!(answer(&squall), 200);
    drop(clients);
    squall.api().resume();
    becomes(&squall, "crowd", "ok");
    assert_eq!(answer(&squall), 418);

    // Prometheus is killed: who cannot see cannot guard.
    drop(prometheus);
    let killed = Instant::now();
    let said = halted(&squall);
    let after = killed.elapsed();
    println!("halted {after:?} after Prometheus was killed: {said}");
    assert!(said.starts_with("guard crowd is blind for 2.") && said.contains("refused"), "{said}");
    assert!((Duration::from_secs(2)..Duration::from_millis(3500)).contains(&after), "{after:?}");
    assert_eq!(becomes(&squall, "none", "blind")["reason"], Value::Null, "it is to be ignored");
    assert_eq!(squall.api().metrics().sum("squall_guard_state", &[("guard", "none"), ("state", "blind")]), 1.0);
}

#[test]
fn a_probe_that_fails_three_times_trips() {
    let Some(nginx) = Program::nginx("guards") else { return };
    let address = nginx.address;
    let (squall, _origin) = guarded(&format!(
        "- {{name: well, condition: {{probe: \"http://{address}/healthz\", status: 200, every: 300ms}}}}\n\
         - {{name: missing, condition: {{probe: \"http://{address}/nothing\", status: \"200,404\", every: 300ms}}}}\n"
    ));
    eventually("it is asked", PATIENCE, || (guard(&squall, "well")["value"] == 200.0).then_some(()));
    eventually("so is the other", PATIENCE, || (guard(&squall, "missing")["value"] == 404.0).then_some(()));
    assert_eq!((reason(&squall), answer(&squall)), (None, 418));
    drop(nginx);
    let killed = Instant::now();
    let said = halted(&squall);
    let after = killed.elapsed();
    println!("halted {after:?} after nginx was killed: {said}");
    assert!(after < Duration::from_millis(3 * 300 + 1000), "{after:?}");
    assert!(said.contains(": 3 failed probes of http://127.0.0.1:") && said.contains("refused"), "{said}");
    assert_eq!(answer(&squall), 200);
}

#[test]
fn what_answers_wrongly_or_not_at_all_is_not_well() {
    let silent = Origin::start(|mut peer| {
        peer.request();
        pause(PATIENCE);
    });
    let broken = Origin::answering("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
    let moved = Origin::answering("HTTP/1.1 302 Found\r\nLocation: /well\r\nContent-Length: 0\r\n\r\n");
    for (address, part) in [
        (silent.address, "no answer within 200ms"),
        (broken.address, "503 status"),
        (moved.address, "302 status"),
        (refusing(), "refused"),
    ] {
        let (squall, _origin) = guarded(&format!(
            "- {{name: g, condition: {{probe: \"http://{address}/\", every: 200ms, failures: 2}}}}\n"
        ));
        let said = halted(&squall);
        assert!(said.starts_with("guard g: 2 failed probes of") && said.contains(part), "{said}");
    }
}

#[test]
fn tokens_are_shown_and_certificates_are_looked_at() {
    let (authority, other) = (Authority::new(), Authority::new());
    authority.issue("localhost");
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    std::fs::write(&token, "s3cret\n").unwrap();
    let origin = Origin::ok();
    let seen = |path: &str| {
        let all = origin.seen();
        all.iter().find(|seen| seen.line.starts_with(&format!("GET {path} "))).cloned()
    };
    let settings = Settings::http(origin.address).with(&format!(
        "guards:\n\
         - {{name: shown, condition: {{probe: \"http://{0}/shown\", every: 200ms, token_file: {1}}}}}\n\
         - {{name: bare, condition: {{probe: \"http://{0}/bare\", every: 200ms}}}}\n",
        origin.address,
        token.display()
    ));
    let _squall = Squall::start_under(&settings, &[("SQUALL_TOKEN", "of-the-control-api")], &[]);
    let shown = eventually("a probe with a token", PATIENCE, || seen("/shown"));
    assert_eq!(shown.header("authorization"), Some("Bearer s3cret"));
    let bare = eventually("a probe without", PATIENCE, || seen("/bare"));
    assert_eq!(bare.header("authorization"), None, "a token of its own is nobody else's");

    let Some(nginx) = Program::nginx_tls("guards", &authority, "localhost") else { return };
    let probe = |name: &str, authority: &Authority| {
        let (port, ca) = (nginx.address.port(), authority.file("ca.crt"));
        let url = format!("https://localhost:{port}/");
        format!("- {{name: {name}, condition: {{probe: \"{url}\", ca: {ca}, every: 500ms, failures: 2}}}}\n")
    };
    let (squall, _origin) = guarded(&probe("trusted", &authority));
    eventually("it is well", PATIENCE, || (guard(&squall, "trusted")["value"] == 200.0).then_some(()));
    assert_eq!(reason(&squall), None);
    let (squall, _origin) = guarded(&probe("stranger", &other));
    let said = halted(&squall);
    assert!(said.contains("guard stranger") && said.contains("certificate"), "{said}");
}

#[test]
fn nobody_waits_for_a_prometheus_that_hangs() {
    let hanging = Origin::start(|mut peer| {
        peer.request();
        pause(PATIENCE * 2);
    });
    let (squall, _origin) = guarded(&format!(
        "- {{name: hangs, blind: ignore, condition: {{prometheus: \"http://{}\", query: up, above: 1, for: 1m, every: 10s, \
         timeout: 10s}}}}\n\
         - {{name: dead, condition: {{probe: \"http://{}\", every: 200ms}}}}\n\
         - {{name: idle, condition: {{metric: request_rate, below: 1, for: 2s}}}}\n",
        hanging.address,
        refusing()
    ));
    let begin = Instant::now();
    assert!(halted(&squall).starts_with("guard dead"));
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    becomes(&squall, "idle", "tripped");
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
    // The control API answers all the while, and the end comes at once.
    assert_eq!(guard(&squall, "hangs")["state"], "ok");
    let mut squall = squall;
    squall.signal("TERM");
    squall.wait(Duration::from_secs(5));
}

#[test]
fn a_reload_takes_guards_away_and_brings_others() {
    let origin = Origin::ok();
    let dead = refusing();
    let squall = Squall::start(&Settings::http(origin.address));
    assert_eq!(squall.api().json("/v1/status")["guards"], json!([]));
    let text = std::fs::read_to_string(squall.file()).unwrap();
    let with = format!(
        "{text}guards: [{{name: late, condition: {{probe: \"http://{dead}\", every: 200ms, failures: 20}}}}]\n"
    );
    std::fs::write(squall.file(), &with).unwrap();
    becomes_known(&squall, "late");
    std::fs::write(squall.file(), &text).unwrap();
    eventually("it is gone", PATIENCE, || (squall.api().json("/v1/status")["guards"] == json!([])).then_some(()));
    pause(Duration::from_secs(5));
    assert_eq!(reason(&squall), None, "nobody asks any more");
}

fn becomes_known(squall: &Squall, name: &str) {
    eventually("it is there", PATIENCE, || {
        let status = squall.api().json("/v1/status");
        let guards = status["guards"].as_array()?;
        guards.iter().any(|guard| guard["name"] == name && guard["state"] == "breaching").then_some(())
    });
}
