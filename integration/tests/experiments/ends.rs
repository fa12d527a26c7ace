//! How runs end before their time, and that no fault outlives them.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use squall_integration::service::Manners;

use crate::world::{World, slow_b};

const PATIENCE: Duration = Duration::from_secs(30);

/// Every call is held, until somebody lets go of it.
fn held() -> Value {
    json!({"percentage": 100, "fault": {"blackhole": true}})
}

/// A run whose faults flow.
async fn injecting(world: &World, document: &Value) {
    world.put(document).await;
    let name = document["metadata"]["name"].as_str().unwrap();
    world.start(name).await;
    world.until(name, PATIENCE, |status| status["injected"].as_u64().unwrap() > 0).await;
    assert_eq!(world.rules().await, [format!("{name}-rule")]);
}

fn patient(name: &str) -> Value {
    let mut document = slow_b(name, (1_000, 60_000), &held());
    document["spec"]["expect"] = json!({"stop_on_harm": false});
    document
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stop_ends_faults_at_once() {
    let world = World::new(Manners::ROBUST, false, &[]).await;
    let callers = world.callers(200);
    injecting(&world, &patient("stopped")).await;
    let begun = Instant::now();
    let stop = world.call("POST", "/v1/experiments/stopped/stop".to_owned(), json!({"reason": "enough"}).to_string());
    assert_eq!(stop.await.0, 202);
    while !world.rules().await.is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(1), "faults go on");
    }
    let report = world.report("stopped", PATIENCE).await;
    assert_eq!(report["aborted"]["by"], "stop", "{report:#}");
    assert_eq!((&report["aborted"]["reason"], &report["verdict"]), (&json!("enough"), &json!("inconclusive")));
    drop(callers);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_kill_switch_is_above_all() {
    let world = World::new(Manners::ROBUST, false, &[]).await;
    let _callers = world.callers(200);
    injecting(&world, &patient("halted")).await;
    assert_eq!(world.call("POST", "/v1/halt".to_owned(), json!({"reason": "red button"}).to_string()).await.0, 200);
    let report = world.report("halted", PATIENCE).await;
    assert_eq!(report["aborted"]["by"], "halt", "{report:#}");
    assert!(report["aborted"]["reason"].as_str().unwrap().contains("red button"));
    assert!(world.rules().await.is_empty(), "resume does not bring them back");
    let (status, refused) = world.call("POST", "/v1/experiments/halted/start".to_owned(), String::new()).await;
    assert_eq!(status, 409, "{refused:#}");
    assert!(refused["detail"].as_str().unwrap().contains("resume"), "{refused:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guard_releases_the_last_fault_within_a_second() {
    let world = World::new(Manners { fallback: false, ..Manners::ROBUST }, false, &[]).await;
    let _callers = world.callers(200);
    let mut document = patient("guarded");
    document["spec"]["guards"] = json!([{"name": "errors", "condition": {"metric": "error_rate", "direction": "inbound", "above": "10%", "for": "1s"}}]);
    injecting(&world, &document).await;
    let report = world.report("guarded", PATIENCE).await;
    assert_eq!((&report["aborted"]["by"], &report["verdict"]), (&json!("guard"), &json!("failed")), "{report:#}");
    let within = report["aborted"]["released_within_milliseconds"].as_u64().unwrap();
    assert!(within <= 1_000, "{within} ms");
    println!("a guard's trip to the last fault released: {within} ms");
    assert!(world.rules().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn harm_beyond_doubt_ends_it_early() {
    let world = World::new(Manners::FRAGILE, false, &["--seed", "7"]).await;
    let _callers = world.callers(400);
    let document = slow_b("harmful", (1_000, 60_000), &json!({"percentage": 5, "fault": {"abort": 503}}));
    let report = world.run(&document, PATIENCE).await;
    assert_eq!((&report["aborted"]["by"], &report["verdict"]), (&json!("harm"), &json!("failed")), "{report:#}");
    assert!(report["harm"]["evidence"].as_f64().unwrap() >= 20.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_leaves_no_fault_and_says_so() {
    let state = tempfile::tempdir().unwrap();
    let arguments = ["--state-dir", state.path().to_str().unwrap()];
    let world = World::new(Manners::ROBUST, false, &arguments).await;
    let callers = world.callers(200);
    injecting(&world, &patient("restarted")).await;
    drop(callers);
    // As with kill -9.
    tokio::task::spawn_blocking(move || drop(world)).await.unwrap();
    let world = World::new(Manners::ROBUST, false, &arguments).await;
    assert!(world.rules().await.is_empty());
    let status = world.status("restarted").await;
    assert_eq!((&status["phase"], &status["verdict"]), (&json!("aborted"), &json!("inconclusive")), "{status:#}");
    let report = world.report("restarted", PATIENCE).await;
    assert_eq!(report["aborted"]["by"], "restart", "{report:#}");
    // It can run again, with the next number.
    let _callers = world.callers(200);
    world.start("restarted").await;
    assert_eq!(world.until("restarted", PATIENCE, |status| status["injected"].as_u64().unwrap() > 0).await["run"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_stands_in_the_timeline() {
    let world = World::new(Manners::ROBUST, false, &[]).await;
    let _callers = world.callers(200);
    let mut document = slow_b("told", (1_000, 1_200), &json!({"percentage": 10, "fault": {"delay": "20ms"}}));
    document["spec"]["method"][0]["ramp"] = json!({"from": 2, "over": "600ms", "stages": 3});
    world.put(&document).await;
    world.start("told").await;
    world.until("told", PATIENCE, |status| status["phase"] == "injecting").await;
    let note =
        world.call("POST", "/v1/experiments/told/notes".to_owned(), json!({"text": "nobody noticed"}).to_string());
    assert_eq!(note.await.0, 202);
    let report = world.report("told", PATIENCE).await;
    let told: Vec<String> = report["timeline"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| format!("{}: {}", event["kind"].as_str().unwrap(), event["text"].as_str().unwrap()))
        .collect();
    for expected in [
        "rules: slow: stage 1 of 3",
        "rules: slow: stage 3 of 3",
        "rules: slow: the full share",
        "note: nobody noticed",
        "phase: done",
    ] {
        assert!(told.iter().any(|line| line == expected), "{expected} is not in {told:#?}");
    }
    let phases: Vec<&str> =
        report["phases"].as_array().unwrap().iter().map(|span| span["phase"].as_str().unwrap()).collect();
    assert_eq!(phases, ["baseline", "injecting", "recovering"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scheduled_run_starts_by_itself_and_once() {
    let world = World::new(Manners::ROBUST, false, &[]).await;
    let _callers = world.callers(200);
    let mut document = slow_b("scheduled", (1_000, 1_000), &json!({"percentage": 10, "fault": {"delay": "20ms"}}));
    let later =
        std::process::Command::new("date").args(["-u", "-d", "+3 seconds", "+%Y-%m-%dT%H:%M:%SZ"]).output().unwrap();
    document["spec"]["schedule"] = json!({"at": String::from_utf8(later.stdout).unwrap().trim()});
    world.put(&document).await;
    let status = world.status("scheduled").await;
    assert!(status["phase"] == "idle" && status["next_start_at"].is_string(), "{status:#}");
    let report = world.report("scheduled", PATIENCE).await;
    assert_eq!((&report["run"], &report["verdict"]), (&json!(1), &json!("held")), "{report:#}");
    let status = world.status("scheduled").await;
    assert!(status["next_start_at"].is_null() && status["phase"] == "done", "{status:#}");
}
