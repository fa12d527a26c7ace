//! What orders do to a document.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};
use squall_config::load_text;
use squall_config::spec::ConfigSpec;

use super::*;
use crate::document::Now;
use crate::state::clock::Moment;

const HEAD: &str = "version: 1
listeners: [{name: to-b, address: 127.0.0.1:0, cluster: b}, {name: to-c, address: 127.0.0.1:0, cluster: c}]
clusters: [{name: b, endpoints: ['127.0.0.1:9000']}, {name: c, endpoints: ['127.0.0.1:9001']}]
";

fn first() -> Written {
    let (document, config) =
        load_text(&format!("{HEAD}rules: [{{name: own, percentage: 5, fault: {{delay: 2s}}}}]")).unwrap();
    Written::first(document, config, Now::read())
}

/// As the publisher does it.
fn try_change(written: &Written, now: Now, change: impl FnOnce(&mut Draft)) -> Result<Written, Problems> {
    let mut draft = written.draft();
    change(&mut draft);
    let config = draft.add_ordered(written)?;
    let config = match config {
        Some(config) => Arc::new(config),
        None if draft.document == written.document => Arc::clone(&written.config),
        None => Arc::new(validate(&draft.document)?),
    };
    Ok(draft.finish(config, now))
}

fn change(written: &Written, change: impl FnOnce(&mut Draft)) -> Written {
    try_change(written, Now::read(), change).unwrap()
}

pub(crate) fn rule(name: &str, more: &Value) -> RuleSpec {
    let mut rule = json!({ "name": name, "percentage": 1, "fault": { "abort": 503 } });
    more.as_object().unwrap().iter().for_each(|(key, value)| rule[key] = value.clone());
    squall_config::parse_value(&rule).unwrap()
}

fn plain(name: &str) -> RuleSpec {
    rule(name, &json!({}))
}

pub(crate) fn names(written: &Written) -> Vec<&str> {
    written.document.rules.iter().map(|rule| rule.name.as_str()).collect()
}

fn problem<'a>(written: &'a Written, name: &str) -> &'a str {
    let found = written.ordered.rules.iter().find(|rule| rule.spec.name == name).unwrap();
    found.problem.as_deref().unwrap_or("")
}

#[test]
fn ordered_rules_stand_behind_all_others_and_outlive_nothing() {
    let written = change(&first(), |draft| draft.order(vec![plain("x"), plain("y")]));
    assert_eq!(names(&written), ["own", "x", "y"]);
    let meta = written.metas["x"];
    assert_eq!((meta.origin.as_str(), meta.expiry), ("controller", None), "no default ttl is theirs");
    let written = change(&written, |draft| {
        draft.put_rule(plain("later"));
    });
    assert_eq!(names(&written), ["own", "later", "x", "y"]);
    let written = change(&written, |draft| {
        draft.set_experiment(&squall_config::model::Name::new("e").unwrap(), vec![plain("of-e")]);
    });
    assert_eq!(names(&written), ["own", "later", "of-e", "x", "y"]);
    assert_eq!(names(&change(&written, |draft| draft.replace_rules(vec![plain("z")]))), ["z", "of-e", "x", "y"]);
    let (file, _) = load_text(HEAD).unwrap();
    let reloaded = change(&written, |draft| drop(draft.load_file(file.clone())));
    assert_eq!(names(&reloaded), ["later", "of-e", "x", "y"]);
    assert_eq!(names(&change(&written, |draft| draft.replace_document(file))), ["of-e", "x", "y"]);

    let lasting: Vec<String> = written.lasting().rules.into_iter().map(|rule| rule.name).collect();
    assert_eq!(lasting, ["own", "later"]);
    let saved = written.to_saved(Moment::read(), Now::read());
    let text = serde_json::to_string(&saved).unwrap();
    assert!(!text.contains("\"x\"") && !text.contains("controller"));
    let ended = change(&written, Draft::end_orders);
    assert_eq!(names(&ended), ["own", "later", "of-e"]);
    assert!(ended.only_takes_away_from(&written), "its end waits for no disk");
    assert_eq!(
        names(&change(&ended, |draft| {
            draft.remove_rule("later");
        })),
        ["own", "of-e"],
        "they stay away"
    );
    assert_eq!(names(&change(&ended, |draft| draft.order(vec![plain("y")]))), ["own", "later", "of-e", "y"]);
}

