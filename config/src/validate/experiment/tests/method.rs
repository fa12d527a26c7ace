use super::*;

#[test]
fn steps_and_ramps_have_bounds() {
    for (fields, expected) in [
        ("", "hold: missing"),
        ("hold: 999ms", "hold: 999ms is too short"),
        ("hold: 1m, pause: 25h", "pause: 1day 1h is too long"),
        ("hold: 1m, name: \"\"", "name: it is empty"),
        ("hold: 1m, ramp: {}", "ramp.over: missing"),
        ("hold: 1m, ramp: {over: 25h}", "ramp.over: 1day 1h is too long"),
        ("hold: 1m, ramp: {over: 0s}", "ramp.over: 0s is too short for 5 stages"),
        ("hold: 1m, ramp: {over: 499ms}", "ramp.over: 499ms is too short for 5 stages"),
        ("hold: 1m, ramp: {over: 9s, stages: 100}", "ramp.over: 9s is too short for 100 stages"),
        ("hold: 1m, ramp: {over: 1m, stages: 1}", "ramp.stages: 1 is too small"),
        ("hold: 1m, ramp: {over: 1m, stages: 101}", "ramp.stages: 101 is too large"),
        ("hold: 1m, ramp: {over: 1m, from: 0}", "ramp.from: 0% injects nothing"),
        ("hold: 1m, ramp: {over: 1m, from: 5.1}", "ramp.from: 5.1% is above the 5% of rule \"r\""),
        ("hold: 1m, ramp: {over: 1m, from: x}", "ramp.from: \"x\" is not a percentage"),
    ] {
        assert_eq!(problems(&[("method", &step(fields))]), [format!("spec.method[0].{expected}")], "{fields}");
    }
    load(&[("method", &step("hold: 1s, ramp: {over: 500ms, from: 5}"))]);
}

#[test]
fn rules_are_checked_as_in_the_configuration_and_belong_to_their_step() {
    for (fields, expected) in [
        ("percentage: 5", vec!["fault: rule \"r\": missing"]),
        ("fault: {delay: 2s}", vec!["percentage: rule \"r\": missing"]),
        ("percentage: 0, fault: {delay: 2s}", vec!["percentage: rule \"r\": 0% injects nothing"]),
        (
            "percentage: 5, fault: {delay: 2s}, ttl: 1m, enabled: true",
            vec![
                "ttl: rule \"r\": a rule of an experiment ends with its step",
                "enabled: rule \"r\": a rule of an experiment is enabled during its step",
            ],
        ),
        (
            "percentage: 5, fault: {delay: 2s}, mode: shadow",
            vec!["mode: rule \"r\": in shadow mode nothing is injected that could show anything"],
        ),
        ("percentage: 5, fault: {delay: 2s}, mode: no", vec!["mode: rule \"r\": \"no\" is not one of inject, shadow"]),
        (
            "percentage: 5, fault: {delay: 2s}, match: {cluster: c}",
            vec!["match.cluster: rule \"r\": there is no cluster \"c\""],
        ),
        (
            "percentage: 5, fault: {abort: 503}, match: {listener: raw}",
            vec!["fault.abort: rule \"r\": abort is only for HTTP, but listener \"raw\" speaks TCP"],
        ),
    ] {
        let expected: Vec<String> = expected.iter().map(|line| format!("spec.method[0].rules[0].{line}")).collect();
        assert_eq!(problems(&[("method", &rule(fields))]), expected, "{fields}");
    }
    assert_eq!(problems(&[("method", "[{hold: 1m}]")]), ["spec.method[0].rules: missing"]);
    load(&[("method", &rule("percentage: 5, fault: {delay: 2s}, mode: inject"))]);
}

#[test]
fn names_are_unique_among_all_rules() {
    const TAKEN: &str = "rules:\n- {name: r, percentage: 1, enabled: false, fault: {delay: 1s}}\n";
    assert_eq!(
        problems_in(TAKEN, &[]),
        ["spec.method[0].rules[0].name: rule \"r\": the name is taken by a rule of the configuration"]
    );
    const RULE: &str = "{name: a, percentage: 1, fault: {delay: 1s}}";
    let within = format!("[{{rules: [{RULE}, {RULE}], hold: 1m}}]");
    assert_eq!(
        problems(&[("method", &within)]),
        ["spec.method[0].rules[1].name: rule \"a\": the name is taken by spec.method[0].rules[0]"]
    );
    let across = format!("[{{rules: [{RULE}], hold: 1m}}, {{rules: [{RULE}], hold: 1m}}]");
    assert_eq!(
        problems(&[("method", &across)]),
        ["spec.method[1].rules[0].name: rule \"a\": the name is taken by spec.method[0].rules[0]"]
    );
    assert_eq!(
        problems(&[("method", "[{rules: [{percentage: 1, fault: {delay: 1s}}], hold: 1m}]")]),
        ["spec.method[0].rules[0].name: missing"]
    );
}

