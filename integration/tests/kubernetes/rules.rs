//! The life of a FaultRule.

use serde_json::json;
use squall_integration::eventually;
use squall_integration::kubernetes::{Manners, condition, holds};

use super::{PATIENCE, World, late, micros, rule, until_rules};

#[test]
fn a_rule_is_in_force_until_its_ttl_is_over() {
    let world = World::start(&[]);
    let (web, db) = (Manners { counts: (10, 4), ..Manners::labelled("tier", "web") }, Manners::labelled("tier", "db"));
    let (web, db) = (world.follower("shop", "web", web), world.follower("shop", "db", db));
    let other = world.follower("pay", "web", Manners::labelled("tier", "web"));
    let mut spec = late("6s");
    spec["pods"] = json!({ "selector": { "matchLabels": { "tier": "web" } } });
    world.server.create(rule("slow"), &spec);

    let injecting = world.server.until(rule("slow"), PATIENCE, |rule| {
        rule["status"]["phase"] == "Injecting" && holds(rule, "Injected") && rule["status"]["injectedTotal"] == 4
    });
    let status = &injecting["status"];
    assert_eq!(
        (&status["matchedPods"], &status["hitPods"], &status["matchedTotal"]),
        (&json!(1), &json!(1), &json!(10))
    );
    assert_eq!(
        (&status["observedGeneration"], condition(&injecting, "Selected").1.as_str()),
        (&json!(1), "PodsSelected")
    );
    let (started, expires) = (micros(&status["startedAt"]), micros(&status["expiresAt"]));
    assert!(expires.abs_diff(started).min(86_400_000_000 - started.abs_diff(expires)) == 6_000_000, "{status}");
    let ordered = &web.orders().unwrap()["rules"][0];
    assert_eq!(
        (&ordered["fault"], &ordered["match"]["cluster"], &ordered["ttl"]),
        (&json!({"delay": "2s"}), &json!("service-b"), &json!(null))
    );

    let over = world.server.until(rule("slow"), PATIENCE, |rule| holds(rule, "Expired") && holds(rule, "Recovered"));
    assert_eq!((&over["status"]["phase"], &over["status"]["injectedTotal"]), (&json!("Expired"), &json!(4)));
    assert_eq!((condition(&over, "Injected").0.as_str(), &over["status"]["hitPods"]), ("False", &json!(0)));
    assert!(web.rules().is_empty() && db.rules().is_empty() && other.rules().is_empty());
    let events = eventually("events", PATIENCE, || {
        let events = world.server.events();
        (events.len() >= 2).then_some(events)
    });
    assert_eq!(
        events,
        [("Injecting", "slow"), ("Expired", "slow")].map(|(reason, name)| (reason.to_owned(), name.to_owned()))
    );
}

#[test]
fn an_edit_begins_anew_and_a_pause_and_a_deletion_end() {
    let world = World::start(&[]);
    let follower = world.follower("shop", "a", Manners::default());
    world.server.create(rule("slow"), &late("10m"));
    let first = world.server.until_phase(rule("slow"), PATIENCE, "Injecting");
    until_rules(&follower, PATIENCE, &["slow"]);

    world.server.edit(rule("slow"), &json!({ "spec": { "fault": { "delay": "3s" } } }));
    eventually("the other delay", PATIENCE, || {
        (follower.orders()?["rules"][0]["fault"]["delay"] == "3s").then_some(())
    });
    let second = world.server.until(rule("slow"), PATIENCE, |rule| {
        rule["status"]["observedGeneration"] == 2 && rule["status"]["phase"] == "Injecting"
    });
    assert_ne!(second["status"]["startedAt"], first["status"]["startedAt"]);
    world.server.edit(rule("slow"), &json!({ "metadata": { "labels": { "team": "a" } } }));

    world.server.edit(rule("slow"), &json!({ "spec": { "enabled": false } }));
    let paused = world
        .server
        .until(rule("slow"), PATIENCE, |rule| rule["status"]["phase"] == "Paused" && holds(rule, "Recovered"));
    assert_eq!(paused["status"].get("expiresAt"), None, "one that is paused does not expire");
    until_rules(&follower, PATIENCE, &[]);

    world.server.edit(rule("slow"), &json!({ "spec": { "enabled": true } }));
    until_rules(&follower, PATIENCE, &["slow"]);
    world.server.delete(rule("slow"));
    until_rules(&follower, PATIENCE, &[]);
    assert!(follower.refusals().iter().all(|status| *status == 503), "{:?}", follower.refusals());
}

#[test]
fn one_that_is_not_valid_is_refused_with_all_that_is_wrong_and_can_be_put_right() {
    let world = World::start(&["--ttl-max", "1h"]);
    let follower = world.follower("shop", "a", Manners::default());
    let wrong =
        json!({ "percentage": 500, "fault": { "delay": "2 sheep" }, "ttl": "2h", "pods": { "percentage": -1 } });
    world.server.create(rule("slow"), &wrong);
    world.server.create(rule("odd"), &json!({ "percentage": {}, "falt": 7 }));
    let refused = world.server.until_phase(rule("slow"), PATIENCE, "Refused");
    assert_eq!(condition(&refused, "Accepted"), ("False".to_owned(), "Invalid".to_owned()));
    let message = refused["status"]["conditions"][0]["message"].as_str().unwrap();
    for place in ["spec.percentage", "spec.fault.delay", "spec.ttl", "spec.pods.percentage"] {
        assert!(message.contains(place), "{place} in {message}");
    }
    let odd = world.server.until_phase(rule("odd"), PATIENCE, "Refused");
    assert!(odd["status"]["conditions"][0]["message"].as_str().unwrap().contains("did you mean \"fault\""), "{odd}");
    world.server.edit(
        rule("slow"),
        &json!({ "spec": { "percentage": 5, "fault": { "delay": "2s" }, "ttl": "1h", "pods": null } }),
    );
    until_rules(&follower, PATIENCE, &["slow"]);
    world.server.until_phase(rule("slow"), PATIENCE, "Injecting");
}

#[test]
fn what_only_a_sidecar_can_tell_is_in_the_status() {
    let world = World::start(&[]);
    let manners = Manners { problem: Some("there is no cluster \"service-b\"".to_owned()), ..Manners::default() };
    let follower = world.follower("shop", "a", manners);
    world.server.create(rule("slow"), &late("10m"));
    let told = world.server.until(rule("slow"), PATIENCE, |rule| {
        rule["status"]["conditions"].is_array() && condition(rule, "Injected").1 == "Problem"
    });
    assert_eq!(told["status"]["phase"], "Pending");
    let text = told["status"]["conditions"].to_string();
    assert!(text.contains("pod a: there is no cluster"), "{text}");
    follower.behave(|manners| manners.problem = None);
    world.server.until(rule("slow"), PATIENCE, |rule| holds(rule, "Injected"));
}

#[test]
fn one_for_nobody_waits_and_says_so() {
    let world = World::start(&[]);
    world.server.create(rule("slow"), &late("10m"));
    let waiting = world.server.until_phase(rule("slow"), PATIENCE, "Pending");
    assert_eq!(condition(&waiting, "Selected"), ("False".to_owned(), "NoPods".to_owned()));
    let _follower = world.follower("shop", "late", Manners::default());
    world.server.until_phase(rule("slow"), PATIENCE, "Injecting");
}
