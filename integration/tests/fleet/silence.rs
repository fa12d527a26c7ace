//! Whatever the way in which the controller falls silent, its faults end with the lease.

use std::time::{Duration, Instant};

use serde_json::json;
use squall_integration::wait::{PATIENCE, pause};
use squall_integration::{Controller, Manner, Settings, Squall, eventually};

use crate::{LEASE, World, abort};

/// Beside the lease: the time of the answer that was under way, and of a busy machine.
const MARGIN: Duration = Duration::from_millis(1000);

fn falls_silent(way: &str, manner: Manner) -> String {
    let world = World::new(LEASE);
    let hold = json!({"name": "hold", "match": {"path": "/hold"}, "percentage": 100, "fault": {"blackhole": true}});
    world.controller.order_and_wait("1", json!({"rules": [abort("x", "/a", 418), hold]}));
    std::thread::scope(|scope| {
        let held = scope.spawn(|| world.call("/hold"));
        eventually("it is held", PATIENCE, || (world.squall.api().rule_status("hold")["active"] == 1).then_some(()));
        world.controller.be(manner);
        let last = world.controller.last_answer();
        // Nothing ends before the lease does.
        pause(LEASE / 2);
        assert!(!held.is_finished() && world.call("/a") == 418, "{way}: one failure is none");
        assert_eq!(held.join().unwrap(), 200, "{way}: what was held goes on");
        let after = last.elapsed();
        assert!(after > LEASE - MARGIN / 2 && after < LEASE + MARGIN, "{way}: {after:?}");
        assert_eq!((world.call("/a"), world.ordered().len()), (200, 0), "{way}");
        let status = world.status();
        assert_eq!((&status["connected"], &status["revision"]), (&json!(false), &json!(null)), "{way}");
        assert!(status["problem"].is_string(), "{way}: {status}");
        assert_eq!(world.squall.said().matches("the controller fell silent").count(), 1, "{way}");
        // It comes back: so do its orders, unchanged as they are.
        world.controller.be(Manner::Well);
        eventually("its orders hold again", PATIENCE, || (world.call("/a") == 418).then_some(()));
        format!("{way}: {after:?} after the last answer; {}", status["problem"])
    })
}

#[test]
fn faults_end_with_the_lease_whatever_the_way() {
    let long = json!({"revision": "2", "lease_ms": 60_000, "halt": "x".repeat(5 << 20)}).to_string();
    let refusal = json!({"detail": "the token is for somebody else", "hint": "mount another"}).to_string();
    let ways = [
        ("the port is closed", Manner::Gone),
        ("connections are taken, and not a byte", Manner::Deaf),
        ("questions are taken, and not answered", Manner::Silent),
        ("the half of an answer", Manner::Halved),
        ("500", Manner::Status(500, "oh".to_owned())),
        ("401", Manner::Status(401, refusal)),
        ("garbage", Manner::Status(200, "<html>".to_owned())),
        ("nothing in it", Manner::Status(200, "{}".to_owned())),
        ("orders that are too long", Manner::Status(200, long)),
    ];
    // Some at once: they wait more than they work.
    for some in ways.chunks(3) {
        std::thread::scope(|scope| {
            let all: Vec<_> = some
                .iter()
                .map(|(way, manner)| {
                    let manner = manner.clone();
                    scope.spawn(move || falls_silent(way, manner))
                })
                .collect();
            all.into_iter().for_each(|one| println!("{}", one.join().unwrap()));
        });
    }
}

#[test]
fn a_restart_of_the_controller_loses_nothing() {
    let world = World::new(LEASE);
    world.controller.order_and_wait("1", json!({"rules": [abort("x", "/a", 418)]}));
    assert_eq!(world.call("/a"), 418);
    let generation = world.squall.api().generation();
    for _ in 0..2 {
        world.controller.be(Manner::Gone);
        pause(LEASE / 4);
        assert_eq!(world.call("/a"), 418);
        let back = world.controller.be(Manner::Well);
        eventually("it is asked again", PATIENCE, || (world.controller.last_answer() > back).then_some(()));
    }
    assert_eq!(world.squall.api().generation(), generation, "nothing was published");
    assert_eq!(world.squall.api().rule_status("x")["injected"], 3);
    assert!(!world.squall.said().contains("fell silent"));
}

#[test]
fn after_a_kill_nothing_flows_before_it_is_ordered_anew() {
    let state = tempfile::tempdir().unwrap();
    let flags = ["--state-dir", state.path().to_str().unwrap()];
    let mut world = World::with(Duration::from_secs(15), "", &flags);
    world.controller.order_and_wait("1", json!({"rules": [abort("x", "/a", 418)]}));
    world.squall.api().rule("own", &json!({"match": {"path": "/own"}, "percentage": 100, "fault": {"abort": 421}}));
    assert_eq!((world.call("/a"), world.call("/own")), (418, 421));
    world.squall.signal("KILL");
    world.squall.wait(PATIENCE);
    let kept = std::fs::read_to_string(state.path().join("state.json")).unwrap();
    assert!(kept.contains("\"own\"") && !kept.contains("\"x\""), "{kept}");

    world.controller.be(Manner::Gone);
    let all = world.controller.flags();
    let all: Vec<&str> = all.iter().map(String::as_str).chain(flags).collect();
    world.squall = Squall::start_with(&Settings::http(world._origin.address), &all);
    assert_eq!((world.call("/a"), world.call("/own"), world.ordered().len()), (200, 421, 0));
    world.controller.be(Manner::Well);
    world.controller.followed("1");
    assert_eq!((world.call("/a"), world.call("/own")), (418, 421));
}

#[test]
fn the_end_does_not_wait_for_an_answer() {
    let world = World::new(Duration::from_secs(15));
    world.controller.followed("empty");
    for manner in [Manner::Well, Manner::Deaf] {
        let mut squall = {
            let flags = world.controller.flags();
            let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
            Squall::start_with(&Settings::http(world._origin.address), &flags)
        };
        let n_before = world.controller.questions().len();
        let asks = || (world.controller.questions().len() > n_before).then_some(());
        if manner == Manner::Well {
            eventually("it asks", PATIENCE, asks);
        }
        world.controller.be(manner);
        let asked = Instant::now();
        squall.signal("TERM");
        assert!(squall.wait(PATIENCE).success());
        let within = asked.elapsed();
        println!("ended {within:?} after SIGTERM");
        assert!(within < Duration::from_secs(2), "{within:?}");
    }
}

/// Many questions are asked on one connection: the handshakes of a cluster are not for the controller to pay each few seconds.
#[test]
fn one_connection_is_enough() {
    let world = World::new(Duration::from_secs(1));
    eventually("it is asked", PATIENCE, || (world.controller.questions().len() > 8).then_some(()));
    let connections: Vec<usize> = world.controller.questions().iter().map(|question| question.connection).collect();
    assert!(connections.iter().all(|connection| *connection == 0), "{connections:?}");
}

#[test]
fn a_controller_that_does_not_wait_is_not_asked_all_the_time() {
    let controller = Controller::start(LEASE);
    controller.be(Manner::Status(200, json!({"revision": "1", "lease_ms": 60_000}).to_string()));
    let flags = controller.flags();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let origin = squall_integration::origin::Origin::ok();
    let _squall = Squall::start_with(&Settings::http(origin.address), &flags);
    eventually("it is asked", PATIENCE, || (!controller.questions().is_empty()).then_some(()));
    pause(Duration::from_secs(3));
    let n = controller.questions().len();
    assert!((2..=6).contains(&n), "{n} questions in 3 s");
}
