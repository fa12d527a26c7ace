//! What is concluded of services that are known to be good or bad.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use serde_json::{Value, json};
use squall_integration::origin::Origin;
use squall_integration::service::{Asked, Manners};

use crate::world::{World, slow_b, two_seconds};

const PATIENCE: Duration = Duration::from_secs(60);
/// Requests a second, and how long faults flow: 2,000 requests.
const RATE: u32 = 250;
const HOLD: u64 = 8_000;
/// How often a run is made when the machine was too busy for it.
const TRIES: u32 = 4;

/// So many runs, each in a Squall of its own with a seed of its own.
async fn seeded(n: u64, manners: Manners, document: Value) -> Vec<Value> {
    let runs = (1..=n).map(|seed| {
        let document = document.clone();
        tokio::spawn(async move {
            let mut report = run(seed, manners, &document).await;
            for _ in 1..TRIES {
                if !is_starved(&report) {
                    break;
                }
                println!("seed {seed} once more: requests that nothing was done to were slow");
                report = run(seed, manners, &document).await;
            }
            report
        })
    });
    let mut reports = Vec::new();
    for run in runs.collect::<Vec<_>>() {
        reports.push(run.await.unwrap());
    }
    reports
}

async fn run(seed: u64, manners: Manners, document: &Value) -> Value {
    let world = World::new(manners, false, &["--seed", &seed.to_string(), "--workers", "1"]).await;
    let _callers = world.callers(RATE);
    let report = world.run(document, PATIENCE).await;
    tokio::task::spawn_blocking(move || drop(world)).await.unwrap();
    report
}

/// Whether requests were slow that had nothing to do with the fault: then the machine was busy with something else, and what was
/// measured is that.
fn is_starved(report: &Value) -> bool {
    let of_groups = ["baseline", "control", "others"].map(|group| &report["groups"][group]["p99"]);
    let after = &report["steady_state"][0]["recovering"]["value"];
    of_groups.into_iter().chain([after]).any(|p99| p99.as_f64().is_some_and(|p99| p99 > 0.1))
}

