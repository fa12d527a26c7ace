use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;
use squall_config::load_text;
use squall_config::model::{Condition, Guard};

use super::*;
use crate::guards::machine::{Machine, State, Step};

fn guard(fields: &str) -> Guard {
    load_text(&format!("version: 1\nguards: [{{name: g, {fields}}}]\n")).unwrap().1.guards.remove(0)
}

fn judge(guard: &Guard) -> RemoteJudge {
    match guard.condition.clone() {
        Condition::Query(query) => RemoteJudge::of_query(query),
        Condition::Probe(probe) => RemoteJudge::of_probe(probe),
        Condition::Traffic(_) => panic!("not over HTTP"),
    }
}

const QUERY: &str = "condition: {prometheus: 'http://p:9090/x/', query: 'a + b', above: 5, for: 10s}";

fn said(status: u16, body: &Value) -> Result<WebAnswer, String> {
    Ok(WebAnswer { status, body: body.to_string().into_bytes() })
}

fn number(text: &str) -> Result<WebAnswer, String> {
    said(200, &json!({"status": "success", "data": {"resultType": "scalar", "result": [1.5, text]}}))
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn a_query_is_asked_as_prometheus_wants_it() {
    let request = judge(&guard(QUERY)).request();
    assert_eq!(request.url.to_string(), "http://p:9090/x/api/v1/query?query=a%20%2B%20b");
    assert!(
        request.body_bytes_max > 1000
            && judge(&guard("condition: {probe: 'http://a:1'}")).request().body_bytes_max == 0
    );
}

#[test]
fn one_number_is_a_number_and_all_else_is_none() {
    let vector = |values: &[&str]| {
        let series: Vec<Value> = values.iter().map(|v| json!({"metric": {"a": "b"}, "value": [1, v]})).collect();
        json!({"status": "success", "data": {"resultType": "vector", "result": series}})
    };
    for (value, text) in [(2.5, "2.5"), (f64::INFINITY, "+Inf"), (f64::NEG_INFINITY, "-Inf"), (-1e9, "-1e9")] {
        assert_eq!(number_in(&number(text).unwrap()), Ok(value));
        assert_eq!(number_in(&said(200, &vector(&[text])).unwrap()), Ok(value));
    }
    for (answer, what) in [
        (said(200, &vector(&[])), "no series"),
        (said(200, &vector(&["1", "2"])), "gives 2 series"),
        (said(200, &vector(&["NaN"])), "NaN"),
        (said(200, &json!({"status": "success", "data": {"resultType": "matrix", "result": []}})), "a matrix"),
        (said(200, &json!({"status": "success", "data": {"resultType": "scalar", "result": []}})), "no number"),
        (said(400, &json!({"status": "error", "error": "parse error"})), "status 400: parse error"),
        (said(503, &json!("starting")), "status 503"),
        (Ok(WebAnswer { status: 200, body: b"<html>".to_vec() }), "no answer of Prometheus"),
    ] {
        let trouble = number_in(&answer.unwrap()).unwrap_err();
        assert!(trouble.contains(what), "{trouble}");
    }
}

#[test]
fn a_number_that_is_too_large_for_long_enough_trips() {
    let guard = guard(QUERY);
    let (mut judge, mut machine, begin) = (judge(&guard), Machine::new(guard), Instant::now());
    let mut step = |second: u64, answer| {
        let now = begin + seconds(second);
        let found = judge.step(now, answer);
        (machine.step(now, &found), machine.state(), machine.due())
    };
    assert_eq!(step(0, number("5")), (Step::Same, State::Ok, None));
    let breaching = State::Breaching { since: begin + seconds(5) };
    assert_eq!(step(5, number("5.1")), (Step::Changed, breaching, Some(begin + seconds(15))));
    // Nobody sees it for a moment: it goes on all the same.
    let blind = State::Blind { since: begin + seconds(10) };
    assert_eq!(step(10, Err("refused".to_owned())), (Step::Changed, blind, Some(begin + seconds(25))));
    let tripped = State::Tripped { since: begin + seconds(15) };
    let reason = "guard g: a + b above 5 for 10s; 6 in 10.0 s".to_owned();
    assert_eq!(step(15, number("6")), (Step::Trip(reason), tripped, None));
}

#[test]
fn who_sees_nothing_for_too_long_trips_unless_that_is_to_be_ignored() {
    for (more, trips) in [("", true), ("blind: halt, blind_after: 15s, ", true), ("blind: ignore, ", false)] {
        let guard = guard(&format!("{more}{QUERY}"));
        let (mut judge, mut machine, begin) = (judge(&guard), Machine::new(guard), Instant::now());
        let steps: Vec<Step> = (0..5)
            .map(|n| {
                let now = begin + seconds(5 * n);
                let found = judge.step(now, Err("connection refused".to_owned()));
                machine.step(now, &found)
            })
            .collect();
        let reason = "guard g is blind for 15.0 s: http://p:9090/x/: connection refused".to_owned();
        let last = if trips { Step::Trip(reason) } else { Step::Same };
        assert_eq!(steps, [Step::Changed, Step::Same, Step::Same, last, Step::Same], "{more}");
    }
}

proptest! {
    /// A probe trips at the first time that so many in a row have failed, whatever came before.
    #[test]
    fn a_probe_counts_failures_in_a_row(statuses in proptest::collection::vec(prop_oneof![Just(0_u16), Just(200), Just(204), Just(503)], 1..40)) {
        let guard = guard("condition: {probe: 'http://a:1/healthz', failures: 4}");
        let (mut judge, mut machine, begin) = (judge(&guard), Machine::new(guard), Instant::now());
        let (mut row, mut tripped) = (0, false);
        for (index, status) in statuses.into_iter().enumerate() {
            let now = begin + seconds(index as u64);
            let answer = match status {
                0 => Err("connection refused".to_owned()),
                status => Ok(WebAnswer { status, body: Vec::new() }),
            };
            row = if status / 100 == 2 { 0 } else { row + 1 };
            let found = judge.step(now, answer);
            let is_due = row == 4 && !tripped;
            prop_assert_eq!(matches!(machine.step(now, &found), Step::Trip(_)), is_due);
            tripped |= is_due;
        }
    }
}
