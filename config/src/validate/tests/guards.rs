use super::*;

/// The problems of one guard with this condition, without the guard's own path and label.
fn guard_problems(condition: &str) -> Vec<String> {
    let text = document(&format!("guards:\n- {{name: g, condition: {{{condition}}}}}\n"));
    let strip = |problem: String| problem.replace("guards[0].condition", "").replace("guard \"g\": ", "");
    problems(&text).into_iter().map(strip).collect()
}

fn condition(text: &str) -> Condition {
    load(&document(&format!("guards:\n- {{name: g, condition: {{{text}}}}}\n"))).guards.remove(0).condition
}

#[test]
fn conditions_on_traffic_say_what_they_mean() {
    for (text, means) in [
        ("metric: error_rate, direction: inbound, above: 1, for: 60s", "error_rate of inbound traffic above 1% for 1m"),
        ("metric: p99, listener: web, above: 500ms, for: 30s", "p99 of listener web above 500ms for 30s"),
        ("metric: in_flight, above: 200, for: 5s", "in_flight above 200 for 5s"),
        ("metric: request_rate, cluster: b, below: 0.5, for: 1m", "request_rate to cluster b below 0.5 for 1m"),
    ] {
        assert_eq!(condition(text).to_string(), means);
    }
    let Condition::Traffic(traffic) = condition("metric: p999, above: 1s, for: 1s, minimum_requests: 7");
    let beyond = crate::units::Percentage::from_ppm(1_000).unwrap();
    let quantile = Quantile { name: "p999", beyond };
    assert_eq!(traffic.measure, Measure::Latency { quantile, above: Duration::from_secs(1), minimum_requests: 7 });
}

#[test]
fn a_guard_says_what_is_wrong_with_it() {
    for (condition, expected) in [
        (
            "metric: eror_rate, above: 1, for: 60s",
            vec![".metric: \"eror_rate\" is not one of error_rate, p50, p90, p95, p99, p999, in_flight, request_rate"],
        ),
        ("", vec![".metric: missing", ".for: missing"]),
        ("metric: error_rate, for: 1m", vec![".above: missing"]),
        (
            "metric: error_rate, below: 1, for: 1m",
            vec![".below: too little of this metric is no harm", ".above: missing"],
        ),
        ("metric: error_rate, above: 0, for: 1m", vec![".above: 0% is no bound"]),
        ("metric: error_rate, above: 100%, for: 1m", vec![".above: 100% is no bound"]),
        ("metric: p99, above: 500, for: 1m", vec![".above: the duration 500 has no unit"]),
        ("metric: p99, above: 2m, for: 1m", vec![".above: 2m is longer than what is told apart"]),
        ("metric: p99, above: 1s, for: 10ms", vec![".for: 10ms is not between 1s and 1h"]),
        ("metric: p99, above: 1s, for: 2h", vec![".for: 2h is not between 1s and 1h"]),
        ("metric: p99, above: 1s, for: 1m, minimum_requests: 0", vec![".minimum_requests: 0 is too small"]),
        ("metric: in_flight, above: 1s, for: 1m", vec![".above: \"1s\" is not a number"]),
        ("metric: in_flight, above: -1, for: 1m", vec![".above: -1 is never passed"]),
        ("metric: in_flight, below: 0, for: 1m", vec![".below: 0 is never passed"]),
        ("metric: in_flight, for: 1m", vec![".above: missing"]),
        ("metric: in_flight, above: 1, below: 1, for: 1m", vec![": above and below exclude each other"]),
        (
            "metric: in_flight, above: 1, for: 1m, minimum_requests: 5",
            vec![".minimum_requests: this metric needs no minimum of requests"],
        ),
        ("metric: in_flight, above: 1, for: 1m, listener: wep", vec![".listener: there is no listener \"wep\""]),
        ("metric: in_flight, above: 1, for: 1m, cluster: c", vec![".cluster: there is no cluster \"c\""]),
        (
            "metric: in_flight, above: 1, for: 1m, listener: raw",
            vec![".listener: listener \"raw\" relays bytes, and this is a metric of HTTP"],
        ),
        (
            "metric: in_flight, above: 1, for: 1m, direction: inbound, listener: web",
            vec![".direction: listener \"web\" is outbound, not inbound"],
        ),
    ] {
        assert_eq!(guard_problems(condition), expected, "{condition}");
    }
    assert_eq!(
        problems(&document("guards:\n- {name: g}\n- {name: g, condition: {metric: in_flight, above: 1, for: 1s}}\n")),
        ["guards[1].name: the name \"g\" is taken by guards[0]", "guards[0].condition: guard \"g\": missing"]
    );
}

#[test]
fn a_metric_that_is_not_known_has_a_suggestion() {
    let text = document("guards:\n- {name: g, condition: {metric: eror_rate, above: 1, for: 60s}}\n");
    let spec: ConfigSpec = crate::parse_text(&text).unwrap();
    let problem = crate::validate(&spec).unwrap_err().0.remove(0);
    assert_eq!(problem.hint.as_deref(), Some("did you mean \"error_rate\"?"));
}

#[test]
fn a_lease_has_a_ttl_within_bounds() {
    assert_eq!(load(&document("lease: {ttl: 30s}\n")).lease_ttl, Some(Duration::from_secs(30)));
    assert_eq!(load(&document("")).lease_ttl, None);
    for (lease, problem) in [
        ("{}", "lease.ttl: missing"),
        ("{ttl: 30}", "lease.ttl: the duration 30 has no unit"),
        ("{ttl: 10ms}", "lease.ttl: 10ms is not between 1s and 1h"),
        ("{ttl: 2h}", "lease.ttl: 2h is not between 1s and 1h"),
    ] {
        assert_eq!(problems(&document(&format!("lease: {lease}\n"))), [problem]);
    }
}
