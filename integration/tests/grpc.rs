//! gRPC with a client and a server that were not written here: what rules match, and what is said of a call.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use squall_integration::foreign::{Outcome, grpc};
use squall_integration::origin::refusing;
use squall_integration::programs::{Peer, python};
use squall_integration::{Settings, Squall, eventually};

struct Path {
    python: PathBuf,
    _peer: Peer,
    squall: Squall,
}

impl Path {
    fn new() -> Option<Self> {
        let python = python("grpc")?;
        let peer = Peer::start(&python, "grpc_peer.py");
        let settings = Settings::http2(peer.address).with("access_log: { file: access.log }");
        Some(Self { python, _peer: peer, squall: Squall::start(&settings) })
    }

    fn call(&self, method: &str) -> Outcome {
        grpc(&self.python, self.squall.to_b(), method, 100)
    }

    /// The line of the access log about the newest call.
    fn line(&self, calls: usize) -> Value {
        eventually("the call is logged", Duration::from_secs(5), || {
            let text = std::fs::read_to_string(self.squall.directory().join("access.log")).ok()?;
            let lines: Vec<&str> = text.lines().collect();
            (lines.len() == calls).then(|| serde_json::from_str(lines[calls - 1]).ok()).flatten()
        })
    }
}

#[test]
fn unary_and_streaming_calls_pass_and_are_logged_with_deadline_and_status() {
    let Some(path) = Path::new() else { return };
    for (calls, (method, messages)) in (1..).zip([("Unary", 1), ("Stream", 5), ("Upload", 1)]) {
        let outcome = path.call(method);
        assert_eq!((outcome.code.as_str(), outcome.count), ("OK", messages), "{outcome:?}");
        let line = path.line(calls);
        assert_eq!(
            (line["path"].as_str(), line["grpc_status"].as_u64()),
            (Some(&*format!("/squall.test.Echo/{method}")), Some(0))
        );
        // What is left of 1.5 s when the request is made.
        let deadline = line["grpc_timeout_seconds"].as_f64().unwrap();
        assert!((1.0..=1.5).contains(&deadline), "{line}");
    }
}

#[test]
fn rules_match_services_and_methods() {
    let Some(path) = Path::new() else { return };
    let abort = json!({"abort": {"grpc_status": "UNAVAILABLE", "message": "down for 100 %"}});
    for (grpc, unary, stream) in [
        (json!({"service": "squall.test.Echo"}), "UNAVAILABLE", "UNAVAILABLE"),
        (json!({"service": "squall.test.Echo", "method": "Stream"}), "OK", "UNAVAILABLE"),
        (json!({"method": "Unary"}), "UNAVAILABLE", "OK"),
        (json!({"service": "squall.test"}), "OK", "OK"),
    ] {
        path.squall.api().rule("r", &json!({"percentage": 100, "match": {"grpc": grpc}, "fault": abort}));
        assert_eq!((&*path.call("Unary").code, &*path.call("Stream").code), (unary, stream), "{grpc}");
    }
    path.squall.api().rule("r", &json!({"percentage": 100, "fault": abort}));
    let outcome = path.call("Unary");
    assert!(outcome.said.contains("down for 100 %"), "the message arrives as it was written: {outcome:?}");
    assert_eq!(path.line(9)["grpc_status"], 14);
}

#[test]
fn a_status_in_the_middle_needs_a_stream_that_is_long_enough() {
    let Some(path) = Path::new() else { return };
    for (after, code, count) in [(1, "DATA_LOSS", 1), (4, "DATA_LOSS", 4), (5, "DATA_LOSS", 5), (6, "OK", 5)] {
        let fault = json!({"abort": {"grpc_status": "DATA_LOSS", "after_messages": after}});
        path.squall.api().rule("r", &json!({"percentage": 100, "fault": fault}));
        let outcome = path.call("Stream");
        assert_eq!((outcome.code.as_str(), outcome.count), (code, count), "after {after}: {outcome:?}");
    }
}

#[test]
fn a_failure_of_the_path_says_what_it_is() {
    let Some(python) = python("grpc") else { return };
    let squall = Squall::start(&Settings::http2(refusing()));
    let outcome = grpc(&python, squall.to_b(), "Unary", 100);
    assert_eq!(outcome.code, "UNAVAILABLE", "{outcome:?}");
    assert!(outcome.said.contains("the endpoint refused the connection; is the upstream running?"), "{outcome:?}");
}

#[test]
fn a_delay_meets_the_deadline_of_the_caller() {
    let Some(path) = Path::new() else { return };
    path.squall.api().rule("r", &json!({"percentage": 100, "fault": {"delay": "10s"}}));
    let outcome = path.call("Unary");
    assert_eq!(outcome.code, "DEADLINE_EXCEEDED", "{outcome:?}");
    let line = path.line(1);
    assert_eq!(line["faults"][0]["kind"], "delay");
    assert!(line["injected_latency_seconds"].as_f64().unwrap() < 5.0, "the call ended with its caller: {line}");
}
