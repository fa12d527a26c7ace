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
    let Condition::Traffic(traffic) = condition("metric: p999, above: 1s, for: 1s, minimum_requests: 7") else {
        panic!("a metric")
    };
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
        ("", vec![": it says nothing of what to look at"]),
        ("metric: p50", vec![".for: missing", ".above: missing"]),
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

#[test]
fn conditions_over_http_say_what_they_mean() {
    let text = document(
        "guards:\n- {name: q, blind: ignore, condition: {prometheus: \"http://127.0.0.1:9090/p\", query: up, below: 1, for: 1m}}\n\
         - {name: r, condition: {prometheus: \"https://p.example\", query: \"sum(x)\", above: 0.5, for: 1m, every: 10s, \
         timeout: 2s, token_file: t, ca: c}}\n\
         - {name: p, condition: {probe: \"http://127.0.0.1:8000/healthz?key=x\", status: \"200,301-302\", failures: 5}}\n\
         - {name: d, condition: {probe: \"http://a.example:1\", every: 500ms}}\n",
    );
    let conditions: Vec<Condition> = load(&text).guards.into_iter().map(|guard| guard.condition).collect();
    let [Condition::Query(q), Condition::Query(r), Condition::Probe(p), Condition::Probe(d)] = &conditions[..] else {
        panic!("{conditions:?}")
    };
    let seconds = Duration::from_secs;
    assert_eq!(
        (q.to_string().as_str(), q.when_blind, q.bound),
        ("up below 1 for 1m", WhenBlind::Ignore, Bound::Below(1.0))
    );
    assert_eq!((q.target.every, q.target.timeout), (seconds(5), seconds(1)));
    assert_eq!((r.when_blind, r.target.timeout), (WhenBlind::HaltAfter(seconds(30)), seconds(2)));
    assert_eq!((r.target.token_file.clone(), r.target.ca.clone()), (Some("t".into()), Some("c".into())));
    assert_eq!(p.to_string(), "5 failed probes of http://127.0.0.1:8000/healthz in a row");
    assert_eq!([200, 201, 301, 302, 303].map(|status| p.accepts(status)), [true, false, true, true, false]);
    assert_eq!((d.failures, d.target.timeout, d.accepts(299), d.accepts(300)), (3, seconds(1) / 2, true, false));
}

#[test]
fn what_cannot_be_asked_is_refused() {
    const QUERY: &str = "prometheus: \"http://p:1\", query: up, above: 1, for: 1m";
    for (condition, expected) in [
        ("metric: p50, probe: \"http://a\"", ": metric and probe exclude each other"),
        ("query: up, above: 1, for: 1m", ".prometheus: missing"),
        ("prometheus: \"http://p:1\", above: 1, for: 1m", ".query: missing"),
        ("prometheus: \"http://p:1\", query: up, for: 1m", ".above: missing"),
        ("prometheus: \"http://p:1\", query: up, above: 1", ".for: missing"),
        ("prometheus: \"http://p:1\", query: \" \", above: 1, for: 1m", ".query: it is empty"),
        ("prometheus: \"http://p:1/?a=b\", query: up, above: 1, for: 1m", ".prometheus: an address with a query"),
        ("prometheus: \"p:9090\", query: up, above: 1, for: 1m", ".prometheus: it is not an address of http or https"),
        ("probe: \"http://user:secret@a\"", ".probe: there is a user in it"),
        ("probe: /healthz", ".probe: it is not an address of http or https"),
        ("probe: \"http://a\", status: ok", ".status: \"ok\" names no statuses"),
        ("probe: \"http://a\", status: 299-200", ".status: \"299-200\" names no statuses"),
        ("probe: \"http://a\", failures: 0", ".failures: 0 is too small"),
        ("probe: \"http://a\", every: 1ms", ".every: 1ms is not between 100ms and 1m"),
        ("probe: \"http://a\", timeout: 2s", ".timeout: 2s is longer than the time between two questions"),
        ("probe: \"http://a\", ca: c", ".ca: nobody has to vouch for an http address"),
        ("probe: \"https://a\", ca: \"\"", ".ca: no file is named"),
        ("probe: \"http://a\", for: 1m", ".for: it means nothing beside probe"),
        ("metric: in_flight, above: 1, for: 1m, every: 1s", ".every: it means nothing beside metric"),
        (&format!("{QUERY}, listener: web"), ".listener: it means nothing beside prometheus"),
    ] {
        assert_eq!(guard_problems(condition), [expected], "{condition}");
    }
    for (more, expected) in [
        ("blind: stop", "guards[0].blind: guard \"g\": \"stop\" is not one of halt, ignore"),
        ("blind_after: 1s", "guards[0].blind_after: guard \"g\": 1s is shorter than the time between two queries"),
        (
            "blind: ignore, blind_after: 1m",
            "guards[0].blind_after: guard \"g\": nothing happens after it: blind is ignore",
        ),
    ] {
        let text = document(&format!("guards:\n- {{name: g, {more}, condition: {{{QUERY}}}}}\n"));
        assert_eq!(problems(&text), [expected], "{more}");
    }
    let text = document("guards:\n- {name: g, blind: halt, condition: {metric: in_flight, above: 1, for: 1m}}\n");
    assert_eq!(problems(&text), ["guards[0].blind: guard \"g\": only a guard that asks Prometheus can be blind"]);
}
