//! How many pods are hit.

use std::collections::BTreeSet;

use serde_json::json;
use squall_integration::eventually;
use squall_integration::kubernetes::{Follower, condition};

use super::{PATIENCE, World, late, rule};

/// Those that follow a rule.
fn hit(followers: &[Follower], name: &str) -> BTreeSet<usize> {
    let follows = |one: &Follower| one.rules().iter().any(|rule| rule == name);
    followers.iter().enumerate().filter(|(_, one)| follows(one)).map(|(n, _)| n).collect()
}

/// Waits until so many follow a rule.
fn until_hit(followers: &[Follower], name: &str, n: usize) -> BTreeSet<usize> {
    eventually(&format!("{n} pods with {name}"), PATIENCE, || {
        let hit = hit(followers, name);
        (hit.len() == n).then_some(hit)
    })
}

#[test]
fn a_share_of_pods_is_exact_and_grows_by_pods_that_are_added() {
    let world = World::start(&[]);
    let followers = world.followers(10);
    let mut spec = late("10m");
    spec["pods"] = json!({ "percentage": 20 });
    world.server.create(rule("slow"), &spec);
    let two = until_hit(&followers, "slow", 2);
    let told = world.server.until(rule("slow"), PATIENCE, |rule| rule["status"]["hitPods"] == 2);
    assert_eq!(told["status"]["matchedPods"], 10);
    world.server.edit(rule("slow"), &json!({ "spec": { "pods": { "percentage": "45%" } } }));
    let four = until_hit(&followers, "slow", 4);
    assert!(two.is_subset(&four), "{two:?} {four:?}");
    world.server.edit(rule("slow"), &json!({ "spec": { "pods": { "percentage": 1 } } }));
    let one = until_hit(&followers, "slow", 1);
    assert!(one.is_subset(&two), "{one:?} {two:?}");
}

#[test]
fn no_more_pods_are_hit_than_the_controller_allows_and_the_oldest_rule_is_served_first() {
    let world = World::start(&["--max-pods-hit", "30"]);
    let followers = world.followers(10);
    let mut first = late("10m");
    first["pods"] = json!({ "percentage": 20 });
    world.server.create(rule("first"), &first);
    let two = until_hit(&followers, "first", 2);
    world.server.create(rule("second"), &late("10m"));
    let three = until_hit(&followers, "second", 3);
    assert!(two.is_subset(&three), "those that are hit anyway count once: {two:?} {three:?}");
    let told = world.server.until(rule("second"), PATIENCE, |rule| rule["status"]["hitPods"] == 3);
    assert_eq!(condition(&told, "Selected"), ("True".to_owned(), "SomeByMaxPodsHit".to_owned()));
    world.server.edit(rule("first"), &json!({ "spec": { "pods": { "percentage": 100 } } }));
    until_hit(&followers, "first", 3);
    eventually("gauges", PATIENCE, || {
        let gauge = |name: &str| world.operator.metric(&format!("squall_kubernetes_{name}"));
        (gauge("sidecars") > 9.5 && gauge("pods_hit_max") < 3.5 && gauge("pods_hit") > 2.5).then_some(())
    });
}
