use super::*;

#[test]
fn a_document_says_what_it_is() {
    let against = ConfigSpec::default();
    let problems = |text: &str| {
        let document = parse_experiment_text(text).unwrap();
        lines(&validate_experiment(&document, &against).map(|_| ()).unwrap_err())
    };
    assert_eq!(problems("{}"), ["apiVersion: missing", "kind: missing", "metadata: missing", "spec: missing"]);
    assert_eq!(
        problems("{apiVersion: squall.dev/v1, kind: Experiments, metadata: {name: A b}}"),
        [
            "apiVersion: \"squall.dev/v1\" is not known",
            "kind: \"Experiments\" is not known",
            "metadata.name: 'A' cannot be in a name; use a-z, 0-9, '-', '_' and '.'",
            "spec: missing"
        ]
    );
    assert_eq!(
        problems("{apiVersion: squall.dev/v1alpha1, kind: Experiment, metadata: {}, spec: {}}"),
        ["metadata.name: missing", "spec.hypothesis: missing", "spec.steady_state: missing", "spec.method: missing"]
    );
}

#[test]
fn what_makes_no_sense_is_refused() {
    let long = "x".repeat(201);
    let links = format!("[{}]", vec!["http://a"; 101].join(", "));
    let steps: Vec<String> = (0..51)
        .map(|n| format!("{{rules: [{{name: r{n}, percentage: 5, fault: {{delay: 2s}}}}], hold: 1s}}"))
        .collect();
    let steps = format!("[{}]", steps.join(", "));
    for (field, value, expected) in [
        ("hypothesis", "\" \"", "spec.hypothesis: it is empty"),
        ("hypothesis", &"x".repeat(10_001), "spec.hypothesis: it is longer than 10000 characters"),
        ("title", "\"\"", "spec.title: it is empty"),
        ("title", "\"a\\nb\"", "spec.title: it is more than a line"),
        ("title", &long, "spec.title: it is longer than 200 characters"),
        ("owner", "\"\\u001b[31m\"", "spec.owner: it is more than a line"),
        ("links", "[\"https://a/b\", \"javascript:alert(1)\"]", "spec.links[1]: it is not an address of http or https"),
        ("links", "[wiki]", "spec.links[0]: it is not an address of http or https"),
        ("links", &links, "spec.links: 101 links are too many"),
        ("baseline", "0s", "spec.baseline: 0s is too short"),
        ("baseline", "25h", "spec.baseline: 1day 1h is too long"),
        ("baseline", "30", "spec.baseline: the duration 30 has no unit"),
        ("recovery", "999ms", "spec.recovery: 999ms is too short"),
        ("recovery", "2days", "spec.recovery: 2days is too long"),
        ("rollback", "{over: 25h}", "spec.rollback.over: 1day 1h is too long"),
        ("duration", "500ms", "spec.duration: 500ms is too short"),
        ("duration", "25h", "spec.duration: 1day 1h is too long"),
        ("duration", "1m", "spec.duration: 1m is shorter than its parts, which take 2m together"),
        ("schedule", "{}", "spec.schedule: it says nothing"),
        ("schedule", "{every: 1h, at: 2026-12-01T10:00:00Z}", "spec.schedule: at and every exclude each other"),
        ("schedule", "{at: tomorrow}", "spec.schedule.at: \"tomorrow\" is not a time"),
        ("schedule", "{at: 2026-13-01T10:00:00Z}", "spec.schedule.at: \"2026-13-01T10:00:00Z\" is not a time"),
        (
            "schedule",
            "{at: \"2026-12-01T10:00:00+01:00\"}",
            "spec.schedule.at: \"2026-12-01T10:00:00+01:00\" is not a time",
        ),
        ("schedule", "{every: 59s}", "spec.schedule.every: 59s is too short"),
        ("schedule", "{every: 2years}", "spec.schedule.every: 2years is too long"),
        ("schedule", "{every: 2m}", "spec.schedule.every: 2m is not longer than its parts, which take 2m together"),
        ("minimum_requests", "0", "spec.minimum_requests: 0 is too small"),
        ("minimum_requests", "1000000001", "spec.minimum_requests: 1000000001 is too large"),
        ("joined_per_second", "0", "spec.joined_per_second: 0 is too small"),
        ("joined_per_second", "1000000001", "spec.joined_per_second: 1000000001 is too large"),
        ("expect", "{harmed: 101}", "spec.expect.harmed: 101 is not between 0 and 100"),
        (
            "expect",
            "{amplification: 0.9}",
            "spec.expect.amplification: 0.9 is less than one call, or no number of calls",
        ),
        ("fallback", "{}", "spec.fallback.header: missing"),
        ("fallback", "{header: a b}", "spec.fallback.header: \"a b\" is not a header name"),
        ("fallback", "{header: a, value: \" x\"}", "spec.fallback.value: no header field has the value \" x\""),
        ("fallback", "{header: a, value: \"\"}", "spec.fallback.value: no header field has the value \"\""),
        ("fallback", "{header: a, value: \"x\\ny\"}", "spec.fallback.value: \"x\\ny\" cannot be in a header field"),
        ("method", "[]", "spec.method: missing"),
        ("method", &steps, "spec.method: 51 steps are too many"),
        ("steady_state", "[]", "spec.steady_state: missing"),
    ] {
        assert_eq!(problems(&[(field, value)]), [expected], "{field}: {value}");
    }
}

#[test]
fn amplification_is_a_number() {
    let spec = crate::spec::ExpectSpec { amplification: Some(f64::INFINITY), ..Default::default() };
    let mut report = Report::default();
    let _ = expect::expect(&spec, &mut report);
    let expected = "spec.expect.amplification: inf is less than one call, or no number of calls";
    assert_eq!(lines(&report.into_result().unwrap_err()), [expected]);
}

#[test]
fn all_parts_together_take_no_longer_than_a_day() {
    assert_eq!(
        load(&[("method", &step("hold: 23h")), ("baseline", "30m"), ("recovery", "30m")]).duration.as_secs(),
        86_400
    );
    assert_eq!(
        problems(&[("method", &step("hold: 23h")), ("baseline", "30m"), ("recovery", "31m")]),
        ["spec.method: with all its phases it takes 1day 1m"]
    );
    // The first problem is not told twice.
    assert_eq!(
        problems(&[("method", &step("hold: 25h")), ("duration", "1s")]),
        ["spec.method[0].hold: 1day 1h is too long"]
    );
}

#[test]
fn guards_are_as_those_of_the_configuration() {
    let guard = |text: &str| problems(&[("guards", &format!("[{text}]"))]);
    assert_eq!(guard("{name: g}"), ["spec.guards[0].condition: guard \"g\": missing"]);
    assert_eq!(
        guard("{name: g, condition: {metric: p99, above: 1s}}"),
        ["spec.guards[0].condition.for: guard \"g\": missing"]
    );
    const FINE: &str = "{name: g, condition: {metric: in_flight, above: 1, for: 1s}}";
    assert_eq!(guard(&format!("{FINE}, {FINE}")), ["spec.guards[1].name: the name \"g\" is taken by spec.guards[0]"]);
    assert_eq!(
        problems_in(&format!("guards: [{FINE}]\n"), &[("guards", &format!("[{FINE}]"))]),
        ["spec.guards[0].name: the name \"g\" is taken by a guard of the configuration"]
    );
}
