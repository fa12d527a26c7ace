//! What outlives the process: rules made through the API, the kill switch, the audit; and what must not.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use squall_integration::origin::Origin;
use squall_integration::squall::output;
use squall_integration::wait::{PATIENCE, pause};
use squall_integration::{RawClient, Settings, Squall, eventually};

fn rule_names(squall: &Squall) -> Vec<String> {
    let rules = squall.api().json("/v1/rules");
    rules["rules"].as_array().unwrap().iter().map(|rule| rule["name"].as_str().unwrap().to_owned()).collect()
}

fn status(squall: &Squall) -> Value {
    squall.api().json("/v1/status")["state"].clone()
}

fn entries(squall: &Squall) -> Vec<Value> {
    squall.api().json("/v1/audit?limit=1000")["entries"].as_array().unwrap().clone()
}

fn abort(path: &str) -> Value {
    json!({"match": {"path": path}, "percentage": 100, "fault": {"abort": 418}})
}

fn answer(squall: &Squall, path: &str) -> u16 {
    RawClient::connect(squall.to_b()).get(path).status
}

#[test]
fn rules_and_audit_outlive_a_kill() {
    let (origin, state) = (Origin::ok(), tempfile::tempdir().unwrap());
    let settings = Settings::http(origin.address)
        .with("rules: [{name: of-file, percentage: 100, match: {path: /file}, fault: {abort: 418}}]");
    let squall = Squall::start_keeping(&settings, state.path());
    let api = squall.api();
    api.rule("a", &abort("/a"));
    api.rule("b", &abort("/b"));
    api.remove("b");
    assert_eq!(api.call("PATCH", "/v1/rules/of-file", &[], "{\"enabled\": false}").status, 200);
    let (generation, expires) = (api.generation(), api.rule_status("a")["expires_at"].clone());
    let before = entries(&squall);
    drop(squall);
    let squall = Squall::start_keeping(&settings, state.path());
    assert_eq!(rule_names(&squall), ["of-file", "a"]);
    assert_eq!([answer(&squall, "/a"), answer(&squall, "/b"), answer(&squall, "/file")], [418, 200, 200]);
    let again = squall.api().rule_status("a");
    assert_eq!(again["origin"], "api");
    // To the second: what is left is the least that any clock says.
    assert_eq!(again["expires_at"].as_str().unwrap()[..18], expires.as_str().unwrap()[..18]);
    assert!(squall.api().generation() > generation, "an ETag of before is none of now");
    let told = status(&squall);
    assert_eq!((&told["kept"], &told["error"], &told["damaged"]), (&json!(["a"]), &Value::Null, &json!([])), "{told}");
    // The audit goes on, with a new beginning.
    let after = entries(&squall);
    assert_eq!(after[..before.len()], before);
    assert_eq!(after[before.len()]["operation"], "start");
    assert_eq!(after[before.len()]["id"], json!(before.len() + 1));
    // What is deleted stays deleted.
    squall.api().remove("a");
    drop(squall);
    assert_eq!(rule_names(&Squall::start_keeping(&settings, state.path())), ["of-file"]);
}

#[test]
fn halt_latches_across_processes() {
    let (origin, state) = (Origin::ok(), tempfile::tempdir().unwrap());
    let settings =
        Settings::http(origin.address).with("rules: [{name: of-file, percentage: 100, fault: {abort: 418}}]");
    let squall = Squall::start_keeping(&settings, state.path());
    assert_eq!(answer(&squall, "/"), 418);
    squall.api().halt();
    drop(squall);
    for _ in 0..2 {
        let squall = Squall::start_keeping(&settings, state.path());
        let told = squall.api().json("/v1/status");
        assert_eq!((&told["halted"], &told["halt"]["reason"]), (&json!(true), &json!("test")), "{told}");
        assert_eq!(answer(&squall, "/"), 200, "from the first request on");
        squall.says("halted from the start");
    }
    let squall = Squall::start_keeping(&settings, state.path());
    squall.api().resume();
    drop(squall);
    let squall = Squall::start_keeping(&settings, state.path());
    assert_eq!((answer(&squall, "/"), &squall.api().json("/v1/status")["halted"]), (418, &json!(false)));
    // The signal, too.
    squall.signal("USR1");
    eventually("halted for good", PATIENCE, || {
        let saved = std::fs::read_to_string(state.path().join("state.json")).ok()?;
        saved.contains("SIGUSR1").then_some(())
    });
    drop(squall);
    assert_eq!(Squall::start_keeping(&settings, state.path()).api().json("/v1/status")["halt"]["reason"], "SIGUSR1");
}