#[test]
fn a_rule_that_does_not_fit_is_left_out_alone_and_comes_when_it_fits() {
    let to_d = rule("to-d", &json!({"match": {"cluster": "d"}}));
    let nothing = RuleSpec { name: "nothing".to_owned(), ..RuleSpec::default() };
    let written =
        change(&first(), |draft| draft.order(vec![plain("x"), to_d, plain("own"), nothing, plain("x"), plain("y")]));
    assert_eq!(names(&written), ["own", "x", "y"]);
    assert!(problem(&written, "to-d").starts_with("match.cluster: rule \"to-d\": "), "{}", problem(&written, "to-d"));
    assert_eq!(problem(&written, "own"), "there is a rule of this name here already, of origin file");
    assert!(
        problem(&written, "nothing").contains("percentage: ") && problem(&written, "nothing").contains("; fault: ")
    );
    assert_eq!(written.ordered.rules[4].problem.as_deref(), Some("another rule of the orders has this name"));

    // What is changed here comes about all the same: a cluster goes, another one comes.
    let (file, _) = load_text(&HEAD.replace("name: c", "name: d").replace("cluster: c", "cluster: d")).unwrap();
    let written = change(&written, |draft| {
        draft.order(vec![
            rule("to-c", &json!({"match": {"cluster": "c"}})),
            rule("to-d", &json!({"match": {"cluster": "d"}})),
        ]);
    });
    assert_eq!(names(&written), ["own", "to-c"]);
    let written = change(&written, |draft| drop(draft.load_file(file)));
    assert_eq!(names(&written), ["to-d"]);
    assert!(problem(&written, "to-c").contains("\"c\""), "{}", problem(&written, "to-c"));
    // A name that is taken meanwhile.
    let written = change(&written, |draft| {
        draft.put_rule(plain("other"));
    });
    let written = change(&written, |draft| {
        draft.set_experiment(&squall_config::model::Name::new("e").unwrap(), vec![plain("to-d")]);
    });
    assert_eq!(problem(&written, "to-d"), "there is a rule of this name here already, of origin experiment");
}

#[test]
fn limits_hold_for_ordered_rules() {
    let limits = |text: &str| {
        let (file, _) =
            load_text(&format!("{HEAD}limits: {text}\nrules: [{{name: own, percentage: 5, fault: {{delay: 2s}}}}]\n"))
                .unwrap();
        change(&first(), |draft| drop(draft.load_file(file)))
    };
    let share = |name: &str, percentage: u32| rule(name, &json!({"percentage": percentage}));
    let written = change(&limits("{percentage_max: 10}"), |draft| {
        draft.order(vec![share("much", 11), share("some", 4), share("more", 4)]);
    });
    assert_eq!(names(&written), ["own", "some"]);
    assert!(problem(&written, "much").starts_with("percentage: "), "{}", problem(&written, "much"));
    assert!(problem(&written, "more").contains("together"), "{}", problem(&written, "more"));
    // What is this Squall's own comes first.
    let written = change(&written, |draft| {
        draft.put_rule(share("mine", 3));
    });
    assert_eq!(names(&written), ["own", "mine"]);
    let written = change(&written, |draft| {
        draft.remove_rule("mine");
    });
    assert_eq!(names(&written), ["own", "some"]);

    let written = change(&limits("{rules_max: 2}"), |draft| draft.order(vec![plain("x"), plain("y"), plain("z")]));
    assert_eq!(names(&written), ["own", "x"]);
    assert!(problem(&written, "z").contains("rules_max"), "{}", problem(&written, "z"));
    let refused = try_change(&written, Now::read(), |draft| {
        draft.put_rule(share("bad", 101));
    })
    .unwrap_err();
    assert!(refused.0.iter().all(|problem| problem.path.starts_with("rules[1]")), "{refused}");
}

#[test]
fn a_time_that_has_ended_does_not_begin_again() {
    let short = |name: &str| rule(name, &json!({"ttl": "60s"}));
    let written = change(&first(), |draft| draft.order(vec![short("x"), plain("y")]));
    let end = written.metas["x"].expiry.unwrap();
    // Orders that come again, also after they were lost, give it no more.
    let again = change(&change(&written, Draft::end_orders), |draft| draft.order(vec![short("x")]));
    assert_eq!(again.metas["x"].expiry, Some(end));
    let other = change(&again, |draft| draft.order(vec![plain("z"), short("x")]));
    assert_eq!(other.metas["x"].expiry, Some(end));
    assert_eq!(other.expired(Now::in_seconds(61)), ["x"]);
    let ended = change(&other, |draft| draft.expire(&["x".to_owned()]));
    assert_eq!((names(&ended), problem(&ended, "x")), (vec!["own", "z"], "its time has ended"));
    let again = change(&ended, |draft| draft.order(vec![short("x")]));
    assert_eq!(problem(&again, "x"), "its time has ended");
    // Another rule of the name is another rule, and so is one that was withdrawn and comes again.
    assert_eq!(names(&change(&again, |draft| draft.order(vec![plain("x")]))), ["own", "x"]);
    let withdrawn = change(&again, |draft| draft.order(vec![]));
    assert_eq!(names(&change(&withdrawn, |draft| draft.order(vec![short("x")]))), ["own", "x"]);

    let (file, _) = load_text(&format!("{HEAD}limits: {{ttl_max: 30s}}\n")).unwrap();
    let bounded = change(&written, |draft| drop(draft.load_file(file)));
    assert_eq!(bounded.expired(Now::in_seconds(31)), ["y"], "the longest ttl holds for them, too");
    assert!(problem(&bounded, "x").starts_with("ttl: "), "{}", problem(&bounded, "x"));
}

