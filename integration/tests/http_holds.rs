//! Requests that a fault holds are released by halt, removal, expiry and replacement of its rule, at once.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use squall_integration::echo::Echo;
use squall_integration::origin::Origin;
use squall_integration::{End, RawClient, Settings, Squall, eventually};

const GET: &str = "GET /echo HTTP/1.1\r\nHost: b\r\n\r\n";
const SOON: Duration = Duration::from_secs(2);

struct Held {
    _echo: Echo,
    squall: Squall,
    clients: Vec<RawClient>,
}

/// Ten requests that rule `r` holds.
fn held(rule: &Value) -> Held {
    let echo = Echo::http1();
    let squall = Squall::start(&Settings::http(echo.address));
    squall.api().rule("r", rule);
    let mut clients: Vec<RawClient> = (0..10).map(|_| RawClient::connect(squall.to_b())).collect();
    for client in &mut clients {
        client.send(GET);
    }
    eventually("ten held requests", SOON, || {
        (squall.api().metrics().sum("chaos_active_faults", &[("rule", "r")]) == 10.0).then_some(())
    });
    Held { _echo: echo, squall, clients }
}

impl Held {
    /// All go on to the upstream within a moment.
    fn all_pass(mut self, why: &str) {
        let begin = Instant::now();
        for client in &mut self.clients {
            let answer = client.answer();
            assert_eq!(answer.status, 200, "{why}: {answer:?}");
        }
        assert!(begin.elapsed() < SOON, "{why}: released after {:?}", begin.elapsed());
        let active = self.squall.api().metrics().sum("chaos_active_faults", &[]);
        assert_eq!(active, 0.0, "{why}");
    }

    /// All end, answered or closed, within a moment.
    fn all_end(mut self, why: &str) {
        let begin = Instant::now();
        for client in &mut self.clients {
            let answer = client.try_answer("GET");
            let silence = answer.as_ref().is_err_and(|e| squall_integration::raw::end_of(e) == Some(End::Silence));
            assert!(!silence, "{why}: still held");
        }
        assert!(begin.elapsed() < SOON, "{why}: released after {:?}", begin.elapsed());
    }
}

fn delay() -> Value {
    json!({"percentage": 100, "fault": {"delay": "60s"}})
}

#[test]
fn halt_releases_and_latches() {
    let held = held(&delay());
    let (api, address) = (held.squall.api(), held.squall.to_b());
    api.halt();
    held_status(&api, true);
    assert_eq!(api.metrics().sum("chaos_halted", &[]), 1.0);
    let mut other = RawClient::connect(address);
    assert_eq!(other.get("/echo").status, 200, "no new fault while halted");
    api.rule("new", &json!({"percentage": 100, "fault": {"abort": 503}}));
    assert_eq!(other.get("/echo").status, 200, "not even by a new rule");
    api.remove("r");
    api.resume();
    held_status(&api, false);
    assert_eq!(other.get("/echo").status, 503, "after resume");
    api.remove("new");
    held.all_pass("halt");
}

fn held_status(api: &squall_integration::Api, halted: bool) {
    let status = api.json("/v1/status");
    // `halted` may be a flag or an object that tells more.
    let is_halted = status["halted"].as_bool().unwrap_or(!status["halted"].is_null());
    assert_eq!(is_halted, halted, "{status}");
}

#[test]
fn removal_releases() {
    let held = held(&delay());
    held.squall.api().remove("r");
    held.all_pass("DELETE");
}

#[test]
fn disabling_releases() {
    let held = held(&delay());
    held.squall.api().call("PATCH", "/v1/rules/r", &[], "{\"enabled\": false}");
    held.all_pass("PATCH enabled: false");
}

#[test]
fn replacing_the_set_releases() {
    let held = held(&delay());
    assert_eq!(held.squall.api().put("/v1/rules", "{\"rules\": []}").status, 200);
    held.all_pass("PUT of no rules");
}

