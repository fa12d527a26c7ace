//! The lease: when nobody watches over the faults any more, there are none.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use squall_integration::origin::Origin;
use squall_integration::squall::{command, output};
use squall_integration::wait::{PATIENCE, pause};
use squall_integration::{RawClient, Settings, Squall, eventually};

fn lease(squall: &Squall) -> Value {
    squall.api().json("/v1/lease")
}

fn take(squall: &Squall, holder: &str, ttl: &str) -> Value {
    let answer = squall.api().put("/v1/lease", &json!({"holder": holder, "ttl": ttl}).to_string());
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn reason(squall: &Squall) -> Value {
    lease(squall)["halt"]["reason"].clone()
}

fn answer(squall: &Squall) -> u16 {
    RawClient::connect(squall.to_b()).get("/").status
}

fn abort() -> Value {
    json!({"percentage": 100, "fault": {"abort": 418}})
}

/// `squall lease hold`, which can be killed.
struct Watcher(Child);

impl Watcher {
    fn start(squall: &Squall, holder: &str, ttl: &str) -> Self {
        let control = squall.api().url();
        let mut command = command(&["lease", "hold", holder, "--ttl", ttl, "--control", &control]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        eventually("the lease is held", PATIENCE, || (lease(squall)["lease"]["holder"] == holder).then_some(()));
        Self(child)
    }

    /// SIGKILL.
    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_watcher_that_is_killed_takes_the_faults_along() {
    let origin = Origin::ok();
    let squall = Squall::start(&Settings::http(origin.address));
    let mut watcher = Watcher::start(&squall, "ci-run-17", "1s");
    squall.api().rule("held", &json!({"percentage": 100, "fault": {"blackhole": true}}));
    let call = || RawClient::connect(squall.to_b()).patience(PATIENCE).get("/").status;
    std::thread::scope(|scope| {
        let held = scope.spawn(call);
        eventually("it is held", PATIENCE, || (squall.api().rule_status("held")["active"] == 1).then_some(()));
        // It is renewed: three times its time change nothing.
        pause(Duration::from_secs(3));
        assert!(!held.is_finished() && reason(&squall).is_null());
        watcher.kill();
        let killed = Instant::now();
        assert_eq!(held.join().unwrap(), 200, "what was held goes on");
        let after = killed.elapsed();
        println!("let go {after:?} after the watcher was killed");
        assert!(after < Duration::from_secs(2), "within the time of the lease and a second: {after:?}");
    });
    assert_eq!((reason(&squall), answer(&squall)), (json!("the lease of ci-run-17 ran out"), 200));
    assert!(lease(&squall)["lease"].is_null());
    // It comes back. Nothing flows until it says so.
    let _again = Watcher::start(&squall, "ci-run-17", "30s");
    squall.api().rule("held", &abort());
    assert_eq!(answer(&squall), 200);
    squall.api().resume();
    assert_eq!(answer(&squall), 418);
    let audit = squall.api().json("/v1/audit");
    let noted = audit["entries"].as_array().unwrap().iter().find(|entry| entry["actor"]["kind"] == "lease").unwrap();
    assert_eq!((&noted["operation"], &noted["reason"]), (&json!("halt"), &json!("the lease of ci-run-17 ran out")));
}

#[test]
fn after_a_crash_nothing_flows_before_somebody_watches_again() {
    let origin = Origin::ok();
    let of_file = "rules: [{name: of-file, percentage: 100, match: {path: /file}, fault: {abort: 418}}]\n";
    for (required, why) in
        [("", "the lease of ci ended with the process before"), ("lease: {ttl: 30s}", "nobody holds the lease")]
    {
        let state = tempfile::tempdir().unwrap();
        let settings = Settings::http(origin.address).with(of_file).with(required);
        let squall = Squall::start_keeping(&settings, state.path());
        take(&squall, "ci", "30s");
        squall.api().resume();
        squall.api().rule("of-api", &abort());
        assert_eq!(answer(&squall), 418);
        drop(squall); // SIGKILL
        let squall = Squall::start_keeping(&settings, state.path());
        let get = |path: &str| RawClient::connect(squall.to_b()).get(path).status;
        assert_eq!([get("/"), get("/file")], [200, 200], "{required}");
        assert!(reason(&squall).as_str().unwrap().contains("the lease"), "{}", reason(&squall));
        if required.is_empty() {
            assert_eq!(reason(&squall), why);
        } else {
            let refused = squall.api().post("/v1/resume", "");
            assert_eq!(refused.status, 409, "{}", refused.text());
            assert!(refused.text().contains("PUT /v1/lease"), "{}", refused.text());
        }
        assert_eq!(take(&squall, "ci", "30s")["halted"], true, "renewing alone changes nothing");
        assert_eq!([get("/"), get("/file")], [200, 200], "{required}");
        squall.api().resume();
        assert_eq!([get("/"), get("/file")], [418, 418], "{required}");
        // Without a state directory, the file asks for a lease all the same.
        let bare = Squall::start(&settings);
        let expected = if required.is_empty() { 418 } else { 200 };
        assert_eq!(RawClient::connect(bare.to_b()).get("/file").status, expected);
        assert_eq!(reason(&bare), if required.is_empty() { Value::Null } else { json!(why) });
    }
}

#[test]
fn a_lease_that_was_given_back_is_gone() {
    let origin = Origin::ok();
    let squall = Squall::start(&Settings::http(origin.address).with("lease: {ttl: 2s}"));
    squall.api().rule("r", &abort());
    take(&squall, "ci", "1s");
    squall.api().resume();
    assert_eq!(answer(&squall), 418);
    let give_back = |holder: &str| {
        let body = json!({ "holder": holder }).to_string();
        squall.api().call("DELETE", "/v1/lease", &[], &body).status
    };
    assert_eq!(give_back("somebody"), 409);
    assert_eq!(answer(&squall), 418);
    assert_eq!(give_back("ci"), 200);
    assert_eq!((answer(&squall), reason(&squall)), (200, json!("the lease of ci was given back")));
    // A rehearsal where nobody has to hold one goes on without.
    let free = Squall::start(&Settings::http(origin.address));
    free.api().rule("r", &abort());
    take(&free, "ci", "1s");
    assert_eq!(free.api().delete("/v1/lease").status, 200);
    pause(Duration::from_millis(1200));
    assert_eq!((answer(&free), reason(&free)), (418, Value::Null));
}

#[test]
fn no_renewal_moves_the_kill_switch() {
    let origin = Origin::ok();
    let squall = Squall::start(&Settings::http(origin.address));
    squall.api().rule("r", &abort());
    let _watcher = Watcher::start(&squall, "ci", "1s");
    assert_eq!(answer(&squall), 418);
    squall.api().halt();
    pause(Duration::from_secs(2));
    assert_eq!((reason(&squall), answer(&squall)), (json!("test"), 200));
    squall.api().resume();
    squall.signal("USR1");
    eventually("halted", PATIENCE, || (reason(&squall) == "SIGUSR1").then_some(()));
    pause(Duration::from_secs(1));
    assert_eq!((reason(&squall), answer(&squall)), (json!("SIGUSR1"), 200));
}

#[test]
fn a_file_that_begins_to_ask_for_a_lease_halts_until_there_is_one() {
    let origin = Origin::ok();
    let settings = Settings::http(origin.address).with("rules: [{name: r, percentage: 100, fault: {abort: 418}}]");
    let squall = Squall::start(&settings);
    assert_eq!(answer(&squall), 418);
    let text = std::fs::read_to_string(squall.file()).unwrap();
    std::fs::write(squall.file(), format!("{text}lease: {{ttl: 5s}}\n")).unwrap();
    eventually("no faults", PATIENCE, || (answer(&squall) == 200).then_some(()));
    assert_eq!(reason(&squall), "nobody holds the lease");
    let refused = squall.api().put("/v1/lease", r#"{"holder": "ci", "ttl": "6s"}"#);
    assert_eq!(refused.status, 422, "{}", refused.text());
    assert!(refused.text().contains("write at most 5s"), "{}", refused.text());
    let answer_without_ttl = squall.api().put("/v1/lease", r#"{"holder": "ci"}"#);
    assert_eq!(answer_without_ttl.json()["lease"]["ttl"], "5s");
    squall.api().resume();
    assert_eq!(answer(&squall), 418);
    let left = squall.api().metrics().sum("squall_lease_remaining_seconds", &[]);
    assert!((3.0..=5.0).contains(&left), "{left}");
}

#[test]
fn what_is_no_lease_is_refused_and_changes_nothing() {
    let origin = Origin::ok();
    let squall = Squall::start(&Settings::http(origin.address));
    let api = squall.api();
    for (target, body, status) in [
        ("/v1/lease", json!({"ttl": "30s"}), 422),
        ("/v1/lease", json!({"holder": "", "ttl": "30s"}), 422),
        ("/v1/lease", json!({"holder": "a\nb", "ttl": "30s"}), 422),
        ("/v1/lease", json!({"holder": "x".repeat(101), "ttl": "30s"}), 422),
        ("/v1/lease", json!({"holder": "ci"}), 422),
        ("/v1/lease", json!({"holder": "ci", "ttl": 30}), 422),
        ("/v1/lease", json!({"holder": "ci", "ttl": "30"}), 422),
        ("/v1/lease", json!({"holder": "ci", "ttl": "100ms"}), 422),
        ("/v1/lease", json!({"holder": "ci", "ttl": "2h"}), 422),
        ("/v1/lease", json!({"holder": "ci", "ttl": "30s", "force": true}), 422),
        ("/v1/lease?dry_run=true", json!({"holder": "ci", "ttl": "30s"}), 200),
    ] {
        let answer = api.put(target, &body.to_string());
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
        assert!(lease(&squall)["lease"].is_null(), "{body}");
    }
    assert_eq!(api.put("/v1/lease", "").status, 400);
    assert_eq!(api.call("PUT", "/v1/lease", &["If-Match: \"99\""], r#"{"holder":"ci","ttl":"30s"}"#).status, 412);
    take(&squall, "ci", "30s");
    let refused = api.put("/v1/lease", r#"{"holder": "other", "ttl": "30s"}"#);
    assert_eq!(refused.status, 409);
    assert!(refused.text().contains("ci holds the lease for another"), "{}", refused.text());
    assert_eq!(api.json("/v1/status")["lease"]["holder"], "ci");
}

#[test]
fn a_lease_that_cannot_be_written_down_is_none() {
    let (origin, state) = (Origin::ok(), tempfile::tempdir().unwrap());
    let squall = Squall::start_keeping(&Settings::http(origin.address), state.path());
    // Nothing can be written where a directory has the name of the temporary file; a full disk is the same.
    let obstacle = state.path().join("state.json.new");
    std::fs::create_dir(&obstacle).unwrap();
    let refused = squall.api().put("/v1/lease", r#"{"holder": "ci", "ttl": "30s"}"#);
    assert_eq!(refused.status, 507, "{}", refused.text());
    assert_eq!((&lease(&squall)["lease"], reason(&squall)), (&Value::Null, Value::Null));
    std::fs::remove_dir(&obstacle).unwrap();
    take(&squall, "ci", "30s");
}

#[test]
fn the_command_line_speaks_of_it() {
    let origin = Origin::ok();
    let squall = Squall::start(&Settings::http(origin.address).with("lease: {ttl: 1m}"));
    squall.says("halted from the start");
    let control = squall.api().url();
    let run = |arguments: &[&str]| {
        let done = output(&[arguments, &["--control", &control]].concat());
        let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
        (done.status.code().unwrap(), said)
    };
    for (arguments, code, part) in [
        (&["lease"][..], 0, "nobody holds the lease, and faults flow only while somebody does; halted"),
        (&["resume"], 5, "take it first"),
        (&["lease", "renew", "ci run"], 0, "ci run holds the lease until"),
        (&["resume"], 0, "not halted"),
        (&["lease", "renew", "other"], 5, "ci run holds the lease for another"),
        (&["lease", "hold", "other"], 5, "ci run holds the lease for another"),
        (&["lease", "release", "other"], 5, "ci run holds the lease"),
        (&["lease", "release", "ci run"], 0, "the lease of ci run was given back"),
        (&["lease", "renew", "ci", "--ttl", "1h"], 3, "is not between 1s and 1m"),
        (&["lease", "renew", "ci", "--curl"], 0, "-X PUT"),
    ] {
        let (is, said) = run(arguments);
        assert!(is == code && said.contains(part), "{arguments:?}: {is} {said}");
    }
}
