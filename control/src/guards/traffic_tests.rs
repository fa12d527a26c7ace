use squall_config::load_text;
use squall_config::model::{Condition, Direction, Name};

use super::*;

const BOUNDS: &[f64] = &[0.1, 0.25, 0.5, 1.0];

fn judge(condition: &str) -> TrafficJudge {
    let text = format!(
        "version: 1\nlisteners:\n- {{name: to-b, address: '127.0.0.1:0', cluster: b}}\n\
         - {{name: to-a, address: '127.0.0.1:0', cluster: a, direction: inbound}}\n\
         clusters: [{{name: a, endpoints: ['127.0.0.1:1']}}, {{name: b, endpoints: ['127.0.0.1:2']}}]\n\
         guards: [{{name: g, condition: {{{condition}}}}}]\n"
    );
    let Condition::Traffic(condition) = load_text(&text).unwrap().1.guards.remove(0).condition else {
        panic!("a condition on traffic")
    };
    TrafficJudge::new(condition)
}

fn totals(listener: &str, cluster: &str, direction: Direction) -> TrafficTotals {
    let name = |text| Name::new(text).unwrap();
    TrafficTotals {
        listener: name(listener),
        cluster: name(cluster),
        direction,
        connections: 0,
        bytes_request: 0,
        bytes_response: 0,
        begun: 0,
        ended: 0,
        injected: 0,
        failed: 0,
        durations: vec![0; BOUNDS.len() + 1],
    }
}

fn both() -> Traffic {
    let totals = vec![totals("to-b", "b", Direction::Outbound), totals("to-a", "a", Direction::Inbound)];
    Traffic { duration_bounds: BOUNDS, totals }
}

/// Looks four times a second while `change` goes on; gives the first second at which it was enough.
fn enough_at(judge: &mut TrafficJudge, seconds: u32, mut change: impl FnMut(&mut Traffic)) -> Option<f64> {
    let (begin, mut traffic) = (Instant::now(), both());
    judge.step(begin, &traffic);
    (1..=seconds * 4).find_map(|step| {
        change(&mut traffic);
        let at = Duration::from_millis(250) * step;
        judge.step(begin + at, &traffic).is_enough.then_some(at.as_secs_f64())
    })
}

#[test]
fn only_what_nobody_injected_fails_and_only_where_it_is_looked_for() {
    let mut inbound = judge("metric: error_rate, direction: inbound, above: 1, for: 5s");
    let outbound_fails = |traffic: &mut Traffic| {
        traffic.totals[0].ended += 100;
        traffic.totals[0].failed += 100;
        traffic.totals[1].ended += 100;
        traffic.totals[1].injected += 60;
    };
    assert_eq!(enough_at(&mut inbound, 20, outbound_fails), None);
    let inbound_fails = |traffic: &mut Traffic| {
        traffic.totals[1].ended += 100;
        traffic.totals[1].injected += 60;
        traffic.totals[1].failed += 2;
    };
    let mut inbound = judge("metric: error_rate, direction: inbound, above: 1, for: 5s");
    assert_eq!(enough_at(&mut inbound, 20, inbound_fails), Some(5.25));
    let mut six_of_a_hundred = judge("metric: error_rate, cluster: a, above: 6, for: 5s");
    assert_eq!(
        enough_at(&mut six_of_a_hundred, 20, inbound_fails),
        None,
        "two of forty that no rule answered are five"
    );
}

#[test]
fn few_requests_say_nothing() {
    let fails = |traffic: &mut Traffic| {
        traffic.totals[0].ended += 1;
        traffic.totals[0].failed += 1;
    };
    assert_eq!(enough_at(&mut judge("metric: error_rate, above: 1, for: 5s"), 60, fails), Some(25.0), "the hundredth");
    let eager = "metric: error_rate, above: 1, for: 5s, minimum_requests: 1";
    assert_eq!(enough_at(&mut judge(eager), 60, fails), Some(5.25), "two failures are no accident");
}

#[test]
fn a_quantile_is_beyond_its_bound_when_too_many_requests_are() {
    let slow = |bucket: usize, n: u64| {
        move |traffic: &mut Traffic| {
            traffic.totals[0].durations[0] += 100 - n;
            traffic.totals[0].durations[bucket] += n;
        }
    };
    let p99 = "metric: p99, listener: to-b, above: 500ms, for: 5s";
    assert_eq!(enough_at(&mut judge(p99), 20, slow(3, 2)), Some(5.25), "two of a hundred took from 500 ms to 1 s");
    assert_eq!(enough_at(&mut judge(p99), 20, slow(4, 2)), Some(5.25), "or longer than all bounds");
    assert_eq!(enough_at(&mut judge(p99), 20, slow(3, 1)), None, "one of a hundred is allowed");
    assert_eq!(enough_at(&mut judge(p99), 20, slow(2, 50)), None, "below the bound");
    let between = "metric: p90, above: 375ms, for: 5s";
    assert_eq!(enough_at(&mut judge(between), 20, slow(2, 22)), Some(5.25), "half of 22 are beyond");
    assert_eq!(enough_at(&mut judge(between), 20, slow(2, 18)), None, "half of 18 are not more than ten");
}

#[test]
fn requests_at_once_and_a_second_are_numbers() {
    let begins = |traffic: &mut Traffic| traffic.totals[1].begun += 3;
    let mut in_flight = judge("metric: in_flight, above: 10, for: 1s");
    assert_eq!(enough_at(&mut in_flight, 20, begins), Some(2.0), "twelve from the fourth look on");
    let mut elsewhere = judge("metric: in_flight, listener: to-b, above: 10, for: 1s");
    assert_eq!(enough_at(&mut elsewhere, 20, begins), None);
    let five_a_second = |traffic: &mut Traffic| traffic.totals[0].ended += 5;
    assert_eq!(enough_at(&mut judge("metric: request_rate, above: 21, for: 2s"), 20, five_a_second), None);
    assert_eq!(enough_at(&mut judge("metric: request_rate, above: 19, for: 2s"), 20, five_a_second), Some(2.25));
    let mut n = 0;
    let ends = |traffic: &mut Traffic| {
        n += 1;
        traffic.totals[0].ended += if n <= 40 { 5 } else { 0 };
    };
    let at = enough_at(&mut judge("metric: request_rate, below: 10, for: 2s"), 60, ends).unwrap();
    assert!((17.0..=17.5).contains(&at), "half of the ten seconds has to be silent: {at}");
}

#[test]
fn no_traffic_is_well() {
    let (begin, traffic) = (Instant::now(), both());
    for condition in ["metric: error_rate, above: 1, for: 5s", "metric: p99, above: 5ms, for: 5s"] {
        let found = judge(condition).step(begin, &traffic);
        assert_eq!((found.since, found.is_enough, found.value), (None, false, None));
    }
}
