//! 200 rule changes a second for 10 s at full keep-alive traffic, and no failed request that no rule asked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use squall_integration::client::{self, Client};
use squall_integration::echo::Echo;
use squall_integration::load::{Outcome, one};
use squall_integration::{Api, Settings, Squall};

const CHANGES: u32 = 2000;
const EVERY: Duration = Duration::from_millis(5);

async fn traffic(address: std::net::SocketAddr, is_http2: bool, stop: Arc<AtomicBool>) -> Vec<Outcome> {
    let mut client = if is_http2 { Client::http2(address).await } else { Client::http1(address).await };
    let mut outcomes = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        outcomes.push(one(&mut client, "/v1/x").await);
    }
    outcomes
}

/// Makes, replaces and removes rules at the rate; returns how long it took.
fn change(api: Api) -> Duration {
    let begin = Instant::now();
    for i in 0..CHANGES {
        let name = format!("r{}", i % 7);
        match i % 4 {
            0 => api.rule(&name, &json!({"percentage": 1, "fault": {"abort": 503}})),
            1 => api.rule(&name, &json!({"percentage": 2, "fault": {"delay": "1ms"}})),
            2 => api.rule(
                "none",
                &json!({"match": {"path": format!("/n/{i}")}, "percentage": 100, "fault": {"reset": true}}),
            ),
            _ => api.delete(&format!("/v1/rules/{name}")),
        };
        squall_integration::wait::pause((begin + EVERY * (i + 1)).saturating_duration_since(Instant::now()));
    }
    begin.elapsed()
}

#[test]
fn no_request_fails_that_no_rule_asked_for() {
    let echo = Echo::http1();
    let squall = Squall::start(&Settings::http(echo.address));
    let (address, api) = (squall.to_b(), squall.api());
    let stop = Arc::new(AtomicBool::new(false));
    let outcomes = client::run(Duration::from_secs(90), async {
        let tasks: Vec<_> = (0..16).map(|i| tokio::spawn(traffic(address, i % 4 == 3, Arc::clone(&stop)))).collect();
        let took = tokio::task::spawn_blocking(move || change(api)).await.unwrap();
        eprintln!("{CHANGES} changes in {took:?}");
        assert!(took < Duration::from_secs(12), "200 changes a second: {took:?}");
        stop.store(true, Ordering::SeqCst);
        let mut all = Vec::new();
        for task in tasks {
            all.extend(task.await.unwrap());
        }
        all
    });
    let failed: Vec<&Outcome> = outcomes.iter().filter(|o| o.status != 200 && o.fault.is_none()).collect();
    let faulted = outcomes.iter().filter(|o| o.fault.is_some()).count();
    eprintln!("{} requests, {faulted} faulted", outcomes.len());
    assert!(failed.is_empty(), "{} of {} failed, as in {:?}", failed.len(), outcomes.len(), failed[0]);
    assert!(faulted > 0, "rules had an effect");
    assert!(outcomes.len() > 10_000, "full traffic: {}", outcomes.len());
}
