//! `response_timeout` bounds what rules put in the upstream's place, as it bounds the upstream.

use std::time::{Duration, Instant};

use serde_json::json;
use squall_integration::client::{Client, get, run};
use squall_integration::echo::Echo;
use squall_integration::origin::Origin;
use squall_integration::raw::RawClient;
use squall_integration::settings::Settings;
use squall_integration::squall::Squall;
use squall_integration::wait::{PATIENCE, eventually};

const LIMIT: Duration = Duration::from_millis(400);

fn squall(origin: std::net::SocketAddr) -> Squall {
    let settings = Settings::new().listener("to-b", "http", "service-b");
    Squall::start(&settings.cluster_with("service-b", "http1", &[origin], "response_timeout: 400ms"))
}

#[test]
fn a_held_request_is_answered_when_the_upstream_would_be_given_up() {
    let origin = Origin::ok();
    let squall = squall(origin.address);
    let api = squall.api();
    for (kind, fault) in [
        ("blackhole", json!({"blackhole": true})),
        ("delay", json!({"delay": "30s"})),
        ("delay", json!({"delay": {"fixed": "30s", "on": "response"}})),
    ] {
        api.rule("held", &json!({"percentage": 100, "fault": fault}));
        let began = Instant::now();
        let answer = RawClient::connect(squall.to_b()).get("/");
        let took = began.elapsed();
        assert_eq!(answer.status, 504, "{fault}: {answer:?}");
        assert!(took >= LIMIT && took < LIMIT * 8, "{fault}: {took:?}");
        // A rule did this, and says so; nothing of the path has failed.
        assert_eq!(answer.header("x-squall-fault"), Some(format!("rule=held; kind={kind}").as_str()), "{fault}");
        assert_eq!(answer.header("x-squall-error"), None, "{fault}");
    }
    // Only the delay of the response let requests through.
    assert_eq!(origin.seen().len(), 1);
    eventually("the counters", PATIENCE, || {
        let metrics = api.metrics();
        let injected = metrics.sum("squall_requests_total", &[("origin", "injected"), ("status_class", "5xx")]);
        (injected == 3.0 && metrics.sum("chaos_active_faults", &[]) == 0.0).then_some(())
    });
}

#[test]
fn a_delay_and_the_upstream_share_the_time() {
    let echo = Echo::http1();
    let squall = squall(echo.address);
    squall.api().rule("slow", &json!({"percentage": 100, "fault": {"delay": "250ms"}}));
    let mut client = RawClient::connect(squall.to_b());
    assert_eq!(client.get("/slow/10").status, 200);
    let answer = client.get("/slow/250");
    // It was the upstream that came too late, after a delay that a rule added.
    assert_eq!((answer.status, answer.header("x-squall-error")), (504, Some("upstream_response_timeout")));
    assert_eq!(answer.header("x-squall-fault"), Some("rule=slow; kind=delay"));
}

#[test]
fn neighbours_on_the_same_http2_connection_go_on() {
    let origin = Origin::ok();
    let squall = squall(origin.address);
    squall.api().rule("held", &json!({"match": {"path": "/held"}, "percentage": 100, "fault": {"blackhole": true}}));
    let address = squall.to_b();
    run(Duration::from_secs(20), async {
        let mut client = Client::http2(address).await;
        let mut other = client.stream();
        let (held, well) = tokio::join!(client.must(get("/held")), other.must(get("/")));
        assert_eq!((held.status.as_u16(), held.header("x-squall-fault")), (504, Some("rule=held; kind=blackhole")));
        assert_eq!((well.status.as_u16(), other.must(get("/")).await.status.as_u16()), (200, 200));
    });
}
