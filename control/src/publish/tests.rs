use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use squall_config::model::Name;
use squall_config::{Problem, Problems, load_text};
use squall_telemetry::{CertificateStatus, EndpointStatus};

use super::*;
use crate::access::Access;
use crate::app::{App, AppOptions};
use crate::document::Origin;
use crate::state::Start;
use crate::write::Precondition;

const FILE: &str = "version: 1
listeners: [{name: to-b, address: 127.0.0.1:0, cluster: b}]
clusters: [{name: b, endpoints: ['127.0.0.1:9000']}]
rules: [{name: slow, percentage: 5, fault: {delay: 2s}}]
";

/// Binds nothing; can be told to have no port free.
#[derive(Default)]
pub(crate) struct FakePlane {
    pub(crate) n_prepared: AtomicUsize,
    pub(crate) is_full: std::sync::atomic::AtomicBool,
}

impl DataPlane for FakePlane {
    fn prepare(&self, _: &Config) -> Result<Box<dyn FnOnce() + Send>, Problems> {
        self.n_prepared.fetch_add(1, Ordering::Relaxed);
        match self.is_full.load(Ordering::Relaxed) {
            true => Err(Problem::new("listeners[0].address", "port in use").into()),
            false => Ok(Box::new(|| ())),
        }
    }
    fn listener_addresses(&self) -> Vec<(Name, SocketAddr)> {
        vec![(Name::new("to-b").unwrap(), SocketAddr::from(([127, 0, 0, 1], 4242)))]
    }
    fn endpoints(&self) -> Vec<(Name, Vec<EndpointStatus>)> {
        Vec::new()
    }

    fn metrics_text(&self) -> String {
        "squall_config_generation 1\n".to_owned()
    }
    fn files(&self) -> Vec<std::path::PathBuf> {
        Vec::new()
    }

    fn reload_files(&self) {}

    fn certificates(&self) -> Vec<CertificateStatus> {
        Vec::new()
    }

    fn is_ready(&self) -> bool {
        true
    }
}

pub(crate) fn publisher(file: Option<PathBuf>) -> (Arc<Publisher>, Arc<FakePlane>) {
    let (document, config) = load_text(FILE).unwrap();
    publisher_of(Start::fresh(document, config), file)
}

pub(crate) fn app() -> Arc<App> {
    let (document, config) = load_text(FILE).unwrap();
    app_of(Start::fresh(document, config), None).0
}

pub(crate) fn publisher_of(start: Start, file: Option<PathBuf>) -> (Arc<Publisher>, Arc<FakePlane>) {
    let (app, plane) = app_of(start, file);
    (Arc::clone(&app.publisher), plane)
}

pub(crate) fn app_of(start: Start, file: Option<PathBuf>) -> (Arc<App>, Arc<FakePlane>) {
    let (config, generation, halted) = (Arc::clone(start.config()), start.generation(), start.is_halted());
    let store = SnapshotStore::new(compile(config, None, Stamp { generation, halted, seed: 7 }));
    let plane = Arc::new(FakePlane::default());
    let data_plane = Arc::clone(&plane) as Arc<dyn DataPlane>;
    let access = Access::default();
    (App::new(AppOptions { store, start, file, overlay: None, seed: 7, data_plane, access }), plane)
}

#[expect(clippy::needless_pass_by_value, reason = "called with json! literals")]
fn rule(json: Value) -> squall_config::spec::RuleSpec {
    squall_config::parse_value(&json).unwrap()
}

fn put(publisher: &Publisher, json: Value) -> Outcome<usize> {
    publisher.update(&Write::by(Actor::default()), |draft| Ok(draft.put_rule(rule(json)))).unwrap()
}

fn abort(name: &str) -> Value {
    json!({ "name": name, "percentage": 1, "fault": { "abort": 503 } })
}

#[test]
fn test_put_publishes_and_equal_is_no_op() {
    let (publisher, plane) = publisher(None);
    assert_eq!(put(&publisher, abort("x")).generation, 2);
    assert_eq!(publisher.view().snapshot.rules.len(), 2);
    let again = put(&publisher, abort("x"));
    assert_eq!((again.generation, again.changed), (2, false));
    assert_eq!(plane.n_prepared.load(Ordering::Relaxed), 0, "no listener changed");
}

