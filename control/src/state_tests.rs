use serde_json::json;
use squall_config::load_text;

use super::*;
use crate::actor::Actor;
use crate::publish::tests::publisher_of;
use crate::write::{Precondition, Write};

fn load(path: &Path) -> Start {
    let text = format!("version: 1\nstate_dir: {}\n", path.display());
    let (document, config) = load_text(&text).unwrap();
    Start::load(document, config).unwrap()
}

/// As after a change through the API.
fn put(start: &Start, name: &str) -> Arc<Written> {
    let mut draft = start.written.draft();
    let rule = json!({ "name": name, "percentage": 1, "fault": { "abort": 503 } });
    draft.put_rule(squall_config::parse_value(&rule).unwrap());
    let config = squall_config::validate(&draft.document).unwrap();
    Arc::new(draft.finish(Arc::new(config), Now::read()))
}

#[test]
fn rules_and_the_kill_switch_outlive_a_process() {
    let parent = tempfile::tempdir().unwrap();
    let start = load(parent.path());
    assert_eq!((start.generation, start.is_halted()), (1, false));
    let written = put(&start, "a");
    start.keeper.keep(&written, 5).unwrap();
    let halt = Halt { reason: "lunch".to_owned(), since: time_of(1_000_000), by_controller: false };
    start.keeper.note_switch(Some(halt.clone()), 6);
    start.keeper.flush().unwrap();
    drop(start);
    let start = load(parent.path());
    assert_eq!((start.generation, start.halt.as_ref()), (7, Some(&halt)));
    assert_eq!(start.recovery.kept, ["a"]);
    assert_eq!(start.written.document.rules, written.document.rules);
    // A change of the rules keeps the switch, and the other way round.
    start.keeper.keep(&put(&start, "b"), 8).unwrap();
    start.keeper.note_switch(None, 9);
    start.keeper.flush().unwrap();
    drop(start);
    let start = load(parent.path());
    assert_eq!((start.generation, start.is_halted(), start.recovery.kept.len()), (10, false, 2));
}

#[test]
fn a_damaged_state_starts_empty_and_is_kept_aside() {
    let parent = tempfile::tempdir().unwrap();
    let start = load(parent.path());
    start.keeper.keep(&put(&start, "a"), 2).unwrap();
    drop(start);
    let file = parent.path().join(STATE);
    let text = std::fs::read_to_string(&file).unwrap().replace("503", "504");
    std::fs::write(&file, &text).unwrap();
    let start = load(parent.path());
    assert!(start.written.document.rules.is_empty() && start.recovery.kept.is_empty());
    let [Damaged { file: aside, why }] = &start.recovery.damaged[..] else { panic!("{:?}", start.recovery) };
    assert!(aside.display().to_string().contains("state.json.damaged-") && why.contains("digest"), "{why}");
    assert_eq!(std::fs::read_to_string(aside).unwrap(), text);
    drop(start);
    assert_eq!(load(parent.path()).recovery, Recovery::default(), "told once");
}

#[test]
fn a_disk_that_fails_is_told_and_nothing_outdated_comes_back() {
    let parent = tempfile::tempdir().unwrap();
    let start = load(parent.path());
    let with_a = put(&start, "a");
    start.keeper.keep(&with_a, 2).unwrap();
    // Nothing can be written where a directory has the name of the temporary file.
    let block = parent.path().join("state.json.new");
    std::fs::create_dir(&block).unwrap();
    assert!(start.keeper.keep(&put(&start, "b"), 3).is_err());
    assert!(start.keeper.error().unwrap().contains("state.json"));
    start.keeper.forget();
    assert!(!parent.path().join(STATE).exists());
    // What comes next is written with all that is wanted.
    std::fs::remove_dir(&block).unwrap();
    start.keeper.flush().unwrap();
    assert_eq!(start.keeper.error(), None);
    drop(start);
    assert_eq!(load(parent.path()).recovery.kept, ["a"], "the last state that somebody was told of");
}

fn abort(name: &str) -> squall_config::spec::RuleSpec {
    squall_config::parse_value(&json!({ "name": name, "percentage": 1, "fault": { "abort": 503 } })).unwrap()
}

#[test]
fn a_change_that_did_not_come_about_is_not_written_down() {
    let parent = tempfile::tempdir().unwrap();
    let (publisher, _) = publisher_of(load(parent.path()), None);
    let put = |name: &str, precondition| {
        let write = Write { precondition, ..Write::by(Actor::default()) };
        publisher.update(&write, |draft| {
            // Somebody halts while the change is being made.
            publisher.halt(Actor::default(), "meanwhile");
            draft.put_rule(abort(name));
            Ok(())
        })
    };
    let generation = publisher.stats().generation;
    assert!(put("a", Precondition::Generation(vec![generation])).is_err());
    put("b", Precondition::None).unwrap();
    publisher.flush().unwrap();
    let (generation, rules) = (publisher.stats().generation, publisher.view().written.document.rules.clone());
    drop(publisher);
    let start = load(parent.path());
    assert_eq!((start.is_halted(), start.recovery.kept.clone()), (true, vec!["b".to_owned()]));
    assert_eq!((&start.written.document.rules, start.generation), (&rules, generation + 1));
    // Both are in the audit, in order, the one that was refused by nobody but the caller.
    let told: Vec<_> = start.audit.last(9).iter().map(|entry| entry.operation.clone()).collect();
    assert_eq!(told, ["halt", "halt", "change"]);
}

#[test]
fn what_is_left_of_a_rule_is_written_down_anew() {
    let parent = tempfile::tempdir().unwrap();
    let (publisher, _) = publisher_of(load(parent.path()), None);
    let put = |draft: &mut crate::document::Draft| Ok(draft.put_rule(abort("a")));
    publisher.update(&Write::by(Actor::default()), put).unwrap();
    let left = || {
        let saved = Saved::parse(&std::fs::read(parent.path().join(STATE)).unwrap()).unwrap();
        saved.rules[0].end.unwrap().left_ms
    };
    let before = left();
    let begin = Now::read().monotonic;
    while begin.elapsed().as_millis() < 3 {
        std::hint::spin_loop();
    }
    publisher.keep_time();
    assert!(left() + 3 <= before, "{} of {before}", left());
}
