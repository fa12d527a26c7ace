//! The share that is hit is the share that was asked for: 20,000 keep-alive requests with a fixed seed.

use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};
use squall_integration::client;
use squall_integration::load::{Outcome, closed_loop};
use squall_integration::origin::Origin;
use squall_integration::{Settings, Squall};

const REQUESTS: usize = 20_000;
/// One test at a time: each fills both cores.
static ALONE: Mutex<()> = Mutex::new(());

/// What 20,000 requests met under one rule, and the proxy afterwards.
fn under(rule: &Value, seed: u64) -> (Vec<Outcome>, Squall) {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let origin = Origin::ok();
    let squall = Squall::start(&Settings::http(origin.address).with(&format!("seed: {seed}")));
    squall.api().rule("r", rule);
    let address = squall.to_b();
    let outcomes = client::run(Duration::from_secs(120), closed_loop(address, "/v1/x", REQUESTS, 32));
    assert_eq!(outcomes.len(), REQUESTS);
    assert!(outcomes.iter().all(|o| o.error.is_none() && o.status != 0), "no failure that no rule asked for");
    (outcomes, squall)
}

fn faulted(outcomes: &[Outcome]) -> usize {
    outcomes.iter().filter(|o| o.fault.is_some()).count()
}

#[expect(clippy::cast_precision_loss, reason = "small counts")]
fn check_counters(squall: &Squall, hits: usize) {
    let m = squall.api().metrics();
    assert_eq!(squall.api().injected("r"), hits as u64);
    assert_eq!(m.sum("chaos_injected_faults_total", &[("rule", "r")]), hits as f64);
    assert_eq!(m.sum("chaos_rule_matched_total", &[("rule", "r")]), REQUESTS as f64);
    assert_eq!(m.sum("squall_requests_total", &[("listener", "to-b")]), REQUESTS as f64);
}

/// How often the round below may be repeated: a pause of a shared machine makes an untouched request slow as well.
const ROUNDS: usize = 3;

#[test]
fn five_percent_are_delayed_and_the_others_are_not() {
    let slow = (0..ROUNDS).map(|_| slow_ones_beside_five_percent()).find(|slow| *slow == 0);
    assert_eq!(slow, Some(0), "untouched requests of 200 ms and more in each of {ROUNDS} rounds");
}

/// One round; returns how many of the requests that no fault touched took 200 ms all the same.
#[expect(clippy::cast_precision_loss, reason = "small counts")]
fn slow_ones_beside_five_percent() -> usize {
    let (outcomes, squall) = under(&json!({"percentage": 5, "fault": {"delay": "200ms"}}), 42);
    assert!(outcomes.iter().all(|o| o.status == 200));
    let (delayed, untouched): (Vec<_>, Vec<_>) = outcomes.iter().partition(|o| o.fault.is_some());
    let hits = delayed.len();
    eprintln!("5 % of {REQUESTS} with seed 42: {hits} delayed");
    assert!((880..=1120).contains(&hits), "{hits}: not within 4.4 and 5.6 %");
    for outcome in delayed {
        assert_eq!(outcome.fault.as_deref(), Some("rule=r; kind=delay"));
        assert!(outcome.took >= Duration::from_millis(200), "{outcome:?}");
    }
    check_counters(&squall, hits);
    let m = squall.api().metrics();
    let labels = [("rule", "r"), ("cluster", "service-b"), ("listener", "to-b")];
    assert_eq!(m.sum("chaos_injected_network_latency_seconds_count", &labels), hits as f64);
    let sum = m.sum("chaos_injected_network_latency_seconds_sum", &labels);
    assert!((0.2 * hits as f64..0.25 * hits as f64).contains(&sum), "{sum} s over {hits}");
    let slow: Vec<_> = untouched.iter().filter(|o| o.took >= Duration::from_millis(200)).collect();
    if !slow.is_empty() {
        eprintln!("untouched, but slow: {slow:?}");
    }
    slow.len()
}

#[test]
fn the_same_seed_hits_the_same_number() {
    let rule = json!({"percentage": 5, "fault": {"abort": 503}});
    let first = faulted(&under(&rule, 42).0);
    assert_eq!(faulted(&under(&rule, 42).0), first, "seed 42 again");
    let others: Vec<usize> = [43, 44, 45].map(|seed| faulted(&under(&rule, seed).0)).to_vec();
    eprintln!("5 % of {REQUESTS}: {first} with seed 42, {others:?} with 43, 44, 45");
    assert!(others.iter().any(|o| *o != first), "other seeds are other numbers");
    assert!(others.iter().all(|o| (880..=1120).contains(o)), "{others:?}");
}

#[test]
fn zero_percent_is_none() {
    let (outcomes, squall) = under(&json!({"percentage": 0, "fault": {"abort": 503}}), 1);
    assert_eq!(faulted(&outcomes), 0);
    check_counters(&squall, 0);
}

#[test]
fn a_hundred_percent_is_all() {
    let (outcomes, squall) = under(&json!({"percentage": 100, "fault": {"abort": 503}}), 1);
    assert_eq!(faulted(&outcomes), REQUESTS);
    assert!(outcomes.iter().all(|o| o.status == 503));
    check_counters(&squall, REQUESTS);
}

#[test]
fn exact_is_exact() {
    let rule = json!({"percentage": 5, "sample": {"mode": "exact"}, "fault": {"delay": "20ms"}});
    let (outcomes, squall) = under(&rule, 1);
    assert_eq!(faulted(&outcomes), 1000);
    check_counters(&squall, 1000);
}

#[test]
fn four_decimals_count() {
    let rule = json!({"percentage": 0.05, "sample": {"mode": "exact"}, "fault": {"abort": 503}});
    assert_eq!(faulted(&under(&rule, 1).0), 10, "0.05 % of 20,000");
}