/// How many runs a test makes; `EXPERIMENT_RUNS` says otherwise.
fn runs(default: u64) -> u64 {
    std::env::var("EXPERIMENT_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(default)
}

fn tell(what: &str, reports: &[Value]) {
    let count = |verdict: &str| reports.iter().filter(|report| report["verdict"] == verdict).count();
    let n = reports.len();
    println!(
        "{what}: {n} runs, {} held, {} failed, {} inconclusive",
        count("held"),
        count("failed"),
        count("inconclusive")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_robust_service_holds_in_every_run() {
    let reports = seeded(runs(50), Manners::ROBUST, slow_b("slow-b", (1_000, HOLD), &two_seconds())).await;
    tell("robust", &reports);
    for report in &reports {
        assert_eq!(report["verdict"], "held", "{report:#}");
        let faulted = &report["groups"]["faulted"];
        assert!(
            faulted["requests"].as_u64().unwrap() > 40 && faulted["degraded"]["share"].as_f64().unwrap() > 0.9,
            "{faulted:#}"
        );
        assert!(report["join"]["share"].as_f64().unwrap() > 0.95, "{:#}", report["join"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fragile_service_fails_in_every_run() {
    let reports = seeded(runs(50), Manners::FRAGILE, slow_b("slow-b", (1_000, HOLD), &two_seconds())).await;
    tell("fragile", &reports);
    for report in &reports {
        assert_eq!(report["verdict"], "failed", "{report:#}");
        assert!(
            report["harm"]["is_called"] == true || report["steady_state"][0]["injecting"]["held"] == false,
            "{report:#}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_that_does_nothing_does_no_harm() {
    let nothing = json!({"percentage": 5, "fault": {"delay": "0s"}});
    let reports = seeded(runs(20), Manners::FRAGILE, slow_b("nothing", (1_000, HOLD), &nothing)).await;
    tell("A/A", &reports);
    let harmed = reports.iter().filter(|report| report["harm"]["is_called"] == true).count();
    assert!(harmed * 20 <= reports.len(), "{harmed} of {}", reports.len());
    for report in &reports {
        assert!(report["groups"]["faulted"]["requests"].as_u64().unwrap() > 40, "{report:#}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_share_of_the_traces_the_same_is_concluded() {
    let rule = json!({"percentage": 10, "fault": {"delay": "2s"}});
    let mut document = slow_b("share", (2_000, HOLD), &rule);
    // Of the 475 exchanges a second that there are about.
    document["spec"]["joined_per_second"] = json!(200);
    for (manners, verdict) in [(Manners::ROBUST, "held"), (Manners::FRAGILE, "failed")] {
        let reports = seeded(runs(4).min(10), manners, document.clone()).await;
        tell(&format!("share, {verdict}"), &reports);
        for report in &reports {
            assert_eq!(report["verdict"], verdict, "{report:#}");
            let (join, faulted) = (&report["join"], &report["groups"]["faulted"]["requests"]);
            assert!(join["share"].as_f64().unwrap() > 0.95 && faulted.as_u64().unwrap() > 5, "{report:#}");
            let sampled = &join["sampled"];
            assert!(sampled["one_in"].as_u64().is_some_and(|n| matches!(n, 2 | 4 | 8)), "{join:#}");
            let rate = |field: &str| sampled[field].as_f64().unwrap();
            assert!(rate("joined_per_second") < 0.7 * rate("requests_per_second"), "{join:#}");
        }
    }
}

/// Of all requests while faults flow the share that got a `traceparent`, and the share that got an `x-request-id`; and the report.
async fn shares_with_ids(manners: Manners, rule: &Value) -> ([f64; 2], Value) {
    let mut document = slow_b("given", (2_000, HOLD), rule);
    document["spec"]["joined_per_second"] = json!(200);
    let world = World::new(manners, false, &["--seed", "7", "--workers", "1"]).await;
    let _callers = world.callers(RATE);
    world.put(&document).await;
    world.start("given").await;
    let counts = || {
        let Asked { all, with_trace, with_request_id } = &*world.asked;
        [all, with_trace, with_request_id].map(|count| count.load(Relaxed))
    };
    let now_in = |phase: &'static str| world.until("given", PATIENCE, move |status| status["phase"] == phase);
    now_in("injecting").await;
    let before = counts();
    now_in("recovering").await;
    let after = counts();
    let of = |index: usize| (after[index] - before[index]) as f64 / (after[0] - before[0]) as f64;
    ([of(1), of(2)], world.report("given", PATIENCE).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_not_looked_at_are_given_no_ids() {
    let rule = json!({"percentage": 10, "fault": {"delay": "2s"}});
    let instrumented = Manners { begins_traces: true, ..Manners::ROBUST };
    for manners in [Manners::ROBUST, instrumented] {
        let ([with_trace, with_request_id], report) = shares_with_ids(manners, &rule).await;
        let (join, one_in) = (&report["join"], report["join"]["sampled"]["one_in"].as_f64().unwrap());
        assert!(with_trace < 1.5 / one_in.min(4.0) && with_trace > 0.5 / one_in, "{with_trace}: {join:#}");
        assert_eq!(with_request_id, 0.0, "the trace is enough: {join:#}");
        // A's own traces of the others are not taken for calls that belong to nothing.
        assert!(join["share"].as_f64().unwrap() > 0.97 && join["calls"].as_u64().unwrap() > 100, "{join:#}");
        assert!(join["ids_added"].as_u64() >= join["requests"].as_u64(), "{join:#}");
        assert_eq!((&report["verdict"], &report["harm"]["method"]), (&json!("held"), &json!("joined")), "{report:#}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_a_rule_goes_by_the_trace_all_requests_are_given_one() {
    let rule = json!({"percentage": 10, "sample": {"mode": "sticky", "key": "trace"}, "fault": {"delay": "2s"}});
    let (shares, report) = shares_with_ids(Manners::ROBUST, &rule).await;
    assert_eq!(shares, [1.0; 2], "{:#}", report["join"]);
    assert!(report["join"]["sampled"]["one_in"].as_u64() >= Some(2), "{report:#}");
    let of = |field: &str| report["rules"][0][field].as_f64().unwrap();
    assert!((0.07..0.13).contains(&(of("injected") / of("matched"))), "of all calls, looked at or not: {report:#}");
    assert_eq!(report["verdict"], "held", "{report:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_goes_around_squall_says_nothing() {
    let world = World::new(Manners::ROBUST, true, &[]).await;
    let _callers = world.callers(RATE);
    let report = world.run(&slow_b("around", (1_000, 2_000), &two_seconds()), PATIENCE).await;
    assert_eq!(report["verdict"], "inconclusive", "{report:#}");
    let reasons = report["reasons"].to_string();
    assert!(reasons.contains("Squall"), "{reasons}");
    assert!(world.calls_of_b.load(Relaxed) > 100, "A called B all the same");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_traffic_nothing_is_injected() {
    let world = World::new(Manners::ROBUST, false, &[]).await;
    let report = world.run(&slow_b("silence", (1_000, 2_000), &two_seconds()), PATIENCE).await;
    assert_eq!(
        (&report["verdict"], &report["aborted"]["by"]),
        (&json!("inconclusive"), &json!("baseline")),
        "{report:#}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_steady_state_that_is_broken_before_keeps_faults_from_flowing() {
    let world = World::new(Manners::ROBUST, false, &[]).await;
    let _callers = world.callers(RATE);
    let mut document = slow_b("unsteady", (1_000, 2_000), &two_seconds());
    document["spec"]["steady_state"][0]["condition"]["below"] = json!("100us");
    let report = world.run(&document, PATIENCE).await;
    assert_eq!(
        (&report["verdict"], &report["aborted"]["by"]),
        (&json!("inconclusive"), &json!("baseline")),
        "{report:#}"
    );
    assert_eq!(report["rules"][0]["injected"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retries_are_counted_as_amplification() {
    let manners = Manners {
        timeout: Some(Duration::from_millis(60)),
        tries: 3,
        pause: Duration::from_millis(20),
        ..Manners::ROBUST
    };
    let world = World::new(manners, false, &["--seed", "3"]).await;
    let _callers = world.callers(RATE);
    let rule = json!({"percentage": 10, "sample": {"mode": "sticky", "key": "trace"}, "fault": {"delay": "2s"}});
    let report = world.run(&slow_b("retried", (1_000, HOLD), &rule), PATIENCE).await;
    let retries = &report["retries"];
    let amplification = retries["amplification"].as_f64().unwrap();
    assert!((2.9..=3.1).contains(&amplification), "{retries:#}");
    assert_eq!((&retries["calls_max"], &retries["spacing"]), (&json!(3), &json!("fixed")), "{retries:#}");
    assert_eq!(report["verdict"], "held", "{report:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_passes_no_ids_on_is_told_so() {
    let silent = Manners { passes_ids_on: false, ..Manners::FRAGILE };
    let world = World::new(silent, false, &["--seed", "5"]).await;
    let _callers = world.callers(RATE);
    let report = world.run(&slow_b("unjoined", (1_000, HOLD), &two_seconds()), PATIENCE).await;
    assert_eq!(
        (&report["join"]["is_usable"], &report["harm"]["method"]),
        (&json!(false), &json!("phases")),
        "{report:#}"
    );
    assert_eq!(report["verdict"], "failed", "{report:#}");
    assert!(report["reasons"].to_string().contains("pass"), "{:#}", report["reasons"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_can_measure_keeps_faults_from_flowing() {
    let world = World::new(Manners::ROBUST, false, &[]).await;
    let _callers = world.callers(RATE);
    // Nobody listens there; and a Prometheus that knows of no such metric.
    let nobody = "http://127.0.0.1:1/healthz";
    let prometheus = Origin::start(|mut peer| {
        while peer.request().is_some() {
            let body = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        }
    });
    let unreachable = json!({"name": "other", "condition": {"probe": nobody, "every": "100ms", "failures": 2}});
    let unknown = json!({"name": "other", "condition": {
        "prometheus": format!("http://{}", prometheus.address), "query": "no_such_metric", "below": 5, "every": "100ms"}});
    for (statement, why) in [(unreachable, nobody), (unknown, "the query gives no series")] {
        let mut document = slow_b("unmeasured", (1_000, 2_000), &two_seconds());
        document["spec"]["steady_state"][1] = statement;
        let report = world.run(&document, PATIENCE).await;
        assert_eq!(
            (&report["verdict"], &report["aborted"]["by"]),
            (&json!("inconclusive"), &json!("baseline")),
            "{report:#}"
        );
        let reason = report["aborted"]["reason"].as_str().unwrap();
        assert!(reason.contains(why) && report["rules"][0]["injected"] == 0, "{reason}");
    }
}
