//! The kill switch, when a controller moves it.

use std::time::Duration;

use serde_json::{Value, json};
use squall_integration::wait::{PATIENCE, pause};
use squall_integration::{Manner, Settings, Squall, eventually};

use crate::{LEASE, World, abort};

const OWN: &str = "rules: [{name: own, match: {path: /own}, percentage: 100, fault: {abort: 421}}]";

fn reason(world: &World) -> Value {
    world.squall.api().json("/v1/status")["halt"]["reason"].clone()
}

fn is_halted(world: &World) -> Value {
    eventually("a halt", PATIENCE, || Some(reason(world)).filter(|reason| !reason.is_null()))
}

#[test]
fn the_controller_halts_everything_and_resumes_what_it_halted() {
    let world = World::with(Duration::from_secs(15), OWN, &[]);
    // Nothing else is ordered.
    world.controller.order_and_wait("1", json!({"halt": "an incident"}));
    assert_eq!((is_halted(&world), world.call("/own")), (json!("the controller: an incident"), 200));
    world.controller.until("it is reported", |report| report["halted"] == "the controller: an incident");
    let refused = world.squall.api().post("/v1/resume", "");
    assert_eq!(refused.status, 409, "{}", refused.text());
    assert!(refused.text().contains("clusterhalts"), "{}", refused.text());
    assert_eq!(world.call("/own"), 200);
    // Rules come, and inject nothing.
    world.controller.order_and_wait("2", json!({"halt": "an incident", "rules": [abort("x", "/a", 418)]}));
    assert_eq!((world.call("/a"), world.ordered()), (200, vec!["x".to_owned()]));
    world.controller.order_and_wait("3", json!({"rules": [abort("x", "/a", 418)]}));
    assert_eq!((reason(&world), world.call("/a"), world.call("/own")), (json!(null), 418, 421));
}

#[test]
fn a_halt_of_somebody_else_stays() {
    let world = World::with(Duration::from_secs(15), OWN, &[]);
    // Before the controller's.
    world.squall.api().halt();
    world.controller.order_and_wait("1", json!({"halt": "an incident"}));
    world.controller.order_and_wait("2", json!({}));
    assert_eq!((reason(&world), world.call("/own")), (json!("test"), 200));
    world.squall.api().resume();
    assert_eq!(world.call("/own"), 421);
    // After it.
    world.controller.order_and_wait("3", json!({"halt": "an incident"}));
    world.squall.api().halt();
    world.controller.order_and_wait("4", json!({}));
    assert_eq!((reason(&world), world.call("/own")), (json!("test"), 200));
    world.squall.api().resume();
    assert_eq!(world.call("/own"), 421);
}

#[test]
fn silence_leaves_it_halted() {
    let world = World::with(LEASE, OWN, &[]);
    world.controller.order_and_wait("1", json!({"halt": "an incident"}));
    world.controller.be(Manner::Gone);
    world.lost();
    assert_eq!((reason(&world), world.call("/own")), (json!("the controller: an incident"), 200));
    // It comes back, and halts no more.
    world.controller.order("2", json!({}));
    world.controller.be(Manner::Well);
    eventually("faults flow", PATIENCE, || (world.call("/own") == 421).then_some(()));
    // While it is silent, people may resume.
    world.controller.order_and_wait("3", json!({"halt": "an incident"}));
    world.controller.be(Manner::Gone);
    world.lost();
    world.squall.api().resume();
    assert_eq!(world.call("/own"), 421);
    world.controller.be(Manner::Well);
    world.controller.followed("3");
    assert_eq!((is_halted(&world), world.call("/own")), (json!("the controller: an incident"), 200));
}

#[test]
fn a_halt_outlives_the_process_and_is_still_the_controllers() {
    let state = tempfile::tempdir().unwrap();
    let flags = ["--state-dir", state.path().to_str().unwrap()];
    for halts_still in [true, false] {
        let mut world = World::with(Duration::from_secs(15), OWN, &flags);
        world.controller.order_and_wait("1", json!({"halt": "an incident"}));
        is_halted(&world);
        eventually("it is written down", PATIENCE, || {
            let kept = std::fs::read_to_string(state.path().join("state.json")).ok()?;
            kept.contains("by_controller").then_some(())
        });
        world.squall.signal("KILL");
        world.squall.wait(PATIENCE);
        world.controller.be(Manner::Gone);
        let all = world.controller.flags();
        let all: Vec<&str> = all.iter().map(String::as_str).chain(flags).collect();
        world.squall = Squall::start_with(&Settings::http(world._origin.address).with(OWN), &all);
        assert_eq!((reason(&world), world.call("/own")), (json!("the controller: an incident"), 200));
        if halts_still {
            world.controller.be(Manner::Well);
            world.controller.followed("1");
            pause(Duration::from_millis(200));
            assert_eq!(world.call("/own"), 200);
            world.controller.order_and_wait("2", json!({}));
        } else {
            world.controller.order("2", json!({}));
            world.controller.be(Manner::Well);
            world.controller.followed("2");
        }
        assert_eq!((reason(&world), world.call("/own")), (json!(null), 421));
    }
}