#[test]
fn test_precondition_and_dry_run_change_nothing() {
    let (publisher, _) = publisher(None);
    let stale = Write { precondition: Precondition::Generation(vec![9]), ..Write::by(Actor::default()) };
    let refused = publisher.update(&stale, |draft| Ok(draft.remove_rule("slow")));
    assert!(matches!(refused, Err(UpdateError::Precondition { current: 1 })));
    let dry = Write { dry_run: true, ..Write::by(Actor::default()) };
    let outcome = publisher.update(&dry, |draft| Ok(draft.put_rule(rule(abort("x"))))).unwrap();
    assert!(outcome.changed);
    assert_eq!(publisher.view().snapshot.rules.len(), 1);
    assert_eq!(publisher.stats().generation, 1);
}

#[test]
fn test_no_step_of_the_clock_gives_a_rule_more_time() {
    let (publisher, _) = publisher(None);
    let mut short = abort("x");
    short["ttl"] = json!("1m");
    put(&publisher, short);
    assert!(publisher.expire(Now::in_seconds(59).set_by(-36_000)).is_empty());
    assert_eq!(publisher.expire(Now::in_seconds(61).set_by(-36_000)), ["x"], "set back by ten hours");
    let (publisher, _) = self::publisher(None);
    put(&publisher, abort("y"));
    assert_eq!(publisher.expire(Now::read().set_by(3_601)), ["y"], "set forward: its end has come");
    assert!(publisher.expire(Now::read().set_by(-3_601)).is_empty());
    assert!(publisher.view().written.rule("y").is_none(), "and set back again it does not come back");
}

#[test]
fn test_a_longest_ttl_holds_for_rules_that_are_there() {
    let (publisher, _) = publisher(None);
    put(&publisher, abort("x"));
    let lower = |draft: &mut Draft| {
        let limits = serde_json::from_value(json!({ "ttl_max": "60s" })).unwrap();
        draft.document.limits = Some(limits);
        Ok(())
    };
    publisher.update(&Write::by(Actor::default()), lower).unwrap();
    assert!(publisher.expire(Now::in_seconds(50)).is_empty());
    assert_eq!(publisher.expire(Now::in_seconds(61)), ["x"], "the rule of the file has no end");
}

#[test]
fn test_shadow_mode_only_takes_faults_away() {
    let (publisher, _) = publisher(None);
    put(&publisher, abort("x"));
    let injecting = publisher.view().written;
    let mut shadow = abort("x");
    shadow["mode"] = json!("shadow");
    let patch = |json: Value| {
        let change = |draft: &mut Draft| {
            draft.patch_rule(1, rule(json));
            Ok(())
        };
        publisher.update(&Write::by(Actor::default()), change).unwrap().written
    };
    let shadow = patch(shadow);
    assert!(shadow.only_takes_away_from(&injecting));
    assert!(!patch(abort("x")).only_takes_away_from(&shadow));
}

#[test]
fn test_rules_of_the_api_expire_and_those_of_the_file_do_not() {
    let (publisher, _) = publisher(None);
    put(&publisher, abort("x"));
    assert!(publisher.expire(Now::in_seconds(3590)).is_empty());
    assert_eq!(publisher.expire(Now::in_seconds(3601)), ["x"]);
    let view = publisher.view();
    assert_eq!((view.snapshot.rules.len(), view.generation), (1, 3));
    assert_eq!(view.written.metas["slow"].origin, Origin::File);
    assert!(publisher.expire(Now::in_seconds(1 << 40)).is_empty());
}

#[test]
fn test_put_restarts_the_ttl_and_patch_keeps_it() {
    let (publisher, _) = publisher(None);
    put(&publisher, json!({ "name": "x", "percentage": 1, "ttl": "10s", "fault": { "abort": 503 } }));
    let end = publisher.view().written.metas["x"].expiry.unwrap();
    let patched = rule(json!({ "name": "x", "percentage": 2, "ttl": "10s", "fault": { "abort": 503 } }));
    publisher
        .update(&Write::by(Actor::default()), |draft| {
            draft.patch_rule(1, patched);
            Ok(())
        })
        .unwrap();
    assert_eq!(publisher.view().written.metas["x"].expiry, Some(end));
    put(&publisher, json!({ "name": "x", "percentage": 2, "ttl": "10s", "fault": { "abort": 503 } }));
    assert!(publisher.view().written.metas["x"].expiry.unwrap().deadline > end.deadline);
}

