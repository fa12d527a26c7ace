use super::*;

#[test]
fn the_example_is_valid_in_the_example() {
    let (against, _) = load_text(crate::example()).unwrap();
    let (document, experiment) = load_experiment_text(crate::example_experiment(), &against).unwrap();
    assert_eq!((experiment.name.as_str(), experiment.method.len(), experiment.steady_state.len()), ("slow-b", 1, 2));
    assert_eq!(experiment.steady_state[1].statement, "p99 of inbound traffic below 500ms");
    assert_eq!(document.spec.unwrap().title, Some(experiment.title));
}

/// Fields that are only named in comments of the example can be written as they stand there.
#[test]
fn what_the_example_only_mentions_is_valid_too() {
    let (against, _) = load_text(crate::example()).unwrap();
    let is_field = |line: &str| {
        let name = line.trim_start().strip_prefix("# ").and_then(|rest| rest.split_once(':')).map(|(name, _)| name);
        name.is_some_and(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
            || line.trim_start().starts_with("# - name: ")
            || line.trim_start().starts_with("#   condition: ")
    };
    let shown = |line: &str| if is_field(line) { line.replacen("# ", "", 1) } else { line.to_owned() };
    let text: String = crate::example_experiment().lines().map(|line| shown(line) + "\n").collect();
    let (_, experiment) = load_experiment_text(&text, &against).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
    assert_eq!((experiment.steady_state.len(), experiment.duration.as_secs()), (3, 300));
    assert!(experiment.schedule.is_some() && experiment.fallback.is_some() && !experiment.expect.unsafe_retries);
    assert!(!experiment.expect.stop_on_harm && !experiment.rollback.is_zero() && !experiment.method[0].pause.is_zero());
}

#[test]
fn all_problems_come_at_once_with_their_places() {
    let against = parse_text(&config("")).unwrap();
    let text = "apiVersion: squall.dev/v1alpha1\nkind: Experiment\nmetadata: {name: e, label: {}}\nspec:\n  hypothesis: [1]\n  \
                steady_state:\n  - {name: s, condition: {metric: p99, belw: 1s}}\n  method:\n  - nonsense\n  - rules:\n    - name: r\n      \
                percentge: 5\n      fault: {delay: 2}\n      experiment: e\n    holds: 1m\n";
    let found: Vec<String> = load_experiment_text(text, &against)
        .map(|_| ())
        .unwrap_err()
        .0
        .iter()
        .map(|problem| problem.to_string().split("; ").next().unwrap().to_owned())
        .collect();
    assert_eq!(
        found,
        [
            "metadata.label (line 3, column 21): unknown field \"label\"",
            "spec.hypothesis (line 5, column 3): expected a text, found a list",
            "spec.steady_state[0].condition.below (line 7, column 15): statement \"s\": missing",
            "spec.steady_state[0].condition.belw (line 7, column 40): unknown field \"belw\"",
            "spec.method[0] (line 9, column 5): expected an object with rules and hold, found the text \"nonsense\"",
            "spec.method[1].hold (line 10, column 5): missing",
            "spec.method[1].rules[0].percentage (line 11, column 7): rule \"r\": missing",
            "spec.method[1].rules[0].percentge (line 12, column 7): unknown field \"percentge\"",
            "spec.method[1].rules[0].fault.delay (line 13, column 15): rule \"r\": the duration 2 has no unit",
            "spec.method[1].rules[0].experiment (line 14, column 7): unknown field \"experiment\"",
            "spec.method[1].holds (line 15, column 5): unknown field \"holds\"",
        ]
    );
}

#[test]
fn unknown_fields_have_suggestions() {
    let body = json!({"kind": "Experiment", "metdata": {}, "spec": {"hypotesis": "x", "percentage": 5, "method": [{"hlod": "1m"}]}});
    let problems = parse_value::<ExperimentDocument>(&body).unwrap_err();
    let hints: Vec<(&str, &str)> =
        problems.0.iter().map(|problem| (problem.path.as_str(), problem.hint.as_deref().unwrap())).collect();
    assert_eq!(
        hints,
        [
            ("metdata", "did you mean \"metadata\"?"),
            ("spec.hypotesis", "did you mean \"hypothesis\"?"),
            ("spec.method[0].hlod", "did you mean \"hold\"?"),
            ("spec.percentage", "\"percentage\" belongs in spec.pods"),
        ]
    );
}

#[test]
fn text_that_is_no_experiment_is_one_problem() {
    let against = ConfigSpec::default();
    for (text, part) in [
        ("", "the file is empty; `squall config init --experiment` writes one to begin with"),
        ("kind: [", "unclosed bracket"),
        ("- 1\n", "expected an object, found a list"),
        ("42", "expected an object with apiVersion, kind, metadata and spec"),
    ] {
        for problems in [parse_experiment_text(text).unwrap_err(), load_experiment_text(text, &against).unwrap_err()] {
            assert_eq!(problems.0.len(), 1, "{text:?}: {problems}");
            assert!(problems.to_string().contains(part), "{text:?}: {problems}");
        }
    }
}

#[test]
fn json_is_read_as_well_as_yaml() {
    let document = parse_experiment_text(crate::example_experiment()).unwrap();
    let (against, _) = load_text(crate::example()).unwrap();
    let text = serde_json::to_string_pretty(&document).unwrap();
    let (again, experiment) = load_experiment_text(&text, &against).unwrap();
    assert_eq!(again, document);
    assert_eq!(validate_experiment(&document, &against).unwrap(), experiment);
}

#[test]
fn what_was_written_is_what_is_printed_back() {
    let text = "apiVersion: squall.dev/v1alpha1\nkind: Experiment\nmetadata: {name: e, labels: {a: 1, b: true, c: x}, annotations: {d: 0.5}}\n\
                spec:\n  title: t\n  hypothesis: h\n  owner: o\n  links: [\"http://a\"]\n  steady_state: [{name: s, condition: {probe: \
                \"http://a\", status: 200}}]\n  baseline: 1s\n  method: [{name: n, rules: [{name: r, match: {cluster: b}, percentage: 5%, fault: \
                {delay: 2s}}], ramp: {from: 1, over: 5s, stages: 3}, hold: 1m, pause: 0s}]\n  recovery: 1s\n  rollback: {over: 0s}\n  \
                expect: {harmed: 1, stop_on_harm: false, amplification: 1.5, unsafe_retries: false}\n  fallback: {header: a, value: b}\n  \
                guards: [{name: g, condition: {metric: in_flight, above: 5, for: 5s}}]\n  duration: 1h\n  schedule: {every: 24h}\n  \
                minimum_requests: 1\n  add_ids: true\n  joined_per_second: 500\n";
    let against = parse_text(&config("")).unwrap();
    let (document, _) = load_experiment_text(text, &against).unwrap();
    let json = serde_json::to_value(&document).unwrap();
    assert_eq!(parse_value::<ExperimentDocument>(&json).unwrap(), document);
    assert_eq!(json["metadata"]["labels"], json!({"a": 1, "b": true, "c": "x"}));
    let yaml = serde_saphyr::to_string(&document).unwrap();
    assert_eq!(parse_experiment_text(&yaml).unwrap(), document, "{yaml}");
}

/// Words that experiments are made of, and some that belong nowhere.
const KEYS: [&str; 34] = [
    "apiVersion",
    "kind",
    "metadata",
    "name",
    "labels",
    "spec",
    "title",
    "hypothesis",
    "links",
    "steady_state",
    "condition",
    "metric",
    "below",
    "above",
    "probe",
    "baseline",
    "method",
    "rules",
    "percentage",
    "fault",
    "delay",
    "match",
    "ramp",
    "from",
    "over",
    "stages",
    "hold",
    "pause",
    "rollback",
    "expect",
    "schedule",
    "guards",
    "duration",
    "x",
];
const TEXTS: [&str; 18] = [
    "squall.dev/v1alpha1",
    "Experiment",
    "a",
    "",
    "1s",
    "500ms",
    "30s",
    "25h",
    "99999999999h",
    "5%",
    "0",
    "p99",
    "error_rate",
    "inbound",
    "http://a",
    "é",
    "2026-12-01T10:00:00Z",
    "soon",
];

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0_u32..120).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        proptest::sample::select(&TEXTS[..]).prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(8, 64, 6, |inner| {
        let field = (proptest::sample::select(&KEYS[..]), inner.clone());
        prop_oneof![
            proptest::collection::vec(inner, 0..4).prop_map(Value::from),
            proptest::collection::vec(field, 0..6).prop_map(|fields| {
                Value::Object(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>())
            }),
        ]
    })
}

