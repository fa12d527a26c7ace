//! What the publisher makes of orders.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use serde_json::json;

use super::*;
use crate::actor::{Actor, CONTROLLER};
use crate::publish::tests::app;

const LEASE: Duration = Duration::from_secs(10);

fn rule(name: &str) -> RuleSpec {
    squall_config::parse_value(&json!({"name": name, "percentage": 1, "fault": {"abort": 503}})).unwrap()
}

fn led() -> Arc<App> {
    let app = app();
    app.controller.begin("https://c/".to_owned());
    app
}

fn order(publisher: &Publisher, names: &[&str]) -> bool {
    let rules = names.iter().map(|name| rule(name)).collect();
    publisher.order(rules, LEASE, Now::read(), &AtomicBool::new(false)).unwrap()
}

#[test]
fn orders_are_published_once_and_keep_their_counts() {
    let app = led();
    let publisher = &app.publisher;
    assert!(order(publisher, &["x", "y"]) && !order(publisher, &["x", "y"]));
    assert_eq!(publisher.stats().generation, 2);
    let state = |name: &str| {
        let view = publisher.view();
        Arc::clone(&view.snapshot.rules.iter().find(|rule| rule.rule.name.as_str() == name).unwrap().state)
    };
    state("x").matched.fetch_add(7, Relaxed);
    let mut changed = rule("x");
    changed.percentage = Some(squall_config::spec::Scalar::Text("2".to_owned()));
    publisher.order(vec![changed], LEASE, Now::read(), &AtomicBool::new(false)).unwrap();
    assert_eq!(state("x").matched.load(Relaxed), 7);
    let entries = publisher.audit.last(10);
    let operations: Vec<&str> = entries.iter().map(|entry| entry.operation.as_str()).collect();
    assert_eq!(operations, ["order", "order"], "what changes nothing is not noted");
    assert!(entries.iter().all(|entry| entry.actor == crate::audit::ActorOut::from(&CONTROLLER)));
}

#[test]
fn what_is_given_up_does_not_come_late() {
    let app = led();
    let publisher = &app.publisher;
    publisher.order(vec![rule("x")], LEASE, Now::read(), &AtomicBool::new(true)).unwrap();
    assert!(publisher.view().written.rule("x").is_none() && !app.controller.holds(Now::read()));
}

#[test]
fn rules_end_with_the_lease_and_others_do_not() {
    let app = led();
    let publisher = &app.publisher;
    order(publisher, &["x"]);
    let mut events = publisher.events().subscribe().unwrap();
    expire_orders(&app, Now::read().later(LEASE / 2));
    assert!(
        !publisher.has_silent_orders(Now::read().later(LEASE / 2))
            && publisher.has_silent_orders(Now::read().later(LEASE))
    );
    expire_orders(&app, Now::read().later(LEASE));
    assert!(publisher.has_silent_orders(Now::read()), "nothing renews it any more");
    publisher.drop_orders();
    assert!(!publisher.has_silent_orders(Now::read()));
    let rules: Vec<String> = publisher.view().written.document.rules.iter().map(|rule| rule.name.clone()).collect();
    assert_eq!(rules, ["slow"]);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut kinds = Vec::new();
    while let Some(Some(crate::events::Received::Event(event))) =
        runtime.block_on(async { futures_util::FutureExt::now_or_never(events.next()) })
    {
        kinds.push(event.kind);
    }
    assert_eq!(kinds, [EventKind::Controller, EventKind::Expired]);
    // An answer that comes in this moment keeps them.
    order(publisher, &["x"]);
    expire_orders(&app, Now::read().later(LEASE));
    publisher.renew(LEASE, Now::read());
    publisher.drop_orders();
    assert!(publisher.view().written.rule("x").is_some());
}

#[test]
fn a_halt_of_the_controller_is_its_own_and_that_of_others_is_theirs() {
    let app = led();
    let publisher = &app.publisher;
    let reason = || publisher.view().halt.map(|halt| halt.reason);
    let switch = |to| publisher.switch(&Write::by(Actor::default()), "lunch", to);
    publisher.renew(LEASE, Now::read());
    assert!(publisher.follow_halt(Some("an incident")) && !publisher.follow_halt(Some("an incident")));
    assert_eq!(reason().as_deref(), Some("the controller: an incident"));
    assert!(matches!(switch(Switch::Resume), Err(UpdateError::HaltedByController)));
    assert!(publisher.follow_halt(None) && reason().is_none());

    // Somebody else halts, too: theirs stays.
    publisher.follow_halt(Some("an incident"));
    switch(Switch::Halt).unwrap();
    assert_eq!(reason().as_deref(), Some("lunch"));
    assert!(!publisher.follow_halt(None));
    assert_eq!(reason().as_deref(), Some("lunch"));
    // Halted before the controller did: the same.
    publisher.follow_halt(Some("an incident"));
    assert!(!publisher.follow_halt(None) && reason().as_deref() == Some("lunch"));
    switch(Switch::Resume).unwrap();

    // Silence moves nothing, and then it is for anybody to resume.
    publisher.follow_halt(Some(""));
    assert_eq!(reason().as_deref(), Some("the controller"));
    expire_orders(&app, Now::read().later(LEASE));
    assert!(reason().is_some());
    switch(Switch::Resume).unwrap();
    assert!(reason().is_none());
}

#[test]
fn an_ordered_rule_is_not_for_others_to_change() {
    let app = led();
    let publisher = &app.publisher;
    order(publisher, &["x"]);
    let write = Write::by(Actor::default());
    let refused = publisher.update(&write, |draft| draft.refuse_ordered(&[rule("y"), rule("x")]));
    assert!(matches!(refused, Err(UpdateError::OfController(name)) if name == "x"));
    publisher.update(&write, |draft| draft.refuse_ordered(&[rule("y"), rule("slow")])).unwrap();
}
