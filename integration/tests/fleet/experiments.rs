//! Experiments that a controller orders.

use std::time::Duration;

use serde_json::{Value, json};
use squall_integration::scene::{Scene, slow_b};
use squall_integration::service::Manners;
use squall_integration::wait::{PATIENCE, pause};
use squall_integration::{Controller, Manner, eventually};

use crate::{LEASE, of};

fn scene(controller: &Controller, arguments: &[&str]) -> Scene {
    let flags = controller.flags();
    let flags: Vec<&str> = flags.iter().map(String::as_str).chain(arguments.iter().copied()).collect();
    Scene::under(Manners::ROBUST, &flags)
}

/// Steady on a busy machine, too: no request fails.
fn experiment(name: &str, hold_ms: u64) -> Value {
    let mut document = slow_b(name, (2_000, hold_ms), &json!({"percentage": 50, "fault": {"delay": "20ms"}}));
    document["spec"]["steady_state"].as_array_mut().unwrap().retain(|statement| statement["name"] == "no-errors");
    document["spec"]["minimum_requests"] = json!(10);
    document
}

fn ordered(run: &str, document: &Value) -> Value {
    json!({"experiments": [{"run": run, "document": document}]})
}

fn rules(scene: &Scene) -> Vec<String> {
    let rules = scene.squall.api().json("/v1/rules");
    rules["rules"].as_array().unwrap().iter().map(|rule| rule["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_experiment_runs_once_and_is_reported() {
    let state = tempfile::tempdir().unwrap();
    let controller = Controller::start(LEASE);
    let scene = scene(&controller, &["--state-dir", state.path().to_str().unwrap()]);
    let document = experiment("slow", 4_000);
    controller.order_and_wait("1", ordered("uid/1", &document));
    let phase = |wanted: &'static str| move |report: &Value| of(report, "experiments", "slow")["phase"] == wanted;
    controller.until("it injects", phase("injecting"));
    let whole = scene.squall.api().json("/v1/experiments/slow");
    assert_eq!(whole["status"]["ordered"], true);
    for (method, path, body) in [
        ("PUT", "/v1/experiments/slow", document.to_string()),
        ("DELETE", "/v1/experiments/slow", String::new()),
        ("POST", "/v1/experiments/slow/start", String::new()),
    ] {
        let refused = scene.squall.api().call(method, path, &[], &body);
        assert!(
            refused.status == 409 && refused.text().contains("comes from the controller"),
            "{method}: {}",
            refused.text()
        );
    }
    let report = controller.until("it has ended", phase("done")).report;
    let told = of(&report, "experiments", "slow");
    println!("{told:#}");
    assert!(["held", "inconclusive"].contains(&told["verdict"].as_str().unwrap()) && told["problem"].is_null());
    assert!(told["injected"].as_u64().unwrap() > 0 && !told["reasons"].as_array().unwrap().is_empty(), "{told:#}");
    // Ordered again, as other orders are: it does not run again. Another run of it does.
    controller.order_and_wait("2", ordered("uid/1", &document));
    pause(Duration::from_millis(300));
    assert_eq!(scene.squall.api().json("/v1/experiments/slow")["status"]["run"], 1);
    controller.order_and_wait("3", ordered("uid/2", &document));
    controller.until("it runs again", |report| {
        !["done", "pending"].contains(&of(report, "experiments", "slow")["phase"].as_str().unwrap_or("pending"))
    });
    // Withdrawn, it ends at once, and is gone.
    controller.order_and_wait("4", json!({}));
    eventually("it is gone", PATIENCE, || (scene.squall.api().get("/v1/experiments/slow").status == 404).then_some(()));
    assert_eq!(
        (rules(&scene), controller.questions().pop().unwrap().report["experiments"].clone()),
        (vec![], json!([]))
    );
    let kept: Vec<String> = std::fs::read_dir(state.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("slow"))
        .collect();
    assert_eq!(kept, Vec::<String>::new(), "nothing of it outlives the process");
}

#[test]
fn silence_ends_an_experiment_and_it_does_not_begin_again() {
    let controller = Controller::start(LEASE);
    let scene = scene(&controller, &[]);
    controller.order_and_wait("1", ordered("uid/1", &experiment("slow", 60_000)));
    eventually("it injects", PATIENCE, || (rules(&scene) == ["slow-rule"]).then_some(()));
    controller.be(Manner::Silent);
    let last = controller.last_answer();
    eventually("its rules end", PATIENCE, || rules(&scene).is_empty().then_some(()));
    let after = last.elapsed();
    println!("its rules ended {after:?} after the last answer");
    assert!(after < LEASE + Duration::from_millis(1300), "{after:?}");
    eventually("it is gone", PATIENCE, || (scene.squall.api().get("/v1/experiments/slow").status == 404).then_some(()));
    controller.be(Manner::Well);
    let report = controller.followed("1").report;
    let told = of(&report, "experiments", "slow");
    assert_eq!((&told["phase"], &told["verdict"]), (&json!("aborted"), &json!("inconclusive")), "{told:#}");
    assert!(told["reasons"].to_string().contains("the controller fell silent"), "{told:#}");
    pause(Duration::from_millis(500));
    assert!(rules(&scene).is_empty() && scene.squall.api().get("/v1/experiments/slow").status == 404);
}

#[test]
fn what_cannot_run_says_why_and_runs_when_it_can() {
    let controller = Controller::start(LEASE);
    let scene = scene(&controller, &[]);
    let api = scene.squall.api();
    assert_eq!(api.put("/v1/experiments/taken", &experiment("taken", 1_000).to_string()).status, 201);
    let mut asks = experiment("asks", 1_000);
    asks["spec"]["guards"] = json!([{"name": "g", "condition": {"probe": "http://127.0.0.1:1/"}}]);
    let mut wrong = experiment("wrong", 1_000);
    wrong["spec"]["method"][0]["rules"][0]["match"]["cluster"] = json!("service-z");
    let all: Vec<Value> =
        [("t", experiment("taken", 1_000)), ("a", asks), ("w", wrong), ("s", experiment("slow", 60_000))]
            .into_iter()
            .map(|(run, document)| json!({"run": run, "document": document}))
            .collect();
    api.halt();
    controller.order_and_wait("1", json!({"experiments": all}));
    let report = controller.until("they are reported", |report| of(report, "experiments", "slow").is_object()).report;
    for (name, part) in [
        ("taken", "there is an experiment of this name here already"),
        ("slow", "all faults are halted"),
        ("wrong", "service-z"),
    ] {
        let told = of(&report, "experiments", name);
        assert!(told["problem"].as_str().is_some_and(|why| why.contains(part)), "{told:#}");
        assert_eq!(told["phase"], "pending");
    }
    api.resume();
    eventually("it injects", PATIENCE * 2, || (rules(&scene) == ["slow-rule"]).then_some(()));
    let report =
        controller.until("it is reported", |report| of(report, "experiments", "slow")["problem"].is_null()).report;
    let told = of(&report, "experiments", "asks");
    assert!(told["problem"].as_str().is_some_and(|why| why.contains("ask other addresses")), "{told:#}");
    // People may stop it here; then it has run.
    assert_eq!(api.post("/v1/experiments/slow/stop", "{\"reason\": \"lunch\"}").status, 202);
    let told =
        controller.until("it has ended", |report| of(report, "experiments", "slow")["verdict"].is_string()).report;
    assert!(of(&told, "experiments", "slow")["reasons"].to_string().contains("lunch"), "{told:#}");
}
