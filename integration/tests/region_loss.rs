//! A region is lost: how long it takes until the others carry on alone, and what it costs until then.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use squall_integration::client::{self, Client, get};
use squall_integration::origin::Origin;
use squall_integration::raw::RawClient;
use squall_integration::settings::Settings;
use squall_integration::squall::Squall;
use squall_integration::wait::{PATIENCE, eventually};

const TIMEOUT: Duration = Duration::from_millis(250);
const EJECTED: Duration = Duration::from_millis(1_500);
const CLIENTS: usize = 4;

/// Region a has two endpoints, region b one.
struct World {
    origins: [Origin; 3],
    squall: Squall,
}

impl World {
    fn start() -> Self {
        let origins = ["a1", "a2", "b1"].map(Origin::named);
        let endpoint = |origin: &Origin, zone: &str| {
            let (address, region) = (origin.address, &zone[..1]);
            format!("{{ address: \"{address}\", labels: {{ region: {region}, zone: {zone} }} }}")
        };
        let endpoints =
            [endpoint(&origins[0], "a1"), endpoint(&origins[1], "a2"), endpoint(&origins[2], "b1")].join(", ");
        let more = format!(
            "response_timeout: {}ms\nejection: {{ consecutive_failures: 2, base_time: {}ms, max_percentage: 100 }}",
            TIMEOUT.as_millis(),
            EJECTED.as_millis()
        );
        let settings = Settings::new().listener("to-b", "http", "service-b");
        let squall = Squall::start(&settings.cluster_of("service-b", "http1", &endpoints, &more));
        Self { origins, squall }
    }

    fn blackhole(&self, endpoint: &Value) {
        let rule = json!({"match": {"endpoint": endpoint}, "percentage": 100, "fault": {"blackhole": true}});
        self.squall.api().rule("lost", &rule);
    }

    /// The zones whose endpoints are ejected.
    fn lost(&self) -> Vec<String> {
        let status = self.squall.api().json("/v1/status");
        let endpoints = status["clusters"][0]["endpoints"].as_array().cloned().unwrap_or_default();
        let lost = endpoints.iter().filter(|endpoint| endpoint["health"] == "ejected");
        lost.map(|endpoint| endpoint["labels"]["zone"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

/// One call: when it was over, its status, and who answered.
#[derive(Debug, Clone)]
struct Call {
    at: Instant,
    status: u16,
    by: String,
}

/// Calls over and over, each client a hundred times a second, until told to stop.
fn load(address: SocketAddr, stop: &Arc<AtomicBool>) -> Vec<Call> {
    client::run(PATIENCE * 6, async {
        let clients = (0..CLIENTS).map(|_| {
            let stop = Arc::clone(stop);
            tokio::spawn(async move {
                let (mut client, mut calls) = (Client::http1(address).await, Vec::new());
                while !stop.load(Ordering::SeqCst) {
                    let answer = client.must(get("/")).await;
                    let by = String::from_utf8_lossy(&answer.body).into_owned();
                    calls.push(Call { at: Instant::now(), status: answer.status.as_u16(), by });
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                calls
            })
        });
        let mut calls = Vec::new();
        for client in clients.collect::<Vec<_>>() {
            calls.extend(client.await.expect("every call is answered"));
        }
        calls
    })
}

#[test]
fn the_other_region_carries_on() {
    let world = World::start();
    let (address, stop) = (world.squall.to_b(), Arc::new(AtomicBool::new(false)));
    let of_load = Arc::clone(&stop);
    let load = std::thread::spawn(move || load(address, &of_load));
    eventually("traffic everywhere", PATIENCE, || {
        world.origins.iter().all(|origin| origin.seen().len() > 10).then_some(())
    });
    let lost_at = Instant::now();
    world.blackhole(&json!({"labels": {"region": "a"}}));
    eventually("region a is left alone", PATIENCE, || (world.lost() == ["a1", "a2"]).then_some(()));
    let from_b = world.origins[2].seen().len();
    eventually("region b carries on", PATIENCE, || (world.origins[2].seen().len() > from_b + 100).then_some(()));
    world.squall.api().remove("lost");
    let back_at = Instant::now();
    let before = world.origins[0].seen().len();
    eventually("region a is back", PATIENCE, || (world.origins[0].seen().len() > before + 10).then_some(()));
    stop.store(true, Ordering::SeqCst);
    let calls = load.join().expect("the load ends");

    let failed: Vec<&Call> = calls.iter().filter(|call| call.status != 200).collect();
    let last = failed.iter().map(|call| call.at).max().expect("a region cannot be lost without a trace");
    let failover = last.saturating_duration_since(lost_at);
    let between: Vec<&Call> = calls.iter().filter(|call| call.at > last && call.at < back_at).collect();
    let back = calls.iter().filter(|call| call.at > back_at && call.by.starts_with('a')).map(|call| call.at).min();
    let back = back.expect("region a is back").saturating_duration_since(back_at);
    // Not `println!`: the test runner would keep it to itself.
    let _ = writeln!(
        std::io::stderr(),
        "region a (two of three endpoints) blackholed under {CLIENTS} callers: {} calls failed, the last one after {} ms \
         (response_timeout {} ms, two failures in a row eject); then {} calls went to region b without a failure; \
         region a was used again {} ms after the rule was removed (ejected for {} ms)",
        failed.len(),
        failover.as_millis(),
        TIMEOUT.as_millis(),
        between.len(),
        back.as_millis(),
        EJECTED.as_millis(),
    );
    assert!(failed.iter().all(|call| call.status == 504), "{failed:?}");
    // Each caller can be stuck when the region is lost, and each endpoint has to fail twice.
    assert!(failed.len() <= CLIENTS + 4, "{}", failed.len());
    assert!(failover >= TIMEOUT && failover < TIMEOUT * 6, "{failover:?}");
    assert!(between.len() > 50 && between.iter().all(|call| call.by == "b1"), "{between:?}");
    assert!(back <= EJECTED + Duration::from_secs(1), "{back:?}");
    let metrics = world.squall.api().metrics();
    let injected = metrics.sum("chaos_injected_faults_total", &[("rule", "lost"), ("kind", "blackhole")]);
    assert_eq!(injected, failed.len() as f64, "every failure is the rule's");
}

#[test]
fn a_rule_can_take_one_endpoint_or_one_zone() {
    for (endpoint, expected) in [
        (None, "a2"),
        (Some(json!({"labels": {"zone": "a1"}})), "a1"),
        (Some(json!({"labels": {"region": "b", "zone": "b1"}})), "b1"),
    ] {
        let world = World::start();
        let endpoint = endpoint.unwrap_or_else(|| json!(world.origins[1].address.to_string()));
        world.blackhole(&endpoint);
        let mut client = RawClient::connect(world.squall.to_b());
        eventually("the endpoint is left alone", PATIENCE, || {
            client.get("/");
            (world.lost() == [expected]).then_some(())
        });
        assert!((0..6).all(|_| client.get("/").status == 200), "{endpoint}");
    }
}
