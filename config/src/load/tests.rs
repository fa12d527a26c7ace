use proptest::prelude::*;

use super::*;

fn problems(text: &str) -> Vec<String> {
    load_text(text).map(|_| ()).unwrap_err().0.iter().map(ToString::to_string).collect()
}

const HEAD: &str = "version: 1\nlisteners:\n  - {name: to-b, address: \"127.0.0.1:0\", cluster: b}\nclusters:\n  - {name: b, endpoints: [\"127.0.0.1:9000\"]}\n";

#[test]
fn the_example_is_valid() {
    let (spec, config) = load_text(crate::example()).unwrap();
    assert_eq!(config.rules.len(), 1);
    assert_eq!((spec.listeners.len(), spec.clusters.len()), (2, 2));
}

#[test]
fn what_was_written_is_what_is_printed_back() {
    let text = format!(
        "{HEAD}rules:\n  - name: r\n    match: {{method: GET, path: /x, headers: {{a: 1, b: {{present: true}}}}}}\n    percentage: \"5%\"\n    \
         fault: {{delay: 2s, reset: true}}\naccess_log: stdout\n"
    );
    let (spec, _) = load_text(&text).unwrap();
    let printed = serde_saphyr::to_string(&spec).unwrap();
    assert_eq!(parse_text(&printed).unwrap(), spec, "{printed}");
    let json = serde_json::to_value(&spec).unwrap();
    assert_eq!(json["rules"][0]["fault"], serde_json::json!({"delay": "2s", "reset": true}));
    assert_eq!(json["rules"][0]["match"]["method"], "GET");
    assert_eq!(json["rules"][0]["percentage"], "5%");
    assert_eq!(crate::parse_value::<ConfigSpec>(&json).unwrap(), spec);
}

#[test]
fn all_problems_come_at_once_with_their_places() {
    let text = format!(
        "{HEAD}rules:\n  - name: a\n    percentge: 5\n    fault:\n      delay: {{uniform: {{min: 3s, max: 1s}}}}\n  - nonsense\n  - name: c\n    \
         percentage: [1]\n    match: {{cluster: bb}}\n    fault: {{abort: 99, earthquake: 1}}\n"
    );
    assert_eq!(
        problems(&text),
        [
            "rules[0].percentage (line 7, column 5): rule \"a\": missing; write the share that gets the fault, such as \
             percentage: 5; 100 for all",
            "rules[0].percentge (line 8, column 5): unknown field \"percentge\"; did you mean \"percentage\"?",
            "rules[0].fault.delay.uniform.min (line 10, column 25): rule \"a\": 3s is above max 1s; swap min and max",
            "rules[1] (line 11, column 5): expected an object with name, match, percentage and fault, found the text \
             \"nonsense\"",
            "rules[2].percentage (line 13, column 5): expected a text or a number, found a list",
            "rules[2].match.cluster (line 14, column 13): rule \"c\": there is no cluster \"bb\"; there are: b",
            "rules[2].fault.abort (line 15, column 13): rule \"c\": 99 is not a final HTTP status; write one from 200 to \
             599, such as 503",
            "rules[2].fault.earthquake (line 15, column 24): unknown field \"earthquake\"; known here: abort, blackhole, corrupt, \
             delay, duplicate, goaway, malformed, modify, refuse, requested, reset, response_lost, slice, slow_body, slow_close, \
             stall, throttle, tls, truncate",
        ]
    );
}

#[test]
fn text_that_is_no_configuration_is_one_problem_with_a_place() {
    for (text, part) in [
        ("", "the file is empty"),
        ("# only a comment\n", "the file is empty"),
        ("version: 1\nversion: 1\n", "uplicate"),
        ("version: 1\n---\nversion: 1\n", "document"),
        ("version: [1\n", "unclosed bracket"),
        ("- 1\n", "expected an object, found a list"),
        ("42", "expected an object with version"),
        ("a: &a [x, x, x]\nb: &b [*a, *a]\n? [1]\n: 2\n", "line 3"),
    ] {
        let problems = problems(text);
        assert_eq!(problems.len(), 1, "{text:?}: {problems:?}");
        assert!(problems[0].contains(part), "{text:?}: {problems:?}");
        assert!(!problems[0].contains('\n'), "{problems:?}");
    }
    let large = "#".repeat(TEXT_BYTES_MAX + 1);
    assert!(problems(&large)[0].contains("more than"));
}

