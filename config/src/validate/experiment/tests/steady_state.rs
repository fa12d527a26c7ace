use super::*;

/// Its only statement.
fn statement(condition: &str) -> crate::model::SteadyState {
    let statement = format!("[{{name: s, condition: {{{condition}}}}}]");
    load(&[("steady_state", &statement), ("minimum_requests", "50")]).steady_state.remove(0)
}

#[test]
fn a_statement_says_what_holds_and_means_what_must_not_be() {
    for (condition, words, broken) in [
        ("metric: error_rate, below: 1%", "error_rate below 1%", "error_rate above 1% for 1s"),
        (
            "metric: p99, direction: outbound, below: 500ms",
            "p99 of outbound traffic below 500ms",
            "p99 of outbound traffic above 500ms for 1s",
        ),
        (
            "metric: request_rate, listener: web, above: 10",
            "request_rate of listener web above 10",
            "request_rate of listener web below 10 for 1s",
        ),
        (
            "metric: in_flight, cluster: b, below: 0.5",
            "in_flight to cluster b below 0.5",
            "in_flight to cluster b above 0.5 for 1s",
        ),
        ("prometheus: \"http://p:1\", query: \" max(lag) \", below: 5", "max(lag) below 5", "max(lag) above 5 for 1s"),
        ("prometheus: \"http://p:1\", query: up, above: -1", "up above -1", "up below -1 for 1s"),
        (
            "probe: \"http://a:1/healthz?key=x\"",
            "http://a:1/healthz answers 200-299",
            "3 failed probes of http://a:1/healthz in a row",
        ),
        (
            "probe: \"http://a:1/\", status: \"204,301-302\", failures: 1",
            "http://a:1/ answers 204,301-302",
            "1 failed probes of http://a:1/ in a row",
        ),
    ] {
        let statement = statement(condition);
        assert_eq!((statement.statement.as_str(), statement.broken.to_string().as_str()), (words, broken));
    }
}

