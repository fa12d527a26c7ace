//! Rules come, change and go; and what is this sidecar's own stays its own.

use std::time::{Duration, Instant};

use serde_json::json;
use squall_integration::wait::{PATIENCE, pause};
use squall_integration::{RawClient, eventually};

use crate::{LEASE, World, abort, of};

#[test]
fn rules_arrive_are_counted_change_and_go() {
    let world = World::new(Duration::from_secs(15));
    let first = world.controller.followed("empty");
    assert_eq!((first.line.as_str(), first.token.as_deref()), ("POST /v1/sidecars HTTP/1.1", Some("first")));
    assert_eq!(first.report["labels"], json!({"app": "service-a", "tier": "back"}));
    assert_eq!(
        (first.report["version"].as_str(), &first.report["halted"]),
        (Some(env!("CARGO_PKG_VERSION")), &json!(null))
    );
    assert_eq!(world.call("/a"), 200);

    world.controller.order_and_wait("1", json!({"rules": [abort("x", "/a", 418)]}));
    assert_eq!((world.call("/a"), world.call("/b")), (418, 200));
    let report = world.controller.until("it is counted", |report| of(report, "rules", "x")["injected"] == 1).report;
    assert_eq!(of(&report, "rules", "x"), &json!({"name": "x", "matched": 1, "injected": 1, "problem": null}));
    let rule = world.squall.api().json("/v1/rules/x");
    assert_eq!((&rule["status"]["origin"], &rule["controller"]), (&json!("controller"), &json!(true)));
    assert_eq!(rule["status"]["expires_at"], json!(null), "no default ttl is theirs");
    let metrics = world.squall.api().metrics();
    assert_eq!(metrics.sum("chaos_injected_faults_total", &[("rule", "x"), ("kind", "abort")]), 1.0);
    assert_eq!(metrics.sum("squall_controller_connected", &[]), 1.0);
    assert!(metrics.sum("squall_controller_answers_total", &[("result", "orders")]) >= 2.0);
    assert_eq!(metrics.sum("squall_controller_answers_total", &[("result", "none")]), 0.0);

    world.controller.order_and_wait("2", json!({"rules": [abort("x", "/a", 419), abort("y", "/b", 420)]}));
    assert_eq!((world.call("/a"), world.call("/b")), (419, 420));
    assert_eq!(world.squall.api().rule_status("x")["injected"], 2, "a rule that changes keeps its counts");
    world.controller.order_and_wait("3", json!({"rules": [abort("y", "/b", 420)]}));
    assert_eq!((world.call("/a"), world.call("/b"), world.ordered()), (200, 420, vec!["y".to_owned()]));

    let audit = world.squall.api().json("/v1/audit");
    let entries = audit["entries"].as_array().unwrap();
    let noted: Vec<_> = entries.iter().filter(|entry| entry["actor"]["kind"] == "controller").collect();
    assert_eq!(noted.len(), 3, "{audit:#}");
    assert_eq!((&noted[0]["operation"], &noted[0]["changes"]["added"][0]["name"]), (&json!("order"), &json!("x")));
    let status = world.status();
    assert_eq!((&status["connected"], &status["revision"]), (&json!(true), &json!("3")));
    assert!(status["lease_left_seconds"].as_f64().is_some_and(|left| left > 5.0 && left <= 15.0), "{status}");
    assert_eq!(world.squall.said().matches("the orders of the controller changed").count(), 4, "each change once");
}

#[test]
fn what_a_withdrawn_rule_holds_is_released_at_once() {
    let world = World::new(Duration::from_secs(15));
    let hold = json!({"name": "hold", "percentage": 100, "fault": {"blackhole": true}});
    world.controller.order_and_wait("1", json!({"rules": [hold]}));
    std::thread::scope(|scope| {
        let held: Vec<_> = (0..20).map(|_| scope.spawn(|| (world.call("/"), Instant::now()))).collect();
        let is_held = || (world.squall.api().rule_status("hold")["active"] == 20).then_some(());
        eventually("all are held", PATIENCE, is_held);
        let withdrawn = world.controller.order("2", json!({}));
        let ends: Vec<(u16, Instant)> = held.into_iter().map(|held| held.join().unwrap()).collect();
        let last = ends.iter().map(|(_, end)| end.saturating_duration_since(withdrawn)).max().unwrap();
        println!("20 held requests were answered within {last:?} after their rule was withdrawn");
        assert!(ends.iter().all(|(status, _)| *status == 200));
        assert!(last < Duration::from_millis(500), "{last:?}");
    });
}

