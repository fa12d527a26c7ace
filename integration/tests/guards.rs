//! Guards: what goes wrong by itself stops what Squall lets go wrong.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use squall_integration::origin::Origin;
use squall_integration::wait::pause;
use squall_integration::{RawClient, Settings, Squall, eventually};

const PATIENCE: Duration = Duration::from_secs(10);

/// The calls to the authorisation of cards: 5 % take 300 ms longer, and more than 1 % of real failures for a minute end it.
const CARDS: &str = "
rules: [{name: slow-cards, match: {path: /authorize}, percentage: 5, sample: {mode: exact}, fault: {delay: 300ms}}]
guards: [{name: errors, condition: {metric: error_rate, listener: to-b, above: 1, for: 60s}}]
";

/// An upstream that fails so many of a thousand requests, evenly.
struct Cards {
    origin: Origin,
    first_failure: Arc<OnceLock<Instant>>,
}

impl Cards {
    fn failing(per_mille: u64) -> Self {
        let (served, first_failure) = (AtomicU64::new(0), Arc::new(OnceLock::new()));
        let first = Arc::clone(&first_failure);
        let origin = Origin::start(move |mut peer| {
            while peer.request().is_some() {
                let n = served.fetch_add(1, Relaxed);
                let fails = (n + 1) * per_mille / 1000 > n * per_mille / 1000;
                if fails {
                    first.get_or_init(Instant::now);
                }
                let status = if fails { "500 Internal Server Error" } else { "200 OK" };
                peer.send(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"));
            }
        });
        Self { origin, first_failure }
    }
}

struct Call {
    ended: Instant,
    status: u16,
    is_faulted: bool,
}

/// 25 requests a second on a connection of their own, until it is over. A delayed one is made up for.
fn call(address: SocketAddr, path: &str, is_over: &AtomicBool) -> Vec<Call> {
    let (mut client, mut seen) = (RawClient::connect(address), Vec::new());
    let (begin, mut n) = (Instant::now(), 0);
    while !is_over.load(Relaxed) {
        let answer = client.get(path);
        let is_faulted = answer.header("x-squall-fault").is_some();
        seen.push(Call { ended: Instant::now(), status: answer.status, is_faulted });
        n += 1;
        pause((begin + Duration::from_millis(40) * n).saturating_duration_since(Instant::now()));
    }
    seen
}

fn guard(squall: &Squall, name: &str) -> Value {
    let status = squall.api().json("/v1/status");
    let guards = status["guards"].as_array().unwrap().iter();
    guards.clone().find(|guard| guard["name"] == name).unwrap_or_else(|| panic!("{name} in {status:#}")).clone()
}

#[test]
fn a_percent_and_a_half_of_failures_for_a_minute_halts_and_nine_tenths_do_not() {
    let (bad, good) = (Cards::failing(15), Cards::failing(9));
    let sad = Squall::start(&Settings::http(bad.origin.address).with(CARDS));
    let glad = Squall::start(&Settings::http(good.origin.address).with(CARDS));
    // A fifth of all is answered by a rule: that is no failure of the upstream.
    let abort = json!({"percentage": 20, "match": {"path": "/authorize"}, "sample": {"mode": "exact"}, "fault": {"abort": 503}});
    glad.api().rule("broken-cards", &abort);
    let (sad_is_over, glad_is_over) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let start = |squall: &Squall, is_over| {
            let address = squall.to_b();
            (0..8).map(|_| scope.spawn(move || call(address, "/authorize", is_over))).collect::<Vec<_>>()
        };
        let (sad_calls, glad_calls) = (start(&sad, &sad_is_over), start(&glad, &glad_is_over));
        let _end = (End(&sad_is_over), End(&glad_is_over));
        let begin = eventually("a failure", PATIENCE, || bad.first_failure.get().copied());
        eventually("it is noticed", PATIENCE, || (guard(&sad, "errors")["state"] == "breaching").then_some(()));
        pause((begin + Duration::from_secs(59)).saturating_duration_since(Instant::now()));
        assert_eq!(guard(&sad, "errors")["state"], "breaching");
        assert_eq!(sad.api().json("/v1/status")["halted"], false);
        let status = eventually("a trip", Duration::from_secs(3), || {
            let status = sad.api().json("/v1/status");
            (status["halted"] == true).then_some(status)
        });
        let after = begin.elapsed();
        println!("halted {after:?} after the first failure: {}", status["halt"]["reason"]);
        assert!((60.0..61.0).contains(&after.as_secs_f64()), "{after:?} after the first failure");
        let reason = status["halt"]["reason"].as_str().unwrap();
        assert!(reason.starts_with("guard errors: error_rate of listener to-b above 1% for 1m; 1.5"), "{reason}");
        assert_eq!(guard(&sad, "errors")["reason"], reason);

        // From here on nothing is delayed any more, though the upstream goes on failing.
        sad_is_over.store(true, Relaxed);
        let mut calls: Vec<_> = sad_calls.into_iter().flat_map(|calls| calls.join().unwrap()).collect();
        calls.retain(|call| call.ended < begin + Duration::from_secs(60));
        let faulted = calls.iter().filter(|call| call.is_faulted).count();
        // Each of eight callers may have one under way.
        assert!((calls.len() / 20 - 8..=calls.len() / 20 + 8).contains(&faulted), "{faulted} of {}", calls.len());
        let mut client = RawClient::connect(sad.to_b());
        assert!((0..100).all(|_| client.get("/authorize").header("x-squall-fault").is_none()));

        // With nine tenths of a percent it all goes on.
        assert_eq!(glad.api().json("/v1/status")["halted"], false);
        glad_is_over.store(true, Relaxed);
        let calls: Vec<_> = glad_calls.into_iter().flat_map(|calls| calls.join().unwrap()).collect();
        let count = |status: u16| calls.iter().filter(|call| call.status == status).count();
        let (real, injected) = (count(500), count(503));
        println!("{real} real and {injected} injected failures of {}", calls.len());
        assert!(injected * 5 >= calls.len() - 8 && real * 1000 >= (calls.len() - injected) * 8, "{real} {injected}");
        assert_eq!(glad.api().metrics().sum("squall_guard_trips_total", &[("guard", "errors")]), 0.0);
    });
    let audit = sad.api().json("/v1/audit");
    let halt = audit["entries"].as_array().unwrap().iter().find(|entry| entry["operation"] == "halt").unwrap();
    assert_eq!(halt["actor"]["kind"], "guard");
    let metrics = sad.api().metrics();
    assert_eq!(metrics.sum("squall_guard_trips_total", &[("guard", "errors")]), 1.0);
    let state = |state| metrics.sum("squall_guard_state", &[("guard", "errors"), ("state", state)]);
    assert_eq!((state("tripped"), state("ok")), (1.0, 0.0));
    assert!(sad.said().contains("guard errors: error_rate"), "{}", sad.said());
}