/// Where the example has leaves and branches.
fn places(value: &Value, path: String, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, child)| places(child, format!("{path}/{key}"), found)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, child)| places(child, format!("{path}/{index}"), found));
        }
        _ => {}
    }
    found.push(path);
}

fn never_panics(value: &Value, against: &ConfigSpec) {
    if let Ok(document) = parse_value::<ExperimentDocument>(value)
        && let Ok(valid) = validate_experiment(&document, against)
    {
        let json = serde_json::to_value(&document).unwrap();
        let again: ExperimentDocument = parse_value(&json).unwrap();
        assert_eq!(again, document);
        assert_eq!(validate_experiment(&again, against).unwrap(), valid);
    }
    let _ = load_experiment_text(&value.to_string(), against);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_json_panics(value in anything()) {
        never_panics(&value, &parse_text(crate::example()).unwrap());
    }

    /// Whatever stands at one place of the example.
    #[test]
    fn no_changed_example_panics(at in any::<proptest::sample::Index>(), value in anything()) {
        let document = parse_experiment_text(crate::example_experiment()).unwrap();
        let mut example = serde_json::to_value(document).unwrap();
        let mut all = Vec::new();
        places(&example, String::new(), &mut all);
        *example.pointer_mut(&all[at.index(all.len())]).unwrap() = value;
        never_panics(&example, &parse_text(crate::example()).unwrap());
    }
}