#[test]
fn a_rule_whose_time_ended_meanwhile_does_not_come_back() {
    let (origin, state) = (Origin::ok(), tempfile::tempdir().unwrap());
    let settings = Settings::http(origin.address);
    let squall = Squall::start_keeping(&settings, state.path());
    for (name, ttl) in [("short", "700ms"), ("long", "1h")] {
        let mut rule = abort("/");
        rule["ttl"] = json!(ttl);
        rule["match"] = json!({"path": format!("/{name}")});
        squall.api().rule(name, &rule);
    }
    drop(squall);
    pause(Duration::from_millis(700));
    let squall = Squall::start_keeping(&settings, state.path());
    assert_eq!(rule_names(&squall), ["long"]);
    assert_eq!(status(&squall)["expired"], json!(["short"]));
    assert_eq!([answer(&squall, "/short"), answer(&squall, "/long")], [200, 418]);
}

#[test]
fn however_a_process_ends_and_clocks_are_set_a_rule_whose_time_is_over_does_not_come_back() {
    let origin = Origin::ok();
    let settings = Settings::http(origin.address);
    let hours = |n: i64| n * 3_600_000;
    std::thread::scope(|scope| {
        for end in ["TERM", "INT", "ABRT", "KILL", "USR1"] {
            for set_by in [0, hours(-10), hours(10)] {
                let settings = &settings;
                scope.spawn(move || end_and_start_again(settings, end, set_by));
            }
        }
    });
}

/// Ends a process by a signal, sets the wall clock, lets the time of its rule pass, and starts it again.
fn end_and_start_again(settings: &Settings, end: &str, set_by: i64) {
    let state = tempfile::tempdir().unwrap();
    let mut squall = Squall::start_keeping(settings, state.path());
    let mut rule = abort("/");
    rule["ttl"] = json!("1500ms");
    squall.api().rule("short", &rule);
    assert_eq!(answer(&squall, "/"), 418);
    squall.signal(end);
    if end == "USR1" {
        let file = state.path().join("state.json");
        let is_kept = || std::fs::read_to_string(&file).is_ok_and(|saved| saved.contains("SIGUSR1"));
        eventually("halted for good", PATIENCE, || is_kept().then_some(()));
    } else {
        squall.wait(PATIENCE);
    }
    drop(squall); // SIGKILL
    rewrite(state.path(), |saved| {
        for value in ["/then/wall_ms", "/rules/0/end/at_ms"] {
            let value = saved.pointer_mut(value).unwrap();
            *value = json!(value.as_i64().unwrap() - set_by);
        }
    });
    pause(Duration::from_millis(1500));
    let squall = Squall::start_keeping(settings, state.path());
    if end == "USR1" {
        assert_eq!(squall.api().json("/v1/status")["halt"]["reason"], "SIGUSR1");
        squall.api().resume();
    }
    let what = format!("{end}, the clock set by {set_by} ms");
    assert_eq!((rule_names(&squall), answer(&squall, "/")), (Vec::new(), 200), "{what}");
    assert_eq!(status(&squall)["expired"], json!(["short"]), "{what}");
}

#[test]
fn a_rule_whose_time_ends_while_all_is_halted_does_not_come_back_with_a_resume() {
    let origin = Origin::ok();
    let squall = Squall::start(&Settings::http(origin.address));
    let mut rule = abort("/");
    rule["ttl"] = json!("500ms");
    squall.api().rule("short", &rule);
    squall.signal("USR1");
    eventually("halted", PATIENCE, || (squall.api().json("/v1/status")["halted"] == true).then_some(()));
    eventually("it is over", PATIENCE, || rule_names(&squall).is_empty().then_some(()));
    squall.api().resume();
    assert_eq!(answer(&squall, "/"), 200);
}

