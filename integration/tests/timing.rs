//! Promises about time. One test at a time, in a process of its own, so that nothing else disturbs the clock.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;
use squall_integration::client::{self, Client, get};
use squall_integration::load::{one, quantile};
use squall_integration::origin::Origin;
use squall_integration::{Settings, Squall, eventually};

static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn halt_releases_a_thousand_held_requests_within_50_ms() {
    let _alone = alone();
    let origin = Origin::ok();
    let squall = Squall::start(&Settings::http(origin.address));
    let (address, api) = (squall.to_b(), squall.api());
    for what in ["blackhole", "delay"] {
        let fault = if what == "delay" { json!({"delay": "60s"}) } else { json!({"blackhole": true}) };
        api.rule("r", &json!({"percentage": 100, "fault": fault}));
        let (last, answered) = client::run(Duration::from_secs(60), async {
            let mut tasks = Vec::new();
            // Half over HTTP/1 connections, half as streams of five HTTP/2 connections.
            for _ in 0..500 {
                let client = Client::http1(address).await;
                tasks.push(tokio::spawn(held(client)));
            }
            for _ in 0..5 {
                let client = Client::http2(address).await;
                tasks.extend((0..100).map(|_| tokio::spawn(held(client.stream()))));
            }
            tokio::task::spawn_blocking(move || {
                eventually("1,000 held requests", Duration::from_secs(20), || {
                    (api.metrics().sum("chaos_active_faults", &[("rule", "r")]) == 1000.0).then_some(())
                });
                api.halt();
            })
            .await
            .unwrap();
            let answered = Instant::now();
            let mut last = Duration::ZERO;
            for task in tasks {
                last = last.max(task.await.unwrap().saturating_duration_since(answered));
            }
            (last, answered)
        });
        let _ = answered;
        let active = api.metrics().sum("chaos_active_faults", &[("rule", "r")]);
        eprintln!("{what}: the last of 1,000 held requests was released {last:?} after halt was answered");
        assert_eq!(active, 0.0);
        assert!(last <= Duration::from_millis(50), "{what}: {last:?}");
        api.resume();
        api.remove("r");
    }
}

/// When the request ended, however it did.
async fn held(mut client: Client) -> Instant {
    let _ = client.send(get("/v1/x")).await;
    Instant::now()
}

/// Latencies of requests that begin on a fixed beat, whatever became of those before.
async fn open_loop(address: std::net::SocketAddr, per_second: u32, seconds: u32) -> Vec<Duration> {
    let idle = Arc::new(Mutex::new(Vec::new()));
    for _ in 0..per_second / 4 {
        let client = Client::http1(address).await;
        idle.lock().unwrap().push(client);
    }
    let beat = Duration::from_secs(1) / per_second;
    let begin = tokio::time::Instant::now();
    let mut tasks = Vec::new();
    for i in 0..per_second * seconds {
        tokio::time::sleep_until(begin + beat * i).await;
        let taken = idle.lock().unwrap().pop();
        let mut client = match taken {
            Some(client) => client,
            None => Client::http1(address).await,
        };
        let idle = Arc::clone(&idle);
        tasks.push(tokio::spawn(async move {
            let outcome = one(&mut client, "/v1/x").await;
            assert_eq!(outcome.status, 200);
            idle.lock().unwrap().push(client);
            outcome.took
        }));
    }
    let mut all = Vec::new();
    for task in tasks {
        all.push(task.await.unwrap());
    }
    all
}

#[test]
fn a_delay_of_100_ms_is_never_early_and_at_most_a_millisecond_late() {
    let _alone = alone();
    let origin = Origin::ok();
    let squall = Squall::start(&Settings::http(origin.address));
    let (address, api) = (squall.to_b(), squall.api());
    let plain = client::run(Duration::from_secs(60), open_loop(address, 500, 4));
    api.rule("r", &json!({"percentage": 100, "fault": {"delay": "100ms"}}));
    let delayed = client::run(Duration::from_secs(60), open_loop(address, 500, 4));
    let least = *delayed.iter().min().unwrap();
    let (p50_plain, p50) = (quantile(plain.clone(), 0.5), quantile(delayed.clone(), 0.5));
    let late = p50.saturating_sub(p50_plain + Duration::from_millis(100));
    eprintln!(
        "without fault p50 {p50_plain:?}; with 100 ms: least {least:?}, p50 {p50:?}, p99 {:?}; late by {late:?}",
        quantile(delayed, 0.99)
    );
    assert!(least >= Duration::from_millis(100), "early: {least:?}");
    assert!(late <= Duration::from_millis(1), "late: {late:?}");
}

#[test]
fn the_next_request_after_put_is_faulted() {
    let _alone = alone();
    let origin = Origin::ok();
    let squall = Squall::start(&Settings::http(origin.address));
    let api = squall.api();
    let address = squall.to_b();
    client::run(Duration::from_secs(60), async {
        let mut clients = Vec::new();
        for _ in 0..16 {
            clients.push(Client::http1(address).await);
        }
        for round in 0..30 {
            for client in &mut clients {
                assert_eq!(one(client, "/v1/x").await.status, 200, "round {round}");
            }
            api.rule("r", &json!({"percentage": 100, "fault": {"abort": 503}}));
            for client in &mut clients {
                assert_eq!(one(client, "/v1/x").await.status, 503, "round {round}: every worker knows at once");
            }
            api.remove("r");
        }
    });
}