#[test]
fn test_halt_latches_and_blocks() {
    let (publisher, _) = publisher(None);
    assert_eq!(publisher.halt(Actor::default(), "stop"), 2);
    assert_eq!(publisher.halt(Actor::default(), "again"), 2);
    put(&publisher, abort("x"));
    let view = publisher.view();
    assert!(view.snapshot.halted);
    assert_eq!(view.halt.unwrap().reason, "stop");
    assert_eq!(publisher.resume(Actor::default(), ""), 4);
    assert!(!publisher.view().snapshot.halted);
}

#[test]
fn test_halt_does_not_wait_for_a_slow_change() {
    let (publisher, _) = publisher(None);
    let (halted, wait) = std::sync::mpsc::channel::<()>();
    let slow = Arc::clone(&publisher);
    let change = std::thread::spawn(move || {
        slow.update(&Write::by(Actor::Squall(Part::File)), |draft| {
            wait.recv_timeout(Duration::from_secs(10)).unwrap();
            Ok(draft.put_rule(rule(abort("x"))))
        })
    });
    assert_eq!(publisher.halt(Actor::default(), "now"), 2);
    halted.send(()).unwrap();
    assert_eq!(change.join().unwrap().unwrap().generation, 3);
    assert!(publisher.view().snapshot.halted, "the change keeps the switch");
}

#[test]
fn test_port_in_use_changes_nothing() {
    let (publisher, plane) = publisher(None);
    plane.is_full.store(true, Ordering::Relaxed);
    let mut document = publisher.view().written.document.clone();
    document.listeners[0].name = "other".to_owned();
    let refused = publisher.update(&Write::by(Actor::default()), |draft| {
        draft.replace_document(document);
        Ok(())
    });
    assert!(matches!(refused, Err(UpdateError::Conflict(_))));
    assert_eq!(publisher.stats().generation, 1);
}

#[test]
fn test_reload_keeps_rules_of_the_api_and_refuses_an_invalid_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("squall.yaml");
    std::fs::write(&file, FILE).unwrap();
    let (publisher, _) = publisher(Some(file.clone()));
    put(&publisher, abort("x"));
    assert!(publisher.reload_if_changed().is_none());
    std::fs::write(&file, FILE.replace("percentage: 5", "percentage: 500")).unwrap();
    let bad = publisher.reload_if_changed().unwrap();
    assert!(!bad.is_ok() && publisher.view().last_reload.is_some());
    assert_eq!((publisher.stats().generation, publisher.stats().reloads_error), (2, 1));
    std::fs::write(&file, FILE.replace("name: slow", "name: slower")).unwrap();
    assert!(publisher.reload_file(Actor::Squall(Part::File)).changed);
    let names: Vec<_> = publisher.view().written.document.rules.iter().map(|rule| rule.name.clone()).collect();
    assert_eq!(names, ["slower", "x"]);
    assert_eq!(publisher.stats().reloads_ok, 1);
}

#[test]
fn test_what_needs_a_restart_is_said() {
    let (publisher, _) = publisher(None);
    let text = format!(
        "{FILE}control: {{address: '127.0.0.1:1'}}\ntelemetry: {{address: '127.0.0.1:2'}}\naccess_log: stdout\nseed: 8\n"
    );
    let (document, _) = load_text(&text).unwrap();
    let outcome = publisher.update(&Write::by(Actor::default()), |draft| {
        draft.document = document;
        Ok(())
    });
    let until = "until Squall is started again";
    assert_eq!(
        outcome.unwrap().warnings,
        [
            format!("control.address: stays 127.0.0.1:9470 {until}"),
            format!("telemetry.address: stays off {until}"),
            format!("access_log: stays off {until}"),
            format!("seed: stays 7 {until}"),
        ]
    );
}
