//! Work is spread over the workers, and spreading it changes nothing else.

use std::process::Command;
use std::time::Duration;

use serde_json::json;
use squall_integration::origin::{Origin, refusing};
use squall_integration::programs::find;
use squall_integration::{RawClient, Settings, Squall, eventually};

/// Open connections by worker.
fn connections(squall: &Squall) -> Vec<f64> {
    let metrics = squall.api().metrics();
    metrics.matching("squall_worker_connections", &[]).map(|sample| sample.value).collect()
}

#[test]
fn connections_are_spread_evenly_and_counted_to_the_last() {
    let origin = Origin::ok();
    let squall = Squall::start_with(&Settings::http(origin.address), &["--workers", "4"]);
    let mut clients: Vec<RawClient> = (0..64).map(|_| RawClient::connect(squall.to_b())).collect();
    for client in &mut clients {
        assert_eq!(client.get("/").status, 200);
    }
    let spread = connections(&squall);
    assert_eq!((spread.len(), spread.iter().sum::<f64>()), (4, 64.0));
    // A worker keeps what is at most an eighth above another one's: 17 beside 15 is even, 13 beside 17 is not.
    assert!(spread.iter().all(|n| (13.0..=19.0).contains(n)), "{spread:?}");
    for client in &mut clients {
        assert_eq!(client.get("/again").status, 200, "wherever it went");
    }
    drop(clients);
    eventually("nothing is open", Duration::from_secs(5), || {
        (connections(&squall).iter().sum::<f64>() == 0.0).then_some(())
    });
}

#[test]
fn two_connections_have_a_worker_each() {
    let origin = Origin::ok();
    for _ in 0..8 {
        let squall = Squall::start_with(&Settings::tcp(origin.address), &["--workers", "2"]);
        let open = |n: f64| {
            let open = || (connections(&squall).iter().sum::<f64>() == n).then_some(());
            eventually("connections are counted", Duration::from_secs(5), open);
        };
        // A worker that the machine kept from running counts as busy: then another try tells.
        eventually("a worker each", Duration::from_secs(20), || {
            open(0.0);
            let _clients = [RawClient::connect(squall.to_b()), RawClient::connect(squall.to_b())];
            open(2.0);
            (connections(&squall) == [1.0, 1.0]).then_some(())
        });
    }
}

/// One client with one HTTP/2 connection, as much as it takes. Faults answer, so that no upstream slows it down.
#[test]
fn a_heavy_http2_connection_is_helped_with_and_its_streams_are_decided_once_each() {
    let test = "a_heavy_http2_connection_is_helped_with_and_its_streams_are_decided_once_each";
    let Some(h2load) = find("h2load", test) else { return };
    let squall = Squall::start_with(&Settings::http(refusing()), &["--workers", "2"]);
    let api = squall.api();
    api.rule(
        "a",
        &json!({"percentage": 25, "sample": {"mode": "exact"}, "fault": {"abort": {"status": 200, "body": "a"}}}),
    );
    api.rule("b", &json!({"percentage": 100, "fault": {"abort": {"status": 204}}}));
    let url = format!("http://{}/", squall.to_b());
    let mut sent = 0_u32;
    let handed = eventually("streams are handed over", Duration::from_secs(60), || {
        let done = Command::new(&h2load).args(["-c1", "-m64", "-t1", "-n", "100000", &url]).output().unwrap();
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(text.contains("100000 succeeded, 0 failed, 0 errored"), "{text}");
        sent += 100_000;
        let metrics = api.metrics();
        let handed = metrics.sum("squall_worker_handovers_total", &[("unit", "stream")]);
        (handed > 0.0).then_some(handed)
    });
    assert!(handed < f64::from(sent));
    let metrics = api.metrics();
    assert_eq!(metrics.sum("squall_requests_total", &[("origin", "injected")]), f64::from(sent));
    let quarter = u64::from(sent / 4);
    assert_eq!((api.injected("a"), api.injected("b")), (quarter, 3 * quarter), "exactly a quarter");
    assert_eq!(metrics.sum("chaos_active_faults", &[]), 0.0);
}
