//! What is refused, and why.

use std::time::Duration;

use serde_json::{Value, json};
use squall_integration::service::Manners;

use crate::world::{World, slow_b, two_seconds};

const PATIENCE: Duration = Duration::from_secs(30);

fn errors(answer: &Value) -> String {
    answer["errors"].to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn experiments_on_the_same_traffic_do_not_run_at_the_same_time() {
    let world = World::new(Manners::ROBUST, false, &[]).await;
    let _callers = world.callers(200);
    let one = slow_b("one", (1_000, 60_000), &two_seconds());
    let mut other = slow_b("other", (1_000, 1_000), &two_seconds());
    world.put(&one).await;
    world.put(&other).await;
    world.start("one").await;
    let (status, refused) = world.call("POST", "/v1/experiments/other/start".to_owned(), String::new()).await;
    assert_eq!(status, 409, "{refused:#}");
    assert!(refused["detail"].as_str().unwrap().contains("\"one\""), "{refused:#}");
    // On other traffic they may.
    other["spec"]["method"][0]["rules"][0]["match"]["path"] = json!("/elsewhere");
    world.put(&other).await;
    let (status, _) = world.call("POST", "/v1/experiments/other/start".to_owned(), String::new()).await;
    assert_eq!(status, 409, "a rule without a path can match it, too");
    for (method, path, body) in [
        ("POST", "/v1/experiments/one/start", String::new()),
        ("PUT", "/v1/experiments/one", one.to_string()),
        ("DELETE", "/v1/experiments/one", String::new()),
    ] {
        let (status, refused) = world.call(method, path.to_owned(), body).await;
        assert_eq!(status, 409, "{method} {path}: {refused:#}");
    }
    world.until("one", PATIENCE, |status| status["phase"] == "injecting").await;
    for (method, body) in [("DELETE", String::new()), ("PATCH", json!({"percentage": 100}).to_string())] {
        let (status, refused) = world.call(method, "/v1/rules/one-rule".to_owned(), body).await;
        assert!(status == 409 && errors(&refused).contains("experiments/one/stop"), "{refused:#}");
    }
    // Replacing all rules leaves those of experiments alone, and what was got can be put back.
    let rules = world.call("GET", "/v1/rules".to_owned(), String::new()).await.1;
    let (status, answer) = world.call("PUT", "/v1/rules".to_owned(), rules.to_string()).await;
    assert_eq!(status, 200, "{answer:#}");
    assert_eq!(world.rules().await, ["one-rule"]);
    let config = world.call("GET", "/v1/config".to_owned(), String::new()).await.1;
    assert!(config["rules"].is_null(), "{config:#}");
    let (status, answer) = world.call("PUT", "/v1/config".to_owned(), config.to_string()).await;
    assert_eq!(status, 200, "{answer:#}");
    assert_eq!(world.rules().await, ["one-rule"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_are_checked_whole_before_anything_starts() {
    let world = World::new(Manners::ROBUST, false, &[]).await;
    let mut document = slow_b("wrong", (1_000, 1_000), &two_seconds());
    document["spec"]["method"][0]["rules"][0]["match"]["cluster"] = json!("service-c");
    document["spec"]["method"][0]["rules"][0]["percentage"] = json!(101);
    document["spec"]["steady_state"][0]["condition"]["metric"] = json!("p42");
    document["spec"]["basline"] = json!("1s");
    let (status, refused) = world.call("PUT", "/v1/experiments/wrong".to_owned(), document.to_string()).await;
    assert!(status == 422 && errors(&refused).contains("did you mean \\\"baseline\\\""), "{refused:#}");
    document["spec"].as_object_mut().unwrap().remove("basline");
    let (status, refused) = world.call("PUT", "/v1/experiments/wrong".to_owned(), document.to_string()).await;
    let paths: Vec<&str> = refused["errors"].as_array().unwrap().iter().map(|e| e["path"].as_str().unwrap()).collect();
    assert_eq!(status, 422, "{refused:#}");
    for path in [
        "spec.method[0].rules[0].match.cluster",
        "spec.method[0].rules[0].percentage",
        "spec.steady_state[0].condition.metric",
    ] {
        assert!(paths.contains(&path), "{path} is not among {paths:?}");
    }
    for (method, path) in [
        ("GET", "/v1/experiments/none"),
        ("POST", "/v1/experiments/none/start"),
        ("GET", "/v1/experiments/none/report"),
    ] {
        assert_eq!(world.call(method, path.to_owned(), String::new()).await.0, 404, "{method} {path}");
    }
    let fine = slow_b("fine", (1_000, 1_000), &two_seconds());
    let dry = world.call("PUT", "/v1/experiments/fine?dry_run=true".to_owned(), fine.to_string()).await;
    assert_eq!(
        (dry.0, world.call("GET", "/v1/experiments".to_owned(), String::new()).await.1),
        (200, json!({"experiments": []}))
    );
    world.put(&fine).await;
    let (status, refused) = world.call("GET", "/v1/experiments/fine/report".to_owned(), String::new()).await;
    assert!(status == 404 && refused["detail"].as_str().unwrap().contains("has not run yet"), "{refused:#}");
    assert_eq!(world.call("POST", "/v1/experiments/fine/stop".to_owned(), String::new()).await.0, 409);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_says_what_would_be_reached_and_injects_nothing() {
    let world = World::new(Manners::ROBUST, false, &[]).await;
    let _callers = world.callers(200);
    world.put(&slow_b("planned", (1_000, 1_000), &two_seconds())).await;
    let (status, plan) =
        world.call("POST", "/v1/experiments/planned/start?dry_run=true".to_owned(), String::new()).await;
    assert_eq!(status, 200, "{plan:#}");
    let reach = &plan["rules"][0]["reaches"][0];
    assert_eq!((&reach["listener"], &reach["cluster"]), (&json!("to-b"), &json!("service-b")), "{plan:#}");
    let (rate, faults) = (reach["requests_per_second"].as_f64().unwrap(), reach["faults_per_second"].as_f64().unwrap());
    assert!((50.0..400.0).contains(&rate) && (faults - rate * 0.05).abs() < 1e-6, "{plan:#}");
    assert!(world.rules().await.is_empty());
    assert_eq!(world.status("planned").await["phase"], "idle");
}