#[test]
fn expiry_releases() {
    let begin = Instant::now();
    let held = held(&json!({"percentage": 100, "fault": {"delay": "60s"}, "ttl": "2s"}));
    assert!(held.squall.api().rule_status("r")["expires_at"].is_string());
    let api = held.squall.api();
    eventually("the rule expires", Duration::from_secs(5), || (api.get("/v1/rules/r").status == 404).then_some(()));
    assert!((Duration::from_secs(2)..Duration::from_millis(3500)).contains(&begin.elapsed()), "{:?}", begin.elapsed());
    held.all_pass("expiry");
}

#[test]
fn another_rules_change_releases_nobody() {
    let mut held = held(&delay());
    let api = held.squall.api();
    api.rule("other", &json!({"percentage": 0, "fault": {"abort": 503}}));
    api.remove("other");
    for client in &mut held.clients {
        assert!(client.is_silent_for(Duration::from_millis(50)), "still held");
    }
    api.remove("r");
    held.all_pass("removal");
}

#[test]
fn blackholes_end_too() {
    for why in ["halt", "removal"] {
        let held = held(&json!({"percentage": 100, "fault": {"blackhole": true}}));
        match why {
            "halt" => held.squall.api().halt(),
            _ => held.squall.api().remove("r"),
        }
        held.all_end(why);
    }
}

#[test]
fn response_delays_are_released() {
    let held = held(&json!({"percentage": 100, "fault": {"delay": {"fixed": "60s", "on": "response"}}}));
    held.squall.api().halt();
    held.all_pass("halt");
}

/// An upstream that answers with 20 bytes: the head and `first` of them at once, the rest when it is told to.
fn in_two_parts(first: usize) -> (Origin, mpsc::Sender<()>) {
    let (go_on, told) = mpsc::channel();
    let told = Mutex::new(told);
    let origin = Origin::start(move |mut peer| {
        let (head, body) = ("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n", "x".repeat(20));
        let answer = format!("{head}{body}");
        let now = if first == 0 { 0 } else { head.len() + first };
        peer.request();
        peer.send(&answer[..now]);
        let _ = told.lock().unwrap().recv();
        peer.send(&answer[now..]);
    });
    (origin, go_on)
}

#[test]
fn halt_calls_off_a_reset_whose_bytes_have_not_passed() {
    let (origin, go_on) = in_two_parts(10);
    let squall = Squall::start(&Settings::http(origin.address));
    let fault = json!({"reset": {"on": "response", "after_bytes": 15}});
    squall.api().rule("r", &json!({"percentage": 100, "fault": fault}));
    let mut client = RawClient::connect(squall.to_b());
    client.send(GET);
    let begun = client.read_exact("HTTP/1.1 200 OK".len());
    assert_eq!(begun, b"HTTP/1.1 200 OK");
    squall.api().halt();
    go_on.send(()).unwrap();
    let mut body = Vec::new();
    while !body.ends_with(&[b'x'; 20]) {
        body.extend(client.read_exact(1));
    }
}

#[test]
fn a_delay_of_the_response_that_was_halted_before_it_came_is_not_injected() {
    let (origin, go_on) = in_two_parts(0);
    let squall = Squall::start(&Settings::http(origin.address));
    let api = squall.api();
    api.rule("r", &json!({"percentage": 100, "fault": {"delay": {"fixed": "60s", "on": "response"}}}));
    let mut client = RawClient::connect(squall.to_b());
    client.send(GET);
    eventually("the request arrives", SOON, || (origin.seen().len() == 1).then_some(()));
    api.halt();
    go_on.send(()).unwrap();
    let answer = client.answer();
    assert_eq!((answer.status, answer.header("x-squall-fault")), (200, None), "{answer:?}");
    assert_eq!(api.injected("r"), 0);
}

#[test]
fn a_client_that_gives_up_gives_its_budget_back() {
    let mut held = held(&delay());
    held.clients.clear();
    eventually("no active fault", SOON, || {
        (held.squall.api().metrics().sum("chaos_active_faults", &[("rule", "r")]) == 0.0).then_some(())
    });
}