#[test]
fn orders_that_come_again_change_nothing() {
    let orders = || vec![plain("x"), rule("bad", &json!({"match": {"cluster": "d"}}))];
    let written = change(&first(), |draft| draft.order(orders()));
    let again = change(&written, |draft| draft.order(orders()));
    assert_eq!((&again.document, &again.metas), (&written.document, &written.metas));
    assert_eq!(again.ordered, written.ordered);
}

#[derive(Clone, Debug)]
enum Step {
    Order(Vec<(u8, u8)>),
    End,
    Put(u8, u8),
    Remove(u8),
    Replace(Vec<u8>),
    Expire(u8),
    Clusters(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => prop::collection::vec((0..6_u8, 0..4_u8), 0..6).prop_map(Step::Order),
        1 => Just(Step::End),
        2 => (0..6_u8, 0..4_u8).prop_map(|(name, kind)| Step::Put(name, kind)),
        1 => (0..6_u8).prop_map(Step::Remove),
        1 => prop::collection::vec(0..6_u8, 0..4).prop_map(Step::Replace),
        1 => (0..6_u8).prop_map(Step::Expire),
        1 => any::<bool>().prop_map(Step::Clusters),
    ]
}

/// One of a few rules: of either cluster, of a large share, with an end.
fn of_kind(name: u8, kind: u8) -> RuleSpec {
    let more = [
        json!({"match": {"cluster": "b"}}),
        json!({"match": {"cluster": "c"}}),
        json!({"percentage": 40}),
        json!({"ttl": "5m"}),
    ];
    rule(&format!("r{name}"), &more[usize::from(kind)])
}

fn document(has_c: bool) -> ConfigSpec {
    let head =
        if has_c { HEAD.to_owned() } else { HEAD.replace("name: c", "name: d").replace("cluster: c", "cluster: d") };
    load_text(&format!("{head}limits: {{percentage_max: 50}}\n")).unwrap().0
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_the_own_rules_are_as_without_orders(steps in prop::collection::vec(step(), 1..12)) {
        let (file, now) = (document(true), Now::read());
        let config = validate(&file).unwrap();
        let (mut written, mut bare) = (Written::first(file.clone(), config.clone(), now), Written::first(file, config, now));
        for step in steps {
            let own = |draft: &mut Draft| match &step {
                Step::Put(name, kind) => { draft.put_rule(of_kind(*name, *kind)); },
                Step::Remove(name) => { draft.remove_rule(&format!("r{name}")); },
                Step::Replace(rules) => draft.replace_rules(rules.iter().map(|name| of_kind(*name, 0)).collect()),
                Step::Clusters(has_c) => drop(draft.load_file(document(*has_c))),
                Step::Order(_) | Step::End | Step::Expire(_) => {}
            };
            let ordered = |draft: &mut Draft| match &step {
                Step::Order(rules) => draft.order(rules.iter().map(|(name, kind)| of_kind(*name, *kind)).collect()),
                Step::End => draft.end_orders(),
                Step::Expire(name) => draft.expire(&[format!("r{name}")]),
                _ => own(draft),
            };
            if matches!(&step, Step::Expire(name) if bare.rule(&format!("r{name}")).is_some()) {
                continue;
            }
            let (with, without) = (try_change(&written, now, ordered), try_change(&bare, now, own));
            prop_assert_eq!(with.is_ok(), without.is_ok(), "{:?}", step);
            let (Ok(with), Ok(without)) = (with, without) else { continue };
            (written, bare) = (with, without);
            prop_assert_eq!(&written.lasting(), &bare.document);
            let places: Vec<bool> = written.document.rules.iter().map(|rule| rule.controller).collect();
            prop_assert!(places.is_sorted(), "they stand behind all others");
            let in_force: Vec<&RuleSpec> = written.document.rules.iter().filter(|rule| rule.controller).collect();
            prop_assert_eq!(in_force, written.ordered.in_force().map(|rule| &rule.spec).collect::<Vec<_>>());
            prop_assert!(validate(&written.document).is_ok());
            prop_assert_eq!(written.metas.len(), written.document.rules.len());
        }
    }
}