#[test]
fn pods_are_checked_and_have_no_effect_here() {
    use std::collections::BTreeMap;
    let text = "{selector: {matchLabels: {app: a}, matchExpressions: [{key: tier, operator: NotIn, values: [db]}, \
                {key: x.example/y, operator: Exists}]}, percentage: 12.5}";
    let pods = load(&[("pods", text)]).pods;
    assert_eq!(pods.percentage, "12.5".parse::<Percentage>().unwrap());
    let has = |labels: &[(&str, &str)]| {
        let labels: BTreeMap<String, String> = labels.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        pods.selector.matches(&labels)
    };
    assert!(has(&[("app", "a"), ("x.example/y", "")]) && has(&[("app", "a"), ("x.example/y", ""), ("tier", "web")]));
    assert!(!has(&[("app", "a")]) && !has(&[("app", "b"), ("x.example/y", "")]));
    assert!(!has(&[("app", "a"), ("x.example/y", ""), ("tier", "db")]));
    assert_eq!(load(&[]).pods, crate::model::Pods::default());

    let wrong = "{selector: {matchLabels: {'a b': '-'}, matchExpressions: [{key: a, operator: in}, {key: b}, \
                 {key: c, operator: In}, {key: d, operator: Exists, values: [x]}]}, percentage: 101}";
    let problems = load_experiment_text(&experiment(&[("pods", wrong)]), &parse_text(&config("")).unwrap());
    let paths: Vec<String> = problems.unwrap_err().0.into_iter().map(|problem| problem.path).collect();
    let at = |rest: &str| format!("spec.pods.{rest}");
    assert_eq!(
        paths,
        [
            at("selector.matchLabels.a b"),
            at("selector.matchLabels.a b"),
            at("selector.matchExpressions[0].operator"),
            at("selector.matchExpressions[1].operator"),
            at("selector.matchExpressions[2].values"),
            at("selector.matchExpressions[3].values"),
            at("percentage"),
        ]
    );
}
