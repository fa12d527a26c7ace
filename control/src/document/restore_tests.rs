use std::time::Duration;

use serde_json::json;
use squall_config::load_text;

use super::*;
use crate::document::ordered::tests::{names, rule};

const HEAD: &str = "version: 1
listeners: [{name: to-b, address: 127.0.0.1:0, cluster: b}]
clusters: [{name: b, endpoints: ['127.0.0.1:9000']}]
";
const RULES: &str = "rules:
- {name: f1, percentage: 5, fault: {delay: 2s}}
- {name: f2, percentage: 5, fault: {delay: 2s}, ttl: 1h}
";

fn file(text: &str) -> (ConfigSpec, Config) {
    load_text(text).unwrap()
}

fn first() -> Written {
    let (document, config) = file(&format!("{HEAD}{RULES}"));
    Written::first(document, config, Now::read())
}

fn change(written: &Written, change: impl FnOnce(&mut Draft)) -> Written {
    let mut draft = written.draft();
    change(&mut draft);
    let config = squall_config::validate(&draft.document).unwrap();
    draft.finish(Arc::new(config), Now::read())
}

/// What a process started with `text` makes of `written`, so many seconds later.
fn restore(written: &Written, text: &str, seconds: u64) -> Restored {
    let then = Moment::read();
    let saved = written.to_saved(then.clone(), Now::read());
    let by_wall = i64::try_from(seconds).unwrap();
    let (later, now) = (then.later(Duration::from_secs(seconds)), Now::read().set_by(by_wall));
    let (file, config) = file(text);
    Written::restored(saved, file, config, &later, now)
}

fn same() -> String {
    format!("{HEAD}{RULES}")
}

#[test]
fn with_the_same_file_everything_is_as_it_was() {
    let written = change(&first(), |draft| {
        draft.put_rule(rule("a1", &json!({ "ttl": "10m" })));
        draft.put_rule(rule("a2", &json!({})));
        let patched = rule("f1", &json!({ "enabled": false }));
        draft.patch_rule(0, patched);
    });
    let restored = restore(&written, &same(), 60);
    assert_eq!(restored.written.document, written.document, "the order and what was patched, too");
    assert_eq!((restored.kept, restored.expired, restored.unfit), (vec!["a1".into(), "a2".into()], vec![], vec![]));
    for (name, seconds) in [("a1", 540), ("a2", 3540), ("f2", 3540)] {
        let (before, after) = (written.metas[name], restored.written.metas[name]);
        assert_eq!(before.origin, after.origin);
        let left = after.expiry.unwrap().deadline.saturating_duration_since(Now::read().monotonic);
        assert!(left.as_secs().abs_diff(seconds) <= 1, "{name}: {left:?}");
    }
    assert_eq!(restored.written.metas["f1"].expiry, None);
}

#[test]
fn what_was_deleted_or_has_ended_stays_away() {
    let written = change(&first(), |draft| {
        assert!(draft.remove_rule("f1"));
        draft.put_rule(rule("short", &json!({ "ttl": "10s" })));
        draft.put_rule(rule("long", &json!({ "ttl": "3h" })));
    });
    let restored = restore(&written, &same(), 4000);
    assert_eq!(names(&restored.written), ["long"]);
    assert_eq!(restored.expired, ["f2", "short"]);
    // The rule of the file that has ended stays so in the process after that, and when the file is loaded again.
    let again = restore(&restored.written, &same(), 0);
    assert_eq!(names(&again.written), ["long"]);
    let loaded = change(&again.written, |draft| drop(draft.load_file(file(&same()).0)));
    assert_eq!(names(&loaded), ["f1", "long"], "loading the file brings back what was deleted of it, as ever");
}

#[test]
fn a_file_that_changed_meanwhile_counts_as_when_it_is_loaded() {
    let written = change(&first(), |draft| {
        draft.put_rule(rule("a1", &json!({})));
        draft.put_rule(rule("f2", &json!({ "percentage": 50 })));
        draft.patch_rule(0, rule("f1", &json!({ "enabled": false })));
    });
    let text = format!(
        "{HEAD}rules:\n- {{name: f1, percentage: 6, fault: {{delay: 2s}}}}\n- {{name: f3, percentage: 1, fault: {{delay: 1s}}}}\n"
    );
    let restored = restore(&written, &text, 10).written;
    let loaded = change(&written, |draft| drop(draft.load_file(file(&text).0)));
    assert_eq!(restored.document, loaded.document);
    assert_eq!(names(&restored), ["f1", "f3", "f2", "a1"]);
    let origins =
        |written: &Written| written.metas.iter().map(|(name, meta)| (name.clone(), meta.origin)).collect::<Vec<_>>();
    assert_eq!(origins(&restored), origins(&loaded));
}

#[test]
fn rules_that_do_not_fit_any_more_are_left_out_and_told() {
    let written = change(&first(), |draft| {
        draft.put_rule(rule("good", &json!({})));
        draft.put_rule(rule("lost", &json!({ "match": { "cluster": "b" } })));
        draft.put_rule(rule("slow", &json!({ "fault": { "delay": "30m" } })));
    });
    let renamed = HEAD.replace("cluster: b", "cluster: c").replace("name: b", "name: c");
    let restored = restore(&written, &format!("{renamed}{RULES}limits: {{delay_max: 1m}}\n"), 0);
    assert_eq!(names(&restored.written), ["f1", "f2", "good"]);
    let unfit: Vec<_> = restored.unfit.iter().map(|unfit| unfit.rule.as_str()).collect();
    assert_eq!(unfit, ["lost", "slow"]);
    assert!(restored.unfit[0].why.contains("there is no cluster \"b\""), "{:?}", restored.unfit);
    // Too many together: none of them.
    let restored = restore(&written, &format!("{HEAD}{RULES}limits: {{rules_max: 3}}\n"), 0);
    assert_eq!((names(&restored.written), restored.unfit.len()), (vec!["f1", "f2"], 3));
    // Of those that together reach too much, the last.
    let restored = restore(&written, &format!("{HEAD}{RULES}limits: {{percentage_max: 12}}\n"), 0);
    assert_eq!(names(&restored.written), ["f1", "f2", "good", "lost"]);
    assert!(restored.unfit[0].why.contains("\"slow\" (1%) can reach 13% of the requests"), "{:?}", restored.unfit);
    // A rule of the file that was patched beyond what the file now allows is as the file has it.
    let written = change(&first(), |draft| {
        draft.patch_rule(0, rule("f1", &json!({ "fault": { "delay": "30m" } })));
    });
    let restored = restore(&written, &format!("{HEAD}{RULES}limits: {{delay_max: 1m}}\n"), 0);
    assert_eq!(restored.written.document.rules, first().document.rules);
}