#[test]
fn a_file_of_another_kind_is_one_problem_that_says_what_takes_it() {
    let experiment = crate::example_experiment();
    let said = |problems: Problems| problems.0.iter().map(ToString::to_string).collect::<Vec<_>>();
    let as_configuration = said(load_text(experiment).map(|_| ()).unwrap_err());
    assert!(as_configuration[0].starts_with("kind (line "), "{as_configuration:?}");
    let told = "this is an experiment, not a configuration; `squall experiment run FILE` takes it";
    assert!(as_configuration.len() == 1 && as_configuration[0].contains(told), "{as_configuration:?}");
    let as_experiment = said(parse_experiment_text(HEAD).unwrap_err());
    assert!(as_experiment.len() == 1 && as_experiment[0].contains("`squall run -c FILE`"), "{as_experiment:?}");
    let as_game_day = said(load_game_day_text(experiment).unwrap_err());
    assert!(as_game_day.len() == 1 && as_game_day[0].contains("not a game day"), "{as_game_day:?}");
    // What says nothing of itself is read as what it should be.
    assert!(said(load_text("kind: Sidecar\n").map(|_| ()).unwrap_err()).len() > 1);
}

#[test]
fn a_bomb_is_refused() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for n in 1..12 {
        let item = format!("*a{}", n - 1);
        bomb.push_str(&format!("a{n}: &a{n} [{}]\n", [item.as_str(); 10].join(", ")));
    }
    assert!(problems(&bomb).len() == 1 && problems(&bomb)[0].contains("100001"), "{:?}", problems(&bomb));
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(problems(&deep).len(), 1);
    let deep = format!("{}1", "- ".repeat(10_000));
    assert_eq!(problems(&deep).len(), 1);
}

#[test]
fn json_with_tabs_is_read_too() {
    let text = "{\n\t\"version\": 1,\n\t\"listeners\": [],\n\t\"seed\": 18446744073709551615,\n\t\"rule\": []\n}\n";
    assert_eq!(problems(text), ["rule (line 5, column 2): unknown field \"rule\"; did you mean \"rules\"?"]);
}

#[test]
fn words_of_other_tools_lead_to_the_fields_here() {
    let rule = "version: 1\nrules:\n- name: slow\n  percent: 5\n  percentage: 5\n  fault: {latency: 2s}\n";
    let said = problems(rule).join("\n");
    assert!(said.contains(r#"unknown field "percent"; did you mean "percentage"?"#), "{said}");
    assert!(said.contains(r#"unknown field "latency"; did you mean "delay"?"#), "{said}");
}

#[test]
fn what_is_no_yaml_is_told_with_its_place_once() {
    let said = problems("version: 1\nrules:\n\t- name: slow\n").join("\n");
    assert!(said.contains("(line 3, column 2): tabs disallowed"), "{said}");
    assert!(said.ends_with("; indent with spaces") && !said.contains("at line"), "{said}");
}

#[test]
fn anchors_aliases_and_merged_fields_have_places() {
    let text = "version: 1\nclusters:\n  - &b {name: b, endpoints: [\"h:1\"], bad: 1}\n  - *b\n";
    assert_eq!(
        problems(text)
            .iter()
            .filter(|problem| problem.contains("bad"))
            .map(|problem| problem.split(':').next().unwrap())
            .collect::<Vec<_>>(),
        ["clusters[0].bad (line 3, column 38)", "clusters[1].bad (line 3, column 38)"]
    );
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,80}") {
        let _ = load_text(&text);
    }

    #[test]
    fn no_document_of_our_own_words_panics(
        words in prop::collection::vec("(version|rules|fault|delay|match|name|percentage|listeners|&a|\\*a|<<|: |- |\n|\n  |\n    |1|\\[|\\]|\\{|\\}|,|\"|'|\\?|!!str|#|---)", 0..40)
    ) {
        let _ = load_text(&words.concat());
    }
}
