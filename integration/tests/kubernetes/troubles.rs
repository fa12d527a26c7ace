//! What goes wrong between the API server, the controller and the sidecars, and loses nothing.

use std::time::Duration;

use serde_json::json;
use squall_integration::eventually;
use squall_integration::kubernetes::{Manners, Operator, Trouble, holds};
use squall_integration::wait::pause;

use super::experiments::spec;
use super::{LEASE, PATIENCE, World, late, rule, until_rules};

#[test]
fn nothing_is_lost_when_watches_are_cut_and_their_history_is_forgotten() {
    let world = World::start(&["--lease", "15s"]);
    let follower = world.follower("shop", "a", Manners::default());
    world.server.create(rule("gone"), &late("10m"));
    world.server.create(rule("edited"), &late("10m"));
    until_rules(&follower, PATIENCE, &["gone", "edited"]);
    world.server.cut_watches();
    world.server.create(rule("new"), &late("10m"));
    until_rules(&follower, PATIENCE, &["gone", "edited", "new"]);

    world.server.trouble(Some(Trouble::Answers(500)));
    world.server.delete(rule("gone"));
    world.server.edit(rule("edited"), &json!({ "spec": { "percentage": 7 } }));
    world.server.delete(rule("new"));
    world.server.create(rule("new"), &json!({ "percentage": 9, "fault": { "abort": 503 } }));
    world.server.forget_history();
    world.server.trouble(None);
    until_rules(&follower, PATIENCE, &["edited", "new"]);
    let orders = eventually("the new ones", PATIENCE, || {
        follower
            .orders()
            .filter(|orders| orders["rules"][0]["percentage"] == 7 && orders["rules"][1]["percentage"] == 9)
    });
    assert_eq!(orders["rules"].as_array().unwrap().len(), 2);
    world.server.until_phase(rule("new"), PATIENCE, "Injecting");
}

#[test]
fn a_status_that_is_not_taken_is_written_again() {
    let world = World::start(&[]);
    let follower = world.follower("shop", "a", Manners::default());
    world.server.conflict(3);
    world.server.create(rule("slow"), &late("10m"));
    until_rules(&follower, PATIENCE, &["slow"]);
    world.server.conflict(2);
    world.server.edit(rule("slow"), &json!({ "spec": { "enabled": false } }));
    until_rules(&follower, PATIENCE, &[]);
    world.server.until_phase(rule("slow"), PATIENCE, "Paused");
}

/// The order that was to follow the status must not.
#[test]
fn what_goes_while_its_status_is_written_stays_gone() {
    let world = World::start(&[]);
    let follower = world.follower("shop", "a", Manners::labelled("app", "a"));
    world.server.create(rule("slow"), &late("10m"));
    until_rules(&follower, PATIENCE, &["slow"]);
    world.server.until_phase(rule("slow"), PATIENCE, "Injecting");
    let lateness = Duration::from_secs(1);
    world.server.answer_patches_after(lateness);
    world.server.edit(rule("slow"), &json!({ "spec": { "percentage": 7 } }));
    world.server.until(rule("slow"), PATIENCE, |rule| rule["status"]["observedGeneration"] == 2);
    world.server.delete(rule("slow"));
    until_rules(&follower, PATIENCE, &[]);

    let experiment = ("Experiment", "shop", "slow");
    world.server.create(experiment, &spec());
    world.server.until_phase(experiment, PATIENCE, "Running");
    world.server.delete(experiment);
    pause(2 * lateness);
    assert!(follower.rules().is_empty(), "{:?}", follower.rules());
    let orders = follower.orders().unwrap();
    assert_eq!(orders["experiments"].as_array().map(Vec::len), Some(0), "{orders:#}");
}

