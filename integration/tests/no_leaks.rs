//! A faulted exchange harms nobody else: not its neighbours on the same HTTP/2 connection, not whoever gets its upstream
//! connection next. Random rules, fixed seeds; a seed that fails is printed.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};
use squall_integration::client::{self, Client, full, get, request};
use squall_integration::echo::Echo;
use squall_integration::{Settings, Squall};

const PLANS: u32 = 150;

/// What alters or slows an exchange; all of it ends within a fraction of a second.
fn gentle() -> impl Strategy<Value = Value> {
    let direction = prop_oneof![Just("request"), Just("response")];
    prop_oneof![
        (0..40u64, direction.clone()).prop_map(|(ms, on)| json!({"delay": {"fixed": format!("{ms}ms"), "on": on}})),
        (1..60u64).prop_map(|ms| json!({"delay": {"at_least": format!("{ms}ms")}})),
        (1..100u32, direction.clone()).prop_map(|(rate, d)| json!({"corrupt": {"rate": rate, "direction": d}})),
        (100..900u64, direction.clone())
            .prop_map(|(kb, d)| json!({"throttle": {"rate": format!("{kb}kB/s"), "direction": d}})),
        (500..9000u64, direction.clone())
            .prop_map(|(size, d)| json!({"slow_body": {"chunk": size, "every": "2ms", "direction": d}})),
        (0..9000u64, direction).prop_map(|(n, on)| json!({"stall": {"on": on, "after_bytes": n, "max": "30ms"}})),
        Just(json!({"modify": {"status": 500, "body": "other"}})),
        Just(json!({"modify": {"on": "request", "body": "other", "set_headers": {"x-other": "1"}}})),
        Just(json!({"duplicate": true})),
    ]
}

/// What ends it.
fn harsh() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({"abort": 503})),
        Just(json!({"reset": true})),
        Just(json!({"response_lost": true})),
        Just(json!({"blackhole": {"max": "30ms"}})),
        (0..12_000u64).prop_map(|n| json!({"reset": {"on": "response", "after_bytes": n, "code": "CANCEL"}})),
        (1..20u64).prop_map(|ms| json!({"reset": {"after": format!("{ms}ms")}})),
        (0..12_000u64).prop_map(|n| json!({"truncate": n})),
        prop_oneof![Just("empty"), Just("garbage"), Just("bad_chunk")].prop_map(|what| json!({"malformed": what})),
    ]
}

/// Up to three rules for `/faulted`, each with up to two faults.
fn plans() -> impl Strategy<Value = Vec<Value>> {
    let fault = (gentle(), prop::option::of(harsh())).prop_map(|(mut fault, harsh)| {
        if let Some(Value::Object(harsh)) = harsh {
            fault.as_object_mut().unwrap().extend(harsh);
        }
        fault
    });
    prop::collection::vec(fault, 1..=3)
}

fn rules(plan: &[Value]) -> Value {
    let rule = |(i, fault): (usize, &Value)| json!({"name": format!("r{i}"), "percentage": 100, "match": {"path": {"prefix": "/faulted"}}, "fault": fault});
    json!({"rules": plan.iter().enumerate().map(rule).collect::<Vec<_>>()})
}

/// A request that must come back whole.
async fn neighbour(client: &mut Client, n: usize) {
    let body = vec![n.to_le_bytes()[0]; 1000 + n];
    let answer = client.must(request("POST", "/mirror", full(body.clone()))).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-squall-fault")), (200, None), "neighbour {n}");
    assert!(answer.body == body, "neighbour {n} got another body: {} bytes", answer.body.len());
    let answer = client.must(get("/echo/me")).await.json();
    assert_eq!(answer["target"].as_str().unwrap().rsplit('/').next(), Some("me"), "neighbour {n}");
}

/// One plan: two faulted exchanges between their neighbours, all on one HTTP/2 connection, then one after them.
async fn check(squall: &Squall, plan: &[Value]) {
    squall.api().put("/v1/rules", &rules(plan).to_string());
    let mut client = Client::http2(squall.to_b()).await;
    let (mut a, mut b, mut c) = (client.stream(), client.stream(), client.stream());
    // Whatever they come to: an answer, an error, a reset.
    let faulted = async {
        let upload = request("POST", "/faulted", full(vec![9; 10_000]));
        let _ = tokio::time::timeout(Duration::from_secs(20), a.send(upload)).await.expect("a faulted exchange ends");
    };
    let faulted_too = async {
        let _ =
            tokio::time::timeout(Duration::from_secs(20), b.send(get("/faulted/2"))).await.expect("so does this one");
    };
    let neighbours = async {
        for n in 0..3 {
            neighbour(&mut c, n).await;
        }
    };
    tokio::join!(faulted, faulted_too, neighbours);
    neighbour(&mut client, 7).await;
}

fn run(echo: &Echo, settings: &Settings, seed: u8) {
    let squall = Squall::start(settings);
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut injected = 0;
    for number in 0..PLANS {
        let plan = plans().new_tree(&mut runner).unwrap().current();
        println!("seed {seed}, plan {number}: {plan:?}");
        client::run(Duration::from_secs(60), check(&squall, &plan));
        injected += squall.api().injected("r0");
    }
    // Nothing was a check of nothing.
    assert!(injected > u64::from(PLANS), "{injected}");
    assert!(echo.requests() > PLANS as usize * 8);
    assert_eq!(squall.api().metrics().sum("chaos_active_faults", &[]), 0.0, "nothing is held any more");
}

#[test]
fn neighbours_over_pooled_http1_connections_are_well() {
    let echo = Echo::http1();
    run(&echo, &Settings::http(echo.address).with("seed: 1"), 1);
}

#[test]
fn neighbours_over_one_http2_connection_are_well() {
    let echo = Echo::http2();
    run(&echo, &Settings::http2(echo.address).with("seed: 2"), 2);
}