#[test]
fn the_limits_of_the_configuration_hold() {
    const OTHER: &str = "rules:\n- {name: other, percentage: 6, fault: {delay: 1s}}\n";
    for (configuration, fields, expected) in [
        (
            "limits: {percentage_max: 4}\n",
            "hold: 1m",
            "rules[0].percentage: rule \"r\": 5% exceeds limits.percentage_max 4%",
        ),
        (
            &format!("limits: {{percentage_max: 10}}\n{OTHER}"),
            "hold: 1m",
            "rules[0].percentage: together \"other\" (6%), \"r\" (5%) can reach 11% of the requests of listener \"web\", more than \
             limits.percentage_max 10%",
        ),
        ("limits: {delay_max: 1s}\n", "hold: 1m", "rules[0].fault.delay: rule \"r\": 2s exceeds limits.delay_max 1s"),
        (
            &format!("limits: {{rules_max: 1}}\n{OTHER}"),
            "hold: 1m",
            "rules: with those of the configuration 2 rules are more than limits.rules_max 1",
        ),
        (
            "limits: {ttl_max: 1m}\n",
            "hold: 61s",
            "hold: its rules are in force for 1m 1s, which exceeds limits.ttl_max 1m",
        ),
        (
            "limits: {ttl_max: 1m}\n",
            "hold: 50s, ramp: {over: 11s}",
            "hold: its rules are in force for 1m 1s, which exceeds limits.ttl_max 1m",
        ),
    ] {
        let found = problems_in(configuration, &[("method", &step(fields))]);
        assert_eq!(found, [format!("spec.method[0].{expected}")], "{configuration}");
    }
    let configuration = "limits: {ttl_max: 1m, protected: {paths: [/pay]}}\n";
    assert_eq!(
        problems_in(configuration, &[("method", &rule("percentage: 1, fault: {delay: 1s}, match: {path: /pay}"))]),
        [
            "spec.method[0].rules[0].match.path: rule \"r\": path \"/pay\" is in limits.protected.paths, which no rule touches"
        ]
    );
    load_in(configuration, &[("method", &step("hold: 1m"))]);
    assert_eq!(
        problems_in(configuration, &[("method", &step("hold: 1m")), ("rollback", "{over: 1s}")]),
        ["spec.method[0].hold: its rules are in force for 1m 1s, which exceeds limits.ttl_max 1m"]
    );
}

#[test]
fn steps_do_not_meet_each_other() {
    const LIMITS: &str = "limits: {percentage_max: 10}\n";
    let method = |first: &str, second: &str| {
        let rule = |name: &str| format!("{{name: {name}, percentage: 6, fault: {{delay: 1s}}}}");
        format!("[{{rules: [{}], hold: 1m}}, {{rules: [{}], hold: 1m}}]", rule(first), rule(second))
    };
    load_in(LIMITS, &[("method", &method("a", "b"))]);
    let together = "[{rules: [{name: a, percentage: 6, fault: {delay: 1s}}, {name: b, percentage: 6, fault: {delay: 1s}}], hold: 1m}]";
    assert_eq!(
        problems_in(LIMITS, &[("method", together)]),
        [
            "spec.method[0].rules[1].percentage: together \"a\" (6%), \"b\" (6%) can reach 12% of the requests of listener \"web\", \
          more than limits.percentage_max 10%"
        ]
    );
}

#[test]
fn problems_of_the_configuration_are_its_own() {
    let configuration = "rules:\n- {name: x, percentage: 500, fault: {}}\n- {name: y, percentage: 60, fault: {delay: 1s}}\n\
                         - {name: z, percentage: 60, fault: {delay: 1s}}\nlimits: {percentage_max: 50, delay_max: x}\n";
    assert!(load_text(&config(configuration)).is_err());
    assert_eq!(
        problems_in(configuration, &[("method", &rule("percentage: 101, fault: {delay: 1s}"))]),
        ["spec.method[0].rules[0].percentage: rule \"r\": 101 is not between 0 and 100"]
    );
}

#[test]
fn rules_of_the_same_experiment_are_not_in_its_way() {
    let mut against = parse_text(&config("limits: {percentage_max: 5, rules_max: 1}\n")).unwrap();
    let document = parse_experiment_text(&experiment(&[])).unwrap();
    against.rules = document.spec.as_ref().unwrap().method[0].rules.clone();
    assert_eq!(validate_experiment(&document, &against).unwrap_err().0.len(), 3, "somebody else's rule");
    against.rules[0].experiment = Some("e".to_owned());
    validate_experiment(&document, &against).unwrap();
}