/// Changes what is saved, as a machine with another clock would find it.
fn rewrite(state: &Path, change: impl FnOnce(&mut Value)) {
    let file = state.join("state.json");
    let text = std::fs::read_to_string(&file).unwrap();
    let (_, body) = text.split_once('\n').unwrap();
    let mut saved: Value = serde_json::from_str(body).unwrap();
    change(&mut saved);
    let body = saved.to_string();
    let digest = sha256(body.as_bytes());
    std::fs::write(&file, format!("{{\"squall_state\":1,\"sha256\":\"{digest}\"}}\n{body}\n")).unwrap();
}

fn sha256(bytes: &[u8]) -> String {
    let suite = rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
    let provider = suite.tls13().unwrap().common.hash_provider;
    let digest = provider.hash(bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn clocks_that_were_set_prolong_nothing() {
    let (origin, settings) = (Origin::ok(), Settings::http);
    let settings = settings(origin.address);
    let minutes = |n: u64| n * 60_000;
    // How the clocks of the next process differ from those that wrote: by how much the wall clock was set forward, whether
    // the machine was started again; and what is left of an hour after half of it, at most.
    for (forward_ms, is_new_start, left) in [
        (0_i64, false, Some(minutes(30))),
        (-(minutes(600) as i64), false, Some(minutes(30))),
        (-(minutes(600) as i64), true, Some(minutes(60))),
        (minutes(20) as i64, true, Some(minutes(10))),
        (minutes(31) as i64, false, None),
    ] {
        let state = tempfile::tempdir().unwrap();
        let squall = Squall::start_keeping(&settings, state.path());
        let mut rule = abort("/a");
        rule["ttl"] = json!("1h");
        squall.api().rule("a", &rule);
        drop(squall);
        rewrite(state.path(), |saved| {
            // It was written half an hour ago, by this clock; which was set since.
            let back = minutes(30) as i64 + forward_ms;
            let shift = |value: &mut Value, by: i64| *value = json!(value.as_i64().unwrap() - by);
            shift(&mut saved["then"]["wall_ms"], back);
            shift(&mut saved["rules"][0]["end"]["at_ms"], back);
            shift(&mut saved["then"]["boot_ms"], minutes(30) as i64);
            if saved["then"]["boot_ms"].as_i64().unwrap() < 0 {
                // A machine that runs for less than half an hour.
                saved["rules"][0]["end"]["left_ms"] = json!(if is_new_start { minutes(60) } else { minutes(30) });
                saved["then"]["boot_ms"] = json!(0);
                saved["then"]["boot"] = json!("another");
            }
            if is_new_start {
                saved["then"]["boot"] = json!("another");
            }
        });
        let squall = Squall::start_keeping(&settings, state.path());
        let what = format!("set by {forward_ms} ms, new start: {is_new_start}");
        let Some(left) = left else {
            assert!(rule_names(&squall).is_empty(), "{what}");
            assert_eq!(answer(&squall, "/a"), 200, "{what}");
            continue;
        };
        let end = squall.api().rule_status("a")["expires_at"].as_str().unwrap().to_owned();
        let end = humantime_seconds(&end) - unix_seconds();
        let left = left / 1000;
        assert!(end <= left + 1 && end + 15 >= left, "{what}: {end} s are left of {left}");
    }
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// Seconds of a time such as 2026-01-02T03:04:05.678Z (the days by the civil calendar).
fn humantime_seconds(text: &str) -> u64 {
    let number = |range: std::ops::Range<usize>| text[range].parse::<u64>().unwrap();
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    days * 86_400 + number(11..13) * 3600 + number(14..16) * 60 + number(17..19)
}

#[test]
fn damaged_files_are_set_aside_and_told() {
    let (origin, state) = (Origin::ok(), tempfile::tempdir().unwrap());
    let settings = Settings::http(origin.address);
    let squall = Squall::start_keeping(&settings, state.path());
    squall.api().rule("a", &abort("/a"));
    squall.api().halt();
    drop(squall);
    let cut = |name: &str| {
        let file = state.path().join(name);
        let text = std::fs::read(&file).unwrap();
        std::fs::write(&file, &text[..text.len() / 2]).unwrap();
    };
    cut("state.json");
    let audit = std::fs::read_to_string(state.path().join("audit.jsonl")).unwrap();
    std::fs::write(state.path().join("audit.jsonl"), audit.replacen("\"id\":2", "\"ix\":2", 1)).unwrap();
    let squall = Squall::start_keeping(&settings, state.path());
    assert!(rule_names(&squall).is_empty());
    assert_eq!(answer(&squall, "/a"), 200);
    let told = status(&squall);
    let damaged: Vec<&str> = told["damaged"].as_array().unwrap().iter().map(|d| d["file"].as_str().unwrap()).collect();
    for (name, file) in ["audit.jsonl.damaged-", "state.json.damaged-"].iter().zip(&damaged) {
        assert!(file.contains(name) && Path::new(file).exists(), "{told}");
    }
    assert_eq!(damaged.len(), 2, "{told}");
    squall.says("is damaged");
    // Everything works on.
    squall.api().rule("b", &abort("/b"));
    drop(squall);
    let squall = Squall::start_keeping(&settings, state.path());
    assert_eq!((rule_names(&squall), status(&squall)["damaged"].clone()), (vec!["b".to_owned()], json!([])));
    assert_eq!(entries(&squall)[1]["operation"], "putRule");
    // A line that was not finished is no damage: nobody was told of it.
    drop(squall);
    use std::io::Write as _;
    let mut file = std::fs::OpenOptions::new().append(true).open(state.path().join("audit.jsonl")).unwrap();
    file.write_all(b"{\"id\":99,\"at\":\"20").unwrap();
    let squall = Squall::start_keeping(&settings, state.path());
    assert_eq!(status(&squall)["damaged"], json!([]));
    let text = std::fs::read_to_string(state.path().join("audit.jsonl")).unwrap();
    assert!(text.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{text}");
}

#[test]
fn a_rule_that_does_not_fit_any_more_is_left_out_and_told() {
    let (origin, state) = (Origin::ok(), tempfile::tempdir().unwrap());
    let squall = Squall::start_keeping(&Settings::http(origin.address), state.path());
    let mut of_b = abort("/b");
    of_b["match"]["cluster"] = json!("service-b");
    squall.api().rule("b", &of_b);
    squall.api().rule("a", &abort("/a"));
    drop(squall);
    let renamed =
        Settings::new().listener("to-b", "http", "service-c").cluster("service-c", "http1", &[origin.address]);
    let squall = Squall::start_keeping(&renamed, state.path());
    assert_eq!(rule_names(&squall), ["a"]);
    let told = status(&squall);
    assert_eq!(told["unfit"][0]["rule"], "b", "{told}");
    assert!(told["unfit"][0]["detail"].as_str().unwrap().contains("service-b"), "{told}");
}

#[test]
fn a_directory_has_one_process() {
    let (origin, state) = (Origin::ok(), tempfile::tempdir().unwrap());
    let squall = Squall::start_keeping(&Settings::http(origin.address), state.path());
    let path = state.path().to_str().unwrap();
    let done = output(&["run", "-c", squall.file().to_str().unwrap(), "--state-dir", path]);
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains(path) && said.contains(&format!("process {}", squall.pid())), "{said}");
    assert_eq!(answer(&squall, "/"), 200, "the first one is unharmed");
    let done = output(&["run", "-c", squall.file().to_str().unwrap(), "--state-dir", "/proc/none"]);
    assert_eq!(done.status.code(), Some(1), "{}", String::from_utf8_lossy(&done.stderr));
    // Without the option nothing is written, and `/v1/status` says so.
    let bare = Squall::start(&Settings::http(origin.address));
    assert!(status(&bare).is_null());
}

#[test]
fn a_disk_that_takes_nothing_keeps_faults_out_and_lets_them_go() {
    let (origin, state) = (Origin::ok(), tempfile::tempdir().unwrap());
    let settings = Settings::http(origin.address);
    let squall = Squall::start_keeping(&settings, state.path());
    squall.api().rule("a", &abort("/a"));
    squall.api().rule("b", &abort("/b"));
    // Nothing can be written where a directory has the name of the temporary file; a full disk is the same.
    std::fs::create_dir(state.path().join("state.json.new")).unwrap();
    let refused = squall.api().put("/v1/rules/c", &abort("/c").to_string());
    assert_eq!(refused.status, 507, "{}", refused.text());
    assert_eq!([answer(&squall, "/a"), answer(&squall, "/c")], [418, 200]);
    assert!(status(&squall)["error"].as_str().unwrap().contains("state.json"));
    assert_eq!(entries(&squall).last().unwrap()["status"], 507);
    // Away with faults goes all the same, and they do not come back.
    squall.api().remove("a");
    assert_eq!(squall.api().call("PATCH", "/v1/rules/b", &[], "{\"enabled\": false}").status, 200);
    assert_eq!([answer(&squall, "/a"), answer(&squall, "/b")], [200, 200]);
    let halted = squall.api().post("/v1/halt", "");
    assert_eq!(halted.status, 507, "it is halted, but would not stay so");
    assert_eq!(squall.api().json("/v1/status")["halted"], true);
    assert!(!state.path().join("state.json").exists(), "rather no state than an outdated one");
    std::fs::remove_dir(state.path().join("state.json.new")).unwrap();
    squall.api().resume();
    assert_eq!(squall.api().put("/v1/rules/c", &abort("/c").to_string()).status, 201);
    assert!(status(&squall)["error"].is_null());
    drop(squall);
    let squall = Squall::start_keeping(&settings, state.path());
    assert_eq!(rule_names(&squall), ["b", "c"]);
    assert_eq!([answer(&squall, "/b"), answer(&squall, "/c")], [200, 418]);
}

#[test]
fn a_disk_that_hangs_holds_no_fault_in_force() {
    let (origin, state) = (Origin::ok(), tempfile::tempdir().unwrap());
    let squall = Squall::start_keeping(&Settings::http(origin.address), state.path());
    let api = squall.api();
    api.rule("gone", &abort("/gone"));
    api.rule("halted", &abort("/halted"));
    let mut short = abort("/short");
    short["ttl"] = json!("1s");
    api.rule("short", &short);
    // Who opens a pipe that nobody reads waits.
    let pipe = state.path().join("state.json.new");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    std::thread::scope(|scope| {
        // In force at once; acknowledged when it is written down.
        let deleted = scope.spawn(|| api.delete("/v1/rules/gone").status);
        eventually("the rule is gone", PATIENCE, || (answer(&squall, "/gone") == 200).then_some(()));
        assert_eq!(answer(&squall, "/halted"), 418);
        eventually("a rule ends", PATIENCE, || (answer(&squall, "/short") == 200).then_some(()));
        let halted = scope.spawn(|| api.post("/v1/halt", "").status);
        eventually("halted", PATIENCE, || (answer(&squall, "/halted") == 200).then_some(()));
        assert!(!deleted.is_finished() && !halted.is_finished(), "nobody was told yet");
        // The disk works again. (What is written into the pipe is lost, and then a file takes its place.)
        let reader = std::fs::OpenOptions::new().read(true).open(&pipe).unwrap();
        let _who_wrote_may_be_faster = std::fs::remove_file(&pipe);
        drop(reader);
        let _told = (deleted.join().unwrap(), halted.join().unwrap());
    });
    eventually("all is written down", PATIENCE, || {
        squall.api().post("/v1/halt", "");
        status(&squall)["error"].is_null().then_some(())
    });
    drop(squall);
    let squall = Squall::start_keeping(&Settings::http(origin.address), state.path());
    assert_eq!(rule_names(&squall), ["halted"]);
    assert_eq!(squall.api().json("/v1/status")["halted"], true);
}