/// Ends the load, also when something is not as it should be.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[test]
fn too_many_requests_at_once_let_go_what_is_held_and_a_resume_begins_afresh() {
    let origin = Origin::ok();
    let text = "guards: [{name: queue, condition: {metric: in_flight, listener: to-b, above: 4, for: 1s}}]";
    let squall = Squall::start(&Settings::http(origin.address).with(text));
    squall.api().rule("held", &json!({"percentage": 100, "fault": {"blackhole": true}}));
    let call = || RawClient::connect(squall.to_b()).patience(Duration::from_secs(5)).get("/").status;
    std::thread::scope(|scope| {
        let calls: Vec<_> = (0..5).map(|_| scope.spawn(call)).collect();
        let begin =
            eventually("five are held", PATIENCE, || (guard(&squall, "queue")["value"] == 5.0).then(Instant::now));
        let status = eventually("a halt", PATIENCE, || {
            let status = squall.api().json("/v1/status");
            (status["halted"] == true).then_some(status)
        });
        assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
        assert!(status["halt"]["reason"].as_str().unwrap().contains("5 requests"), "{status:#}");
        assert!(calls.into_iter().all(|call| call.join().unwrap() == 200), "what was held goes on");
    });
    squall.api().resume();
    eventually("it is well again", PATIENCE, || (guard(&squall, "queue")["state"] == "ok").then_some(()));
    assert_eq!(squall.api().json("/v1/status")["halted"], false);
    eventually("it sees nothing in flight", PATIENCE, || (guard(&squall, "queue")["value"] == 0.0).then_some(()));
}

#[test]
fn a_caller_who_gives_up_on_a_held_request_is_no_failure_of_the_upstream() {
    let origin = Origin::ok();
    let text = "guards: [{name: errors, condition: {metric: error_rate, above: 1, for: 1s, minimum_requests: 1}}]";
    let squall = Squall::start(&Settings::http(origin.address).with(text));
    squall.api().rule("held", &json!({"percentage": 100, "match": {"path": "/held"}, "fault": {"blackhole": true}}));
    for _ in 0..5 {
        let mut client = RawClient::connect(squall.to_b());
        client.send("GET /held HTTP/1.1\r\nHost: b\r\n\r\n");
        eventually("it is held", PATIENCE, || (squall.api().rule_status("held")["active"] == 1).then_some(()));
        drop(client);
        eventually("it is over", PATIENCE, || (squall.api().rule_status("held")["active"] == 0).then_some(()));
    }
    let ended = |origin: &'static str| {
        let labels = [("origin", origin), ("status_class", "none")];
        squall.api().metrics().sum("squall_requests_total", &labels)
    };
    eventually("they are counted", PATIENCE, || (ended("injected") == 5.0).then_some(()));
    pause(Duration::from_millis(1500));
    assert_eq!(guard(&squall, "errors")["state"], "ok");
    assert_eq!(squall.api().json("/v1/status")["halted"], false);
}