#[test]
fn nobody_here_changes_an_ordered_rule() {
    let world = World::with(
        Duration::from_secs(15),
        "rules: [{name: own, match: {path: /own}, percentage: 100, fault: {abort: 421}}]",
        &[],
    );
    let api = world.squall.api();
    world.controller.order_and_wait("1", json!({"rules": [abort("x", "/a", 418)]}));
    let other = json!({"percentage": 1, "fault": {"abort": 500}});
    for (method, path, body) in [
        ("PUT", "/v1/rules/x", other.to_string()),
        ("PATCH", "/v1/rules/x", json!({"percentage": 1}).to_string()),
        ("DELETE", "/v1/rules/x", String::new()),
        ("PUT", "/v1/rules", json!([{"name": "x", "percentage": 1, "fault": {"abort": 500}}]).to_string()),
    ] {
        let refused = api.call(method, path, &[], &body);
        assert_eq!(refused.status, 409, "{method} {path}: {}", refused.text());
        assert!(refused.text().contains("comes from the controller of the cluster"), "{}", refused.text());
    }
    // What was got can be put back; what is put leaves ordered rules alone, and they stay behind all others.
    let got = api.get("/v1/rules").text();
    assert_eq!(api.put("/v1/rules", &got).status, 200);
    assert_eq!(api.put("/v1/rules", &json!([]).to_string()).status, 200);
    assert_eq!((world.call("/a"), world.call("/own")), (418, 200));
    let config = api.json("/v1/config");
    assert!(!config.to_string().contains("418"), "{config:#}");
    assert_eq!(api.put("/v1/config", &config.to_string()).status, 200);
    assert_eq!(world.call("/a"), 418);
    let text = std::fs::read_to_string(world.squall.file()).unwrap();
    std::fs::write(world.squall.file(), text.replace("421", "422")).unwrap();
    eventually("the file is loaded", PATIENCE, || (world.call("/own") == 422).then_some(()));
    assert_eq!(world.call("/a"), 418);
    assert_eq!(api.put("/v1/rules/z", &json!({"percentage": 1, "fault": {"abort": 500}}).to_string()).status, 201);
    let rules = api.json("/v1/rules");
    let names: Vec<&str> =
        rules["rules"].as_array().unwrap().iter().map(|rule| rule["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["own", "z", "x"]);
    // Halt stops them, as it stops all.
    api.halt();
    assert_eq!(world.call("/a"), 200);
    world.controller.until("the halt is reported", |report| report["halted"] == "test");
    api.resume();
    assert_eq!(world.call("/a"), 418);
}

#[test]
fn a_bad_rule_is_left_out_alone_and_says_why() {
    let world = World::with(
        LEASE,
        "limits: {percentage_max: 60}\nrules: [{name: own, match: {path: /own}, percentage: 50, fault: {abort: 421}}]",
        &[],
    );
    let elsewhere = json!({"name": "elsewhere", "match": {"cluster": "service-c", "path": "/c"}, "percentage": 1, "fault": {"abort": 500}});
    let newer = json!({"name": "newer", "percentage": 1, "fault": {"abort": 500}, "only_on_sundays": true});
    let good = json!({"name": "good", "match": {"path": "/a"}, "sample": {"first": 1}, "percentage": 60, "fault": {"delay": "1ms"}});
    let much = json!({"name": "much", "match": {"path": "/a"}, "percentage": 61, "fault": {"abort": 418}});
    let taken = json!({"name": "own", "percentage": 1, "fault": {"abort": 500}});
    let report = world.controller.order_and_wait("1", json!({"rules": [elsewhere, newer, good, much, taken]})).report;
    assert_eq!(world.ordered(), ["good"]);
    for (name, part) in [
        ("elsewhere", "match.cluster"),
        ("newer", "only_on_sundays"),
        ("much", "percentage"),
        ("own", "there is a rule of this name here already, of origin file"),
    ] {
        let problem = &of(&report, "rules", name)["problem"];
        assert!(problem.as_str().is_some_and(|problem| problem.contains(part)), "{name}: {problem}");
        assert_eq!(of(&report, "rules", name)["injected"], 0);
    }
    assert_eq!(of(&report, "rules", "good")["problem"], json!(null));
    // It comes when it fits, and goes when it does not any more, and no reload is refused for it.
    let text = std::fs::read_to_string(world.squall.file()).unwrap();
    std::fs::write(world.squall.file(), text.replace("service-b", "service-c")).unwrap();
    eventually("it fits", PATIENCE, || (world.ordered() == ["elsewhere", "good"]).then_some(()));
    let report =
        world.controller.until("it is reported", |report| of(report, "rules", "elsewhere")["problem"].is_null());
    assert_eq!(report.report["following"], "1");
    std::fs::write(world.squall.file(), text).unwrap();
    eventually("it does not", PATIENCE, || (world.ordered() == ["good"]).then_some(()));
}

#[test]
fn an_end_that_a_rule_has_comes_however_long_it_is_ordered() {
    let world = World::with(LEASE, "limits: {ttl_max: 2s}", &[]);
    world.controller.order_and_wait("1", json!({"rules": [abort("x", "/a", 418)]}));
    assert_eq!(world.call("/a"), 418);
    eventually("its time has ended", PATIENCE, || (world.call("/a") == 200).then_some(()));
    // Orders that are others, but for this rule, do not begin it again.
    let report =
        world.controller.order_and_wait("2", json!({"rules": [abort("x", "/a", 418), abort("y", "/b", 419)]})).report;
    assert_eq!(of(&report, "rules", "x")["problem"], "its time has ended");
    assert_eq!((world.call("/a"), world.call("/b")), (200, 419));
}

/// A client that is there already sees it at its next request.
#[test]
fn open_connections_are_reached() {
    let world = World::new(LEASE);
    let mut client = RawClient::connect(world.squall.to_b());
    assert_eq!(client.get("/a").status, 200);
    world.controller.order_and_wait("1", json!({"rules": [abort("x", "/a", 418)]}));
    assert_eq!(client.get("/a").status, 418);
    pause(LEASE + LEASE / 2);
    assert_eq!(client.get("/a").status, 418, "it is renewed");
}