#[test]
fn faults_end_when_the_api_server_does_not_answer_for_a_lease() {
    let world = World::start(&[]);
    let follower = world.follower("shop", "a", Manners::default());
    world.server.create(rule("slow"), &late("10m"));
    until_rules(&follower, PATIENCE, &["slow"]);
    for trouble in [Trouble::Down, Trouble::Answers(500)] {
        let refused = follower.refusals().len();
        world.server.trouble(Some(trouble));
        until_rules(&follower, LEASE * 3 + PATIENCE, &[]);
        assert!(
            follower.refusals().len() > refused && follower.refusals().iter().all(|code| *code == 503),
            "{trouble:?}"
        );
        assert!(world.operator.metric("squall_kubernetes_orders_given") < 0.5);
        world.server.trouble(None);
        until_rules(&follower, PATIENCE, &["slow"]);
    }
    world.server.until(rule("slow"), PATIENCE, |rule| holds(rule, "Injected"));
}

#[test]
fn a_controller_that_is_started_again_keeps_ends_and_orders() {
    let mut world = World::start(&["--lease", "60s"]);
    let follower = world.follower("shop", "a", Manners { counts: (9, 3), ..Manners::default() });
    world.server.create(rule("slow"), &late("10m"));
    let before = world
        .server
        .until(rule("slow"), PATIENCE, |rule| holds(rule, "Injected") && rule["status"]["injectedTotal"] == 3);
    let (taken, answers) = (follower.taken(), follower.n_answers());
    // One that is asked to end answers those that wait, with what is.
    world.operator.ask_to_end();
    eventually("an answer at the end", PATIENCE, || (follower.n_answers() > answers).then_some(()));
    world.restart(&["--lease", "60s"]);
    follower.turn_to(world.operator.https);
    let answers = follower.n_answers();
    eventually("answers of the next one", PATIENCE, || (follower.n_answers() > answers).then_some(()));
    assert_eq!((follower.rules(), follower.taken()), (vec!["slow".to_owned()], taken), "the orders are the same");
    let after = world.server.get(rule("slow"));
    for field in ["startedAt", "expiresAt", "injectedTotal", "observedGeneration"] {
        assert_eq!(after["status"][field], before["status"][field], "{field}");
    }
    world.server.edit(rule("slow"), &json!({ "spec": { "percentage": 1 } }));
    eventually("an edit", PATIENCE, || (follower.orders()?["rules"][0]["percentage"] == 1).then_some(()));
}

#[test]
fn faults_end_with_a_controller_that_is_killed() {
    let world = World::start(&[]);
    let follower = world.follower("shop", "a", Manners::default());
    world.server.create(rule("slow"), &late("10m"));
    until_rules(&follower, PATIENCE, &["slow"]);
    let World { server, authority, operator } = world;
    operator.kill();
    until_rules(&follower, LEASE + PATIENCE, &[]);
    let operator = Operator::start(&server, &authority, &["--lease", "5s"]);
    follower.turn_to(operator.https);
    until_rules(&follower, PATIENCE, &["slow"]);
}

#[test]
fn no_orders_are_given_before_everything_has_been_listed() {
    let mut world = World::start(&["--lease", "60s"]);
    let follower = world.follower("shop", "a", Manners::default());
    world.server.create(rule("slow"), &late("10m"));
    until_rules(&follower, PATIENCE, &["slow"]);
    world.server.trouble(Some(Trouble::Answers(429)));
    world.operator = Operator::launch(&world.server, &world.authority, &["--lease", "60s"]);
    follower.turn_to(world.operator.https);
    eventually("refusals", PATIENCE, || (follower.refusals().len() > 3).then_some(()));
    assert_eq!(world.operator.plain().get("/readyz").status, 503);
    assert_eq!(follower.rules(), ["slow"], "what it follows has not ended");
    world.server.trouble(None);
    let answers = follower.n_answers();
    eventually("orders again", PATIENCE * 2, || (follower.n_answers() > answers).then_some(()));
    assert_eq!(follower.rules(), ["slow"]);
    assert_eq!(world.operator.plain().get("/readyz").status, 200);
}

#[test]
fn an_end_waits_for_nobody() {
    let world = World::start(&["--lease", "60s"]);
    let followers = world.followers(3);
    let World { operator, .. } = world;
    let begun = std::time::Instant::now();
    operator.end();
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert!(followers.iter().all(|one| one.orders().is_some()));
}
