//! Experiment: one run in each pod, and one verdict of all of them.

use serde_json::{Value, json};
use squall_integration::eventually;
use squall_integration::kubernetes::{Manners, condition, holds};

use super::{PATIENCE, World, late, rule, until_rules};

const SLOW: (&str, &str, &str) = ("Experiment", "shop", "slow-b");

/// A valid one, for the pods with `app: a`.
pub(super) fn spec() -> Value {
    json!({
        "hypothesis": "all is well",
        "pods": { "selector": { "matchLabels": { "app": "a" } } },
        "steady_state": [{ "name": "s", "condition": { "metric": "error_rate", "direction": "inbound", "below": "1%" } }],
        "method": [{ "rules": [{ "name": "r", "percentage": 5, "fault": { "delay": "2s" } }], "hold": "10s" }],
    })
}

fn manners(verdict: Option<&str>) -> Manners {
    Manners { verdict: verdict.map(str::to_owned), counts: (10, 4), ..Manners::labelled("app", "a") }
}

#[test]
fn it_runs_once_in_each_pod_and_fails_where_one_fails() {
    let world = World::start(&[]);
    let (held, failed) = (world.follower("shop", "p0", manners(None)), world.follower("shop", "p1", manners(None)));
    let other = world.follower("shop", "p2", Manners::default());
    eventually("orders for all", PATIENCE, || {
        [&held, &failed, &other].iter().all(|one| one.orders().is_some()).then_some(())
    });
    let made = world.server.create(SLOW, &spec());
    let run = format!("{}.1", made["metadata"]["uid"].as_str().unwrap());
    let running = world.server.until(SLOW, PATIENCE, |one| one["status"]["pods"][0]["phase"] == "injecting");
    assert_eq!((&running["status"]["phase"], &running["status"]["podsTotal"]), (&json!("Running"), &json!(2)));
    assert_eq!(held.orders().unwrap()["experiments"][0]["document"]["metadata"]["name"], "slow-b");
    held.behave(|manners| manners.verdict = Some("held".to_owned()));
    world.server.until(SLOW, PATIENCE, |one| one["status"]["pods"].to_string().contains("held"));
    failed.behave(|manners| manners.verdict = Some("failed".to_owned()));
    let finished = world.server.until_phase(SLOW, PATIENCE, "Finished");
    let status = &finished["status"];
    assert_eq!((&status["verdict"], &status["injectedTotal"]), (&json!("failed"), &json!(8)));
    assert_eq!(status["reasons"], json!(["pod p1: as the test wants it"]));
    assert!(holds(&finished, "Finished") && status["startedAt"].is_string() && status["endedAt"].is_string());
    eventually("the end of orders", PATIENCE, || {
        (held.orders()?["experiments"].as_array()?.is_empty() && failed.orders()?["experiments"].as_array()?.is_empty())
            .then_some(())
    });
    assert_eq!((held.runs(), failed.runs(), other.runs()), (vec![run.clone()], vec![run.clone()], vec![]));

    // A change of its spec runs it again, and all of them hold.
    failed.behave(|manners| manners.verdict = Some("held".to_owned()));
    world.server.edit(SLOW, &json!({ "spec": { "hypothesis": "all is still well" } }));
    let again = world
        .server
        .until(SLOW, PATIENCE, |one| one["status"]["observedGeneration"] == 2 && one["status"]["phase"] == "Finished");
    assert_eq!(again["status"]["verdict"], "held");
    assert_eq!(held.runs(), [run.clone(), run.replace(".1", ".2")]);
    let reasons: Vec<String> = world.server.events().into_iter().map(|(reason, _)| reason).collect();
    assert!(reasons.starts_with(&["Running".to_owned(), "Finished".to_owned()]), "{reasons:?}");
}

#[test]
fn its_deletion_stops_it_and_a_halt_ends_it_for_good() {
    let world = World::start(&[]);
    let follower = world.follower("shop", "p0", manners(None));
    let ordered = || follower.orders().map_or(0, |orders| orders["experiments"].as_array().map_or(0, Vec::len));
    world.server.create(SLOW, &spec());
    eventually("a run", PATIENCE, || (ordered() == 1).then_some(()));
    world.server.delete(SLOW);
    eventually("its end", PATIENCE, || (ordered() == 0).then_some(()));

    world.server.create(SLOW, &spec());
    eventually("another run", PATIENCE, || (ordered() == 1).then_some(()));
    world.server.create(("ClusterHalt", "", "now"), &json!({ "reason": "deploy" }));
    let finished = world.server.until_phase(SLOW, PATIENCE, "Finished");
    assert_eq!(finished["status"]["verdict"], "inconclusive");
    assert_eq!(finished["status"]["reasons"], json!(["pod p0: ClusterHalt now: deploy"]));
    world.server.delete(("ClusterHalt", "", "now"));
    world.server.create(rule("after"), &late("10m"));
    until_rules(&follower, PATIENCE, &["after"]);
    assert_eq!((ordered(), follower.runs().len()), (0, 2));
}

#[test]
fn it_goes_on_in_the_same_pods_when_the_controller_is_started_again() {
    let mut world = World::start(&["--lease", "60s"]);
    let follower = world.follower("shop", "p0", manners(None));
    world.server.create(SLOW, &spec());
    let before = world.server.until(SLOW, PATIENCE, |one| one["status"]["pods"][0]["phase"] == "injecting");
    world.restart(&["--lease", "60s"]);
    follower.turn_to(world.operator.https);
    let newcomer = world.follower("shop", "p1", manners(Some("failed")));
    eventually("orders of the next one", PATIENCE, || newcomer.orders());
    follower.behave(|manners| manners.verdict = Some("held".to_owned()));
    let finished = world.server.until_phase(SLOW, PATIENCE, "Finished");
    assert_eq!((&finished["status"]["verdict"], &finished["status"]["podsTotal"]), (&json!("held"), &json!(1)));
    assert_eq!(finished["status"]["startedAt"], before["status"]["startedAt"]);
    assert_eq!((follower.runs().len(), newcomer.runs().len()), (1, 0));
}

#[test]
fn one_that_cannot_be_is_refused_or_waits() {
    let world = World::start(&[]);
    let mut wrong = spec();
    wrong["schedule"] = json!({ "every": "24h" });
    wrong["method"] = json!([]);
    world.server.create(SLOW, &wrong);
    let refused = world.server.until_phase(SLOW, PATIENCE, "Refused");
    let message = refused["status"]["conditions"][0]["message"].as_str().unwrap();
    assert!(message.contains("spec.schedule") && message.contains("spec.method"), "{message}");
    world.server.create(("Experiment", "shop", "lonely"), &spec());
    let waiting = world.server.until_phase(("Experiment", "shop", "lonely"), PATIENCE, "Pending");
    assert_eq!(condition(&waiting, "Selected"), ("False".to_owned(), "NoPods".to_owned()));
}
