//! Whom the sidecar asks, whom it trusts, and what it shows.

use std::time::Duration;

use serde_json::json;
use squall_integration::origin::Origin;
use squall_integration::squall::output;
use squall_integration::wait::PATIENCE;
use squall_integration::{Authority, Controller, Manner, Settings, Squall, eventually};

use crate::{LEASE, World, abort};

#[test]
fn tokens_labels_and_authorities_are_read_again() {
    let world = World::new(LEASE);
    world.controller.order_and_wait("1", json!({"rules": [abort("x", "/a", 418)]}));
    world.controller.replace("token", b"second\n");
    world.controller.replace("labels", b"app=\"service-a\"\nversion=\"2\"\n");
    eventually("it shows the other token", PATIENCE, || {
        let last = world.controller.questions().pop()?;
        (last.token.as_deref() == Some("second") && last.report["labels"]["version"] == "2").then_some(())
    });
    // The authority is another one: first for the sidecar, whose connection ends, then for the controller.
    let other = Authority::new();
    world.controller.trust(&other);
    let problem = eventually("it trusts the controller no more", PATIENCE, || {
        world.status()["problem"].as_str().map(str::to_owned).filter(|why| why.contains("certificate"))
    });
    println!("{problem}");
    assert_eq!(world.call("/a"), 418, "the lease lasts");
    world.controller.become_one_of(&other);
    eventually("it trusts it again", PATIENCE, || world.status()["problem"].is_null().then_some(()));
    assert_eq!(world.call("/a"), 418);
    assert!(!world.squall.said().contains("fell silent"), "all of it within a lease");
}

#[test]
fn what_cannot_be_read_is_said() {
    let world = World::new(LEASE);
    world.controller.followed("empty");
    for (file, part) in [("labels", "labels: line 1 is not key"), ("token", "token does not hold a token alone")] {
        let before = std::fs::read(world.controller.file(file)).unwrap();
        world.controller.replace(file, b"no label, no token\n");
        eventually("it is said", PATIENCE, || {
            world.status()["problem"].as_str().filter(|why| why.contains(part)).map(drop)
        });
        world.controller.replace(file, &before);
        eventually("all is well", PATIENCE, || world.status()["problem"].is_null().then_some(()));
    }
    let refusal = json!({"detail": "the token is for somebody else", "hint": "mount another"}).to_string();
    world.controller.be(Manner::Status(403, refusal));
    let said = "status 403: the token is for somebody else; mount another";
    eventually("it is said", PATIENCE, || (world.status()["problem"] == said).then_some(()));
    let refused = || world.squall.api().metrics().sum("squall_controller_answers_total", &[("result", "refused")]);
    assert!(refused() >= 1.0);
    world.lost();
    assert_eq!(world.squall.api().metrics().sum("squall_controller_connected", &[]), 0.0);
    let control = world.squall.api().url();
    let table = output(&["status", "--control", &control]).stdout;
    let table = String::from_utf8(table).unwrap();
    let row = table.lines().find(|line| line.contains("controller")).unwrap();
    assert!(row.contains("connected=false") && row.contains(said) && row.contains(&world.controller.url()), "{row}");
}

#[test]
fn the_file_names_a_controller_and_flags_name_another() {
    let (origin, of_file, of_flag) = (Origin::ok(), Controller::start(LEASE), Controller::start(LEASE));
    let section = |controller: &Controller| {
        let file = |name: &str| controller.file(name).display().to_string();
        let (ca, token, labels) = (file("ca.crt"), file("token"), file("labels"));
        format!("controller: {{ url: \"{}\", ca: {ca}, token_file: {token}, labels_file: {labels} }}", controller.url())
    };
    let settings = Settings::http(origin.address).with(&section(&of_file));
    let squall = Squall::start(&settings);
    let asked = of_file.followed("empty");
    assert_eq!((asked.token.as_deref(), &asked.report["labels"]["app"]), (Some("first"), &json!("service-a")));
    // Another one needs another process, and says so.
    let text = std::fs::read_to_string(squall.file()).unwrap();
    std::fs::write(squall.file(), text.replace(&section(&of_file), &section(&of_flag))).unwrap();
    let told = "stays https://";
    eventually("the reload says so", PATIENCE, || squall.said().contains(told).then_some(()));
    assert!(of_flag.questions().is_empty());
    drop(squall);

    let (url, ca) = (of_flag.url(), of_flag.file("ca.crt").display().to_string());
    let variables = [("SQUALL_CONTROLLER", url.as_str()), ("SQUALL_CONTROLLER_CA", ca.as_str())];
    let squall = Squall::start_under(&settings, &variables, &[]);
    let asked = of_flag.followed("empty");
    assert_eq!(asked.token.as_deref(), Some("first"), "what no flag says the file says");
    assert_eq!(squall.api().json("/v1/status")["controller"]["url"], format!("{url}/"));
}

#[test]
fn without_a_controller_there_is_nothing_of_it() {
    let origin = Origin::ok();
    let squall = Squall::start(&Settings::http(origin.address));
    assert!(squall.api().json("/v1/status")["controller"].is_null());
    assert!(!squall.api().get("/metrics").text().contains("squall_controller"));
    for (flags, part) in [
        (&["--controller", "http://c"][..], "controller.url: over http anybody"),
        (&["--controller-ca", "ca.crt"], "controller.url: missing"),
    ] {
        let file = squall.file().display().to_string();
        let done = output(&[&["run", "-c", &file], flags].concat());
        let said = String::from_utf8(done.stderr).unwrap();
        assert!(done.status.code() == Some(3) && said.contains(part), "{said}");
    }
}

/// Whoever opens a pipe that nobody writes to waits; a question must not.
#[test]
fn a_token_that_is_a_pipe_ends_faults_with_the_lease_and_is_said_until_it_is_a_file() {
    let world = World::new(LEASE);
    world.controller.order_and_wait("1", json!({"rules": [abort("x", "/a", 418)]}));
    let (fifo, token) = (world.controller.file("fifo"), std::fs::read(world.controller.file("token")).unwrap());
    let made = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    std::fs::rename(&fifo, world.controller.file("token")).unwrap();
    let last = world.controller.last_answer();
    eventually("faults end", LEASE * 3, || (world.call("/a") == 200).then_some(()));
    let after = world.controller.last_answer().max(last).elapsed();
    println!("ended {after:?} after the last answer");
    assert!(after < LEASE + Duration::from_millis(1000), "{after:?}");
    let problem = world.status()["problem"].as_str().map(str::to_owned).unwrap_or_default();
    assert!(problem.ends_with("token: is not a file"), "{problem}");
    world.controller.replace("token", &token);
    eventually("it follows again", PATIENCE, || (world.call("/a") == 418).then_some(()));
}
