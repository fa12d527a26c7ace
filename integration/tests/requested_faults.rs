//! Faults that the caller asks for: by header fields for one call, by baggage for one traced request across services.

use std::time::{Duration, Instant};

use serde_json::json;
use squall_integration::echo::Echo;
use squall_integration::{RawClient, Settings, Squall};

fn get(client: &mut RawClient, path: &str, fields: &str) -> (squall_integration::message::Answer, Duration) {
    let begin = Instant::now();
    let answer = client.send(format!("GET {path} HTTP/1.1\r\nHost: b\r\n{fields}\r\n")).answer();
    (answer, begin.elapsed())
}

const ASKS: &str = "x-envoy-fault-delay-request: 300\r\nx-envoy-fault-abort-request: 418\r\n";

#[test]
fn nothing_is_granted_without_a_rule() {
    let echo = Echo::http1();
    let squall = Squall::start(&Settings::http(echo.address));
    let (answer, _) = get(&mut RawClient::connect(squall.to_b()), "/echo", ASKS);
    assert_eq!((answer.status, answer.header("x-squall-fault")), (200, None));
}

#[test]
fn header_fields_ask_for_one_call() {
    let echo = Echo::http1();
    let squall = Squall::start(&Settings::http(echo.address));
    squall.api().rule("r", &json!({"percentage": 100, "fault": {"requested": {"by": "headers", "max": "500ms"}}}));
    let mut client = RawClient::connect(squall.to_b());
    let (answer, took) = get(&mut client, "/echo", ASKS);
    assert_eq!(answer.status, 418);
    assert_eq!(answer.header_all("x-squall-fault"), ["rule=r; kind=delay", "rule=r; kind=abort"]);
    assert!((300..1000).contains(&took.as_millis()), "{took:?}");
    let (answer, _) = get(&mut client, "/echo", "x-envoy-fault-abort-grpc-request: 14\r\n");
    assert_eq!((answer.status, answer.header("grpc-status")), (200, Some("14")));
    let (answer, took) = get(&mut client, "/sized/32768", "x-envoy-fault-throughput-response: 64\r\n");
    assert_eq!((answer.body.len(), answer.header("x-squall-fault")), (32_768, Some("rule=r; kind=throttle")));
    assert!((450..1500).contains(&took.as_millis()), "32 KiB at 64 KiB/s took {took:?}");
    // A delay of a minute is cut to what the rule allows; who asks for nothing, or nonsense, gets nothing.
    let (_, took) = get(&mut client, "/echo", "x-envoy-fault-delay-request: 60000\r\n");
    assert!((500..1500).contains(&took.as_millis()), "{took:?}");
    let (answer, _) = get(&mut client, "/echo", "x-envoy-fault-abort-request: 42\r\n");
    assert_eq!((answer.status, answer.header("x-squall-fault")), (200, None));
    let (answer, _) = get(&mut client, "/echo", "baggage: x-envoy-fault-abort-request=503\r\n");
    assert_eq!(answer.status, 200, "this rule hears header fields alone");
}

#[test]
fn baggage_asks_across_services() {
    // Downstream → A's Squall → (A passes baggage on) → B's Squall → B: both stand for services on the way.
    let echo = Echo::http1();
    let second = Squall::start(&Settings::new().listener("to-b", "http", "service-c").cluster(
        "service-c",
        "http1",
        &[echo.address],
    ));
    let first = Squall::start(&Settings::http(second.to_b()));
    for squall in [&first, &second] {
        squall.api().rule("r", &json!({"percentage": 100, "fault": {"requested": {"by": "baggage"}}}));
    }
    let mut client = RawClient::connect(first.to_b());
    let trace = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";
    let asks = |more: &str| format!("{trace}baggage: user=7,x-envoy-fault-delay-request=200{more}\r\n");
    let (answer, took) = get(&mut client, "/echo", &asks(""));
    assert_eq!(answer.header_all("x-squall-fault").len(), 2, "each hop grants it: {answer:?}");
    assert!((400..1200).contains(&took.as_millis()), "{took:?}");
    // Of one call alone.
    let (answer, took) = get(&mut client, "/echo", &asks(",x-squall-fault-cluster=service-c"));
    assert_eq!(answer.header_all("x-squall-fault").len(), 1);
    assert!((200..390).contains(&took.as_millis()), "{took:?}");
    // It passed through untouched.
    let seen = answer.json()["headers"].to_string();
    assert!(seen.contains("user=7,x-envoy-fault-delay-request=200,x-squall-fault-cluster=service-c"), "{seen}");
    assert_eq!((first.api().injected("r"), second.api().injected("r")), (1, 2));
}
