//! Endpoints that are asked whether they are well.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use squall_integration::echo::Echo;
use squall_integration::origin::{Origin, Seen, refusing};
use squall_integration::raw::RawClient;
use squall_integration::settings::Settings;
use squall_integration::squall::Squall;
use squall_integration::wait::{PATIENCE, eventually, pause};

/// Says whether it is well on `/healthz`, and its name otherwise.
struct Patient {
    origin: Origin,
    is_well: Arc<AtomicBool>,
}

impl Patient {
    fn start(name: &'static str) -> Self {
        let is_well = Arc::new(AtomicBool::new(true));
        let of_script = Arc::clone(&is_well);
        let origin = Origin::start(move |mut peer| {
            while let Some(seen) = peer.request() {
                let (status, body) = match seen.line.starts_with("GET /healthz?deep ") {
                    true if of_script.load(Ordering::SeqCst) => ("204 No Content", ""),
                    true => ("503 Service Unavailable", ""),
                    false => ("200 OK", name),
                };
                let length = if status.starts_with("204") {
                    String::new()
                } else {
                    format!("Content-Length: {}\r\n", body.len())
                };
                peer.send(format!("HTTP/1.1 {status}\r\n{length}\r\n{body}"));
            }
        });
        Self { origin, is_well }
    }

    fn checks(&self) -> Vec<Seen> {
        self.origin.seen().into_iter().filter(|seen| seen.line.starts_with("GET /healthz")).collect()
    }
}

const CHECK: &str =
    "health_check: { path: '/healthz?deep', interval: 50ms, unhealthy_threshold: 2, healthy_threshold: 3 }";

fn becomes(squall: &Squall, expected: &[&str]) {
    eventually(&format!("{expected:?}"), PATIENCE, || (squall.health() == expected).then_some(()));
}

fn names(squall: &Squall, n: usize) -> Vec<String> {
    let mut client = RawClient::connect(squall.to_b());
    (0..n).map(|_| client.get("/").text()).collect()
}

#[test]
fn an_endpoint_that_says_it_is_not_well_gets_nothing_until_it_is() {
    let (one, two) = (Patient::start("one"), Patient::start("two"));
    let settings = Settings::new().listener("to-b", "http", "b");
    let settings = settings.cluster_with("b", "http1", &[one.origin.address, two.origin.address], CHECK);
    let squall = Squall::start_with(&settings, &["--workers", "4"]);
    becomes(&squall, &["healthy", "healthy"]);
    two.is_well.store(false, Ordering::SeqCst);
    becomes(&squall, &["healthy", "failing"]);
    assert_eq!(names(&squall, 6), ["one"; 6]);
    let label = two.origin.address.to_string();
    assert_eq!(squall.api().metrics().sum("squall_endpoint_healthy", &[("endpoint", &label)]), 0.0);
    two.is_well.store(true, Ordering::SeqCst);
    becomes(&squall, &["healthy", "healthy"]);
    assert!(names(&squall, 6).contains(&"two".to_owned()));
    let checks = two.checks();
    assert_eq!(checks[0].header("host"), Some(label.as_str()));
    assert_eq!(checks[0].header("user-agent"), Some("squall-health-check"));
    // All of them are out: all are tried.
    one.is_well.store(false, Ordering::SeqCst);
    two.is_well.store(false, Ordering::SeqCst);
    becomes(&squall, &["failing", "failing"]);
    assert!(names(&squall, 6).contains(&"one".to_owned()));
}

#[test]
fn checks_are_made_once_for_the_process_and_no_rule_touches_them() {
    let patient = Patient::start("one");
    let settings = Settings::new().listener("to-b", "http", "b");
    let check = CHECK.replace("50ms", "500ms");
    let settings = settings.cluster_with("b", "http1", &[patient.origin.address], &check);
    let squall = Squall::start_with(&settings, &["--workers", "4"]);
    squall.api().rule("all", &json!({"percentage": 100, "fault": {"reset": true}}));
    let exact = json!({"match": {"path": "/healthz"}, "percentage": 100, "fault": {"blackhole": true}});
    squall.api().rule("exact", &exact);
    pause(Duration::from_millis(1_700));
    let n = patient.checks().len();
    assert!((3..=5).contains(&n), "{n} checks in 1.7 s, every 500 ms");
    assert_eq!(squall.health(), ["healthy"]);
    assert_eq!(squall.api().rule_status("all")["matched"], 0);
}

#[test]
fn a_connection_alone_or_http2_can_be_asked_for() {
    let (open, closed) = (Origin::mirror(), refusing());
    let settings = Settings::new().listener("to-b", "tcp", "b");
    let check = "health_check: { tcp: true, interval: 50ms }";
    let squall = Squall::start(&settings.cluster_with("b", "http1", &[open.address, closed], check));
    becomes(&squall, &["healthy", "failing"]);
    let (echo, gone) = (Echo::http2(), Echo::http2());
    let settings = Settings::new().listener("to-b", "http", "b");
    let check = "health_check: { path: /status/200, interval: 50ms, timeout: 40ms }";
    let squall = Squall::start(&settings.cluster_with("b", "http2", &[echo.address, gone.address], check));
    becomes(&squall, &["healthy", "healthy"]);
    drop(gone);
    becomes(&squall, &["healthy", "failing"]);
    // Too slow is not well either.
    let check = "health_check: { path: /slow/500, interval: 50ms, timeout: 40ms }";
    let settings = Settings::new().listener("to-b", "http", "b");
    let squall = Squall::start(&settings.cluster_with("b", "http2", &[echo.address], check));
    becomes(&squall, &["failing"]);
    eventually("the reason in the log", PATIENCE, || squall.said().contains("no answer in time").then_some(()));
}
