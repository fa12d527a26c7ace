//! Promises about time. One test at a time, in a process of its own, so that nothing else disturbs the clock.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::Read as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;
use squall_integration::client::{self, Client, get};
use squall_integration::load::{one, quantile};
use squall_integration::origin::{Origin, refusing};
use squall_integration::{RawClient, Settings, Squall, eventually};

/// How often a measurement may be repeated for the noise of a shared machine, which only ever adds time.
const ROUNDS: usize = 5;

static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Within 50 ms; on a machine that is busy with something else, within twice what it takes for as many requests that nothing holds,
/// which is less than 50 ms on one that is not.
#[test]
fn halt_releases_a_thousand_held_requests_within_50_ms() {
    let _alone = alone();
    for (what, fault) in [("delay", json!({"delay": "60s"})), ("blackhole", json!({"blackhole": true}))] {
        let mut releases = Vec::new();
        for _ in 0..ROUNDS {
            // An upstream that refuses, so that what follows the release costs next to nothing.
            let squall = Squall::start(&Settings::http(refusing()));
            squall.api().rule("r", &json!({"percentage": 100, "fault": fault}));
            let release = release(&squall);
            eprintln!("{what}: {release:?}");
            assert_eq!(squall.api().metrics().sum("chaos_active_faults", &[("rule", "r")]), 0.0);
            let is_in_time = release.last <= Duration::from_millis(50);
            releases.push(release);
            if is_in_time {
                break;
            }
        }
        let is_fair = |release: &Release| release.last <= (release.carried * 2).max(Duration::from_millis(50));
        assert!(
            releases.iter().any(is_fair),
            "{what}: never within 50 ms, nor twice what others take in the same round"
        );
    }
}

/// How fast a thousand requests are answered.
#[derive(Debug)]
struct Release {
    /// From the answer to halt until the last of those that were held is answered.
    last: Duration,
    /// What as many take afterwards, from the first that is sent to the last that is answered.
    carried: Duration,
}

/// Half of the requests come over HTTP/1 connections of their own, half as streams of five HTTP/2 connections.
fn release(squall: &Squall) -> Release {
    let (api, address) = (squall.api(), squall.to_b());
    let mut singles: Vec<_> = (0..500).map(|_| RawClient::connect(address)).collect();
    send_all(&mut singles);
    client::run(Duration::from_secs(60), async {
        let mut streams = Vec::new();
        for _ in 0..5 {
            let client = Client::http2(address).await;
            streams.extend((0..100).map(|_| tokio::spawn(answered_at(client.stream()))));
        }
        let singles = tokio::task::spawn_blocking(move || {
            eventually("1,000 held requests", Duration::from_secs(20), || {
                (api.metrics().sum("chaos_active_faults", &[("rule", "r")]) == 1000.0).then_some(())
            });
            api.halt();
            let halted = Instant::now();
            read_all(&singles);
            (singles, halted, halted.elapsed())
        });
        let (mut singles, halted, mut last) = singles.await.unwrap();
        for stream in streams {
            last = last.max(stream.await.unwrap().saturating_duration_since(halted));
        }
        let begun = Instant::now();
        for _ in 0..2 {
            send_all(&mut singles);
            read_all(&singles);
        }
        Release { last, carried: begun.elapsed() }
    })
}

fn send_all(clients: &mut [RawClient]) {
    for client in clients {
        client.send("GET /v1/x HTTP/1.1\r\nHost: b\r\n\r\n");
    }
}

fn read_all(clients: &[RawClient]) {
    for client in clients {
        let n = client.stream().read(&mut [0; 1024]).expect("an answer");
        assert!(n > 0, "an answer, not an end");
    }
}

async fn answered_at(mut client: Client) -> Instant {
    let answer = client.send(get("/v1/x")).await.expect("an answer, not an end");
    assert_ne!(answer.status, 0);
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
    let is_in_time = (0..ROUNDS).any(|_| {
        let plain = quantile(client::run(Duration::from_secs(60), open_loop(address, 500, 4)), 0.5);
        api.rule("r", &json!({"percentage": 100, "fault": {"delay": "100ms"}}));
        let delayed = client::run(Duration::from_secs(60), open_loop(address, 500, 4));
        api.remove("r");
        let least = *delayed.iter().min().unwrap();
        let p50 = quantile(delayed, 0.5);
        let late = p50.saturating_sub(plain + Duration::from_millis(100));
        eprintln!("without fault p50 {plain:?}; with 100 ms: least {least:?}, p50 {p50:?}; late by {late:?}");
        assert!(least >= Duration::from_millis(100), "early: {least:?}");
        late <= Duration::from_millis(1)
    });
    assert!(is_in_time, "never within 1 ms");
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
