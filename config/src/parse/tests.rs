use serde_json::json;

use super::*;
use crate::spec::{ConfigSpec, ExperimentDocument, RuleSpec, RulesSpec};

fn rule_problems(value: &Value) -> Vec<String> {
    parse_value::<RuleSpec>(value).unwrap_err().0.iter().map(ToString::to_string).collect()
}

#[test]
fn bodies_are_read() {
    let rule = json!({"name": "a", "percentage": 5, "fault": {"delay": "2s"}});
    let spec: RuleSpec = parse_value(&rule).unwrap();
    assert_eq!(spec.name, "a");
    assert_eq!(serde_json::to_value(&spec).unwrap(), rule);
    let rules: RulesSpec = parse_value(&json!({"rules": [rule]})).unwrap();
    assert_eq!(rules.rules, [spec]);
    assert_eq!(parse_value::<RulesSpec>(&json!({"rules": null})).unwrap(), RulesSpec::default());
}

#[test]
fn one_of_many_that_cannot_be_read_spoils_no_other() {
    let rule = |name| json!({"name": name, "percentage": 5, "fault": {"delay": "2s"}});
    let read = parse_values::<RuleSpec>(&[rule("a"), json!({"name": "b", "faults": {}}), rule("c")]);
    let said = |read: &Result<RuleSpec, Problems>| match read {
        Ok(rule) => rule.name.clone(),
        Err(problems) => problems.to_string(),
    };
    let said: Vec<_> = read.iter().map(said).collect();
    assert_eq!(said, ["a", "faults: unknown field \"faults\"; did you mean \"fault\"?", "c"]);
}

#[test]
fn wrong_types_are_all_told_in_plain_words() {
    let body = json!({"name": 1, "enabled": "yes", "match": "all", "sample": {"first": -1, "every": 1.5},
        "fault": {"delay": [], "reset": [1], "refuse": "x", "abort": {"status": {}}, "delayy": 1}});
    assert_eq!(
        rule_problems(&body),
        [
            "fault.delay: expected an object, found a list",
            "fault.reset: expected an object, found a list",
            "enabled: expected true or false, found the text \"yes\"",
            "fault.abort.status: expected a text or a number, found an object",
            "fault.refuse: expected true or false, found the text \"x\"",
            "match: expected an object of conditions such as {cluster: service-b, method: [GET]}, found the text \"all\"",
            "name: expected a text, found the number `1`",
            "sample.every: expected a whole number, not negative, found the number `1.5`",
            "sample.first: expected a whole number, not negative, found the number `-1`",
            "fault.delayy: unknown field \"delayy\"; did you mean \"delay\"?",
        ]
    );
}

#[test]
fn unknown_fields_are_told_where_they_belong() {
    let body = json!({"name": "a", "percentage": 1, "path": "/x", "zzzzzzzz": 1, "match": {"headerz": {}},
        "fault": {"corrupt": {"rates": 1}}, "sample": {"mode": "sticky", "keys": "trace"}});
    assert_eq!(
        rule_problems(&body),
        [
            "fault.corrupt.rates: unknown field \"rates\"; did you mean \"rate\"?",
            "match.headerz: unknown field \"headerz\"; did you mean \"headers\"?",
            "path: unknown field \"path\"; \"path\" belongs in match",
            "sample.keys: unknown field \"keys\"; did you mean \"key\"?",
            "zzzzzzzz: unknown field \"zzzzzzzz\"; known here: enabled, fault, match, mode, name, percentage, sample, ttl",
        ]
    );
    let body = json!({"version": 1, "telemetry": {"tls": "x"}, "drain": {"weight": 1}});
    let problems: Vec<String> =
        parse_value::<ConfigSpec>(&body).unwrap_err().0.into_iter().map(|p| p.to_string()).collect();
    assert_eq!(problems.iter().filter(|p| p.contains("not supported yet")).count(), 1, "{problems:?}");
    assert!(problems.iter().any(|p| p.contains("\"weight\" belongs in clusters[].endpoints[]")), "{problems:?}");
}

/// Every object of a document, by pointer.
fn objects(place: &str, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.push(place.to_owned());
            fields.iter().for_each(|(name, field)| objects(&format!("{place}/{name}"), field, found));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| objects(&format!("{place}/{index}"), item, found));
        }
        _ => {}
    }
}

/// Wherever a field is added, the schema tells as unknown what serde leaves out.
fn assert_tells_what_is_ignored<T: Document>(text: &str) {
    let document: Value = serde_saphyr::from_str(text).unwrap();
    let (mut places, mut told) = (Vec::new(), 0);
    objects("", &document, &mut places);
    for place in &places {
        let mut changed = document.clone();
        changed.pointer_mut(place).unwrap()["zzz"] = json!({"zzz": 1});
        let mut ignored = Vec::new();
        let read: Result<T, _> =
            serde_ignored::deserialize(&changed, |path| ignored.push(path.to_string().replace(".?", "")));
        if read.is_ok() {
            let found = Vocabulary::of::<T>().unknown_fields(&changed);
            let dotted: Vec<String> =
                found.iter().map(|path| render(path).replace('[', ".").replace(']', "")).collect();
            assert_eq!(dotted, ignored, "{place}");
            told += ignored.len();
        }
    }
    assert!(told * 3 > places.len(), "{told} of {}", places.len());
}

#[test]
fn unknown_is_what_is_ignored() {
    assert_tells_what_is_ignored::<ConfigSpec>(crate::validate::tests::EVERYTHING);
    assert_tells_what_is_ignored::<ConfigSpec>(crate::example());
    assert_tells_what_is_ignored::<ExperimentDocument>(crate::example_experiment());
}

#[test]
fn items_behind_a_wrong_one_keep_their_places() {
    let body =
        json!({"rules": [1, {"name": "a", "bad": 1}, 2, {"match": {"method": ["GET", 1, "PUT", 2]}, "worse": 1}]});
    let problems = parse_value::<RulesSpec>(&body).unwrap_err().0;
    let paths: Vec<&str> = problems.iter().map(|p| p.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "rules[0]",
            "rules[2]",
            "rules[3].match.method[1]",
            "rules[3].match.method[3]",
            "rules[1].bad",
            "rules[3].worse"
        ]
    );
}

#[test]
fn a_body_of_another_shape_is_one_problem() {
    assert_eq!(rule_problems(&json!(["a", true])), ["document: expected an object, found a list"]);
    assert_eq!(
        rule_problems(&json!(null)),
        ["document: expected an object with name, match, percentage and fault, found nothing"]
    );
}

#[test]
fn a_list_is_not_an_object() {
    let body = json!({"rules": [["a", true], {"match": ["to-b"], "fault": {"abort": [503]}}, [], {"bad": 1}]});
    let problems = parse_value::<RulesSpec>(&body).unwrap_err().0;
    let paths: Vec<&str> = problems.iter().map(|p| p.path.as_str()).collect();
    assert_eq!(paths, ["rules[0]", "rules[1].fault.abort", "rules[1].match", "rules[2]", "rules[3].bad"]);
}

#[test]
fn wrong_types_are_bounded() {
    let body = json!({"rules": vec![1; 1000]});
    assert_eq!(parse_value::<RulesSpec>(&body).unwrap_err().0.len(), WRONG_TYPES_MAX);
}