#[test]
fn what_says_nothing_of_itself_takes_it_from_the_experiment() {
    let minimum = |condition: &str| match statement(condition).broken {
        Condition::Traffic(traffic) => match traffic.measure {
            Measure::ErrorRate { minimum_requests, .. } | Measure::Latency { minimum_requests, .. } => minimum_requests,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    assert_eq!(minimum("metric: error_rate, below: 1%"), 50);
    assert_eq!(minimum("metric: p50, below: 1s, minimum_requests: 7"), 7);
    let Condition::Query(query) = statement("prometheus: \"http://p:1\", query: up, above: 0").broken else { panic!() };
    assert_eq!((query.when_blind, query.bound), (WhenBlind::Ignore, Bound::Below(0.0)));
}

#[test]
fn statements_that_say_nothing_are_refused() {
    for (condition, expected) in [
        ("", vec![": it says nothing of what to look at"]),
        ("metric: p99", vec![".below: missing"]),
        (
            "metric: p9, below: 1s",
            vec![".metric: \"p9\" is not one of error_rate, p50, p90, p95, p99, p999, in_flight, request_rate"],
        ),
        ("metric: error_rate, above: 1%", vec![".above: much of this metric is no steady state", ".below: missing"]),
        ("metric: p99, above: 1s, below: 1s", vec![".above: much of this metric is no steady state"]),
        ("metric: error_rate, below: 0", vec![".below: 0% is no bound"]),
        ("metric: p99, below: 2m", vec![".below: 2m is longer than what is told apart"]),
        ("metric: p99, below: 1s, for: 1m", vec![".for: a steady state is looked at over whole phases"]),
        ("probe: \"http://a\", for: 1m", vec![".for: a steady state is looked at over whole phases"]),
        ("metric: in_flight", vec![".below: missing"]),
        ("metric: in_flight, below: 0", vec![".below: 0 is never passed"]),
        ("metric: request_rate, above: 0", vec![".above: 0 is never passed"]),
        ("metric: in_flight, below: 9, above: 1", vec![": above and below exclude each other"]),
        (
            "metric: in_flight, below: 1, minimum_requests: 5",
            vec![".minimum_requests: this metric needs no minimum of requests"],
        ),
        ("metric: p99, probe: \"http://a\"", vec![": metric and probe exclude each other"]),
        ("probe: \"http://a\", below: 1", vec![".below: it means nothing beside probe"]),
        ("probe: healthz", vec![".probe: it is not an address of http or https"]),
        ("metric: p99, below: 1s, cluster: c", vec![".cluster: there is no cluster \"c\""]),
        (
            "metric: p99, below: 1s, listener: raw",
            vec![".listener: listener \"raw\" relays bytes, and this is a metric of HTTP"],
        ),
        (
            "metric: p99, below: 1s, direction: inbound",
            vec![": no listener of the configuration has HTTP traffic that is inbound"],
        ),
    ] {
        let path = "spec.steady_state[0].condition";
        let expected: Vec<String> = expected
            .iter()
            .map(|line| line.split_once(": ").unwrap())
            .map(|(field, detail)| format!("{path}{field}: statement \"s\": {detail}"))
            .collect();
        let statement = format!("[{{name: s, condition: {{{condition}}}}}]");
        assert_eq!(problems(&[("steady_state", &statement)]), expected, "{condition}");
    }
}

#[test]
fn hints_say_how_a_statement_is_written() {
    let hint = |condition: &str| {
        let text = experiment(&[("steady_state", &format!("[{{name: s, condition: {{{condition}}}}}]"))]);
        let problems = load_experiment_text(&text, &parse_text(&config("")).unwrap()).unwrap_err();
        problems.0[0].hint.clone().unwrap()
    };
    assert_eq!(hint("metric: error_rate, above: 1%, below: 1%"), "write below: a percentage such as 1%");
    assert_eq!(hint("metric: p99, above: 1s, below: 1s"), "write below: a duration such as 500ms");
    assert_eq!(hint("metric: in_flight, above: 1, below: 1"), "write two statements");
    assert_eq!(hint("metric: eror_rate, below: 1"), "did you mean \"error_rate\"?");
}

#[test]
fn statements_have_names_of_their_own() {
    const CONDITION: &str = "condition: {metric: p99, below: 1s}";
    let two = format!("[{{name: s, {CONDITION}}}, {{name: s, {CONDITION}}}, {{{CONDITION}}}, {{name: t}}]");
    assert_eq!(
        problems(&[("steady_state", &two)]),
        [
            "spec.steady_state[1].name: the name \"s\" is taken by spec.steady_state[0]",
            "spec.steady_state[2].name: missing",
            "spec.steady_state[3].condition: statement \"t\": missing"
        ]
    );
    let many: Vec<String> = (0..101).map(|n| format!("{{name: s{n}, {CONDITION}}}")).collect();
    assert_eq!(
        problems(&[("steady_state", &format!("[{}]", many.join(", ")))]),
        ["spec.steady_state: 101 statements are too many"]
    );
}

#[test]
fn traffic_that_nobody_sees_is_no_steady_state() {
    let against = |listeners: &str| {
        let clusters = "{name: b, endpoints: [\"127.0.0.1:9\"]}, {name: c, endpoints: [\"127.0.0.1:9\"]}";
        parse_text(&format!("version: 1\nlisteners: [{listeners}]\nclusters: [{clusters}]\n")).unwrap()
    };
    let problems = |listeners: &str, condition: &str| {
        let text = experiment(&[("steady_state", &format!("[{{name: s, condition: {{{condition}}}}}]"))]);
        let document = parse_experiment_text(&text).unwrap();
        validate_experiment(&document, &against(listeners)).map(|_| ()).map_err(|problems| lines(&problems))
    };
    let with = "{name: l, address: \"127.0.0.1:0\", cluster: b, protocol: auto, direction: inbound}";
    assert_eq!(problems(with, "metric: p99, below: 1s, direction: inbound, cluster: b"), Ok(()));
    let expect = |rest: &str| {
        Err(vec![format!(
            "spec.steady_state[0].condition: statement \"s\": no listener of the configuration has HTTP traffic{rest}"
        )])
    };
    assert_eq!(
        problems(with, "metric: p99, below: 1s, direction: outbound, cluster: b"),
        expect(" that is outbound to cluster b")
    );
    assert_eq!(problems(with, "metric: p99, below: 1s, cluster: c"), expect(" to cluster c"));
    // A listener with a problem of its own might have been the one.
    assert_eq!(
        problems("{name: l, address: x, cluster: b, direction: inbound}", "metric: p99, below: 1s, direction: inbound"),
        Ok(())
    );
}
