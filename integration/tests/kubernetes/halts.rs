//! ClusterHalt.

use serde_json::json;
use squall_integration::eventually;
use squall_integration::kubernetes::{Follower, Manners, holds};

use super::{PATIENCE, World, late, rule, until_rules};

const HALT: (&str, &str, &str) = ("ClusterHalt", "", "now");

/// A sidecar in each of two namespaces, each with a rule.
fn two_namespaces() -> (World, Follower, Follower) {
    let world = World::start(&[]);
    let shop = world.follower("shop", "a", Manners::default());
    let pay = world.follower("pay", "a", Manners::default());
    world.server.create(rule("slow"), &late("10m"));
    world.server.create(("FaultRule", "pay", "late"), &late("10m"));
    until_rules(&shop, PATIENCE, &["slow"]);
    until_rules(&pay, PATIENCE, &["late"]);
    (world, shop, pay)
}

#[test]
fn a_halt_ends_all_faults_and_its_deletion_lets_them_flow_again() {
    let (world, shop, pay) = two_namespaces();
    world.server.create(HALT, &json!({ "reason": "deploy" }));
    for one in [&shop, &pay] {
        until_rules(one, PATIENCE, &[]);
        assert_eq!(one.halt().as_deref(), Some("ClusterHalt now: deploy"));
    }
    let halted = world.server.until_phase(rule("slow"), PATIENCE, "Halted");
    assert!(!holds(&halted, "Injected"));
    world.server.until(rule("slow"), PATIENCE, |rule| holds(rule, "Recovered"));
    world.server.until(HALT, PATIENCE, |halt| halt["status"]["podsHalted"] == 2);
    world.server.delete(HALT);
    until_rules(&shop, PATIENCE, &["slow"]);
    assert_eq!(shop.halt(), None);
    world.server.until_phase(rule("slow"), PATIENCE, "Injecting");
}

#[test]
fn a_halt_of_a_namespace_leaves_the_others_alone() {
    let (world, shop, pay) = two_namespaces();
    world.server.create(HALT, &json!({ "namespaces": ["shop"] }));
    until_rules(&shop, PATIENCE, &[]);
    assert_eq!(
        (shop.halt().as_deref(), pay.halt(), pay.rules()),
        (Some("ClusterHalt now"), None, vec!["late".to_owned()])
    );
    world.server.until(HALT, PATIENCE, |halt| halt["status"]["podsHalted"] == 1 && halt["status"]["podsMatched"] == 1);
    world.server.edit(HALT, &json!({ "spec": { "namespaces": ["pay"] } }));
    until_rules(&pay, PATIENCE, &[]);
    until_rules(&shop, PATIENCE, &["slow"]);
    eventually("the resumption", PATIENCE, || shop.halt().is_none().then_some(()));
}
