//! `squall gameday`: people answer, note and abort; what came of the day is one report.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use squall_integration::keyboard::Keyboard;
use squall_integration::scene::{Scene, slow_b};
use squall_integration::service::Manners;
use squall_integration::squall;

/// A day of the experiments `first` and `second`, which hold faults for so many milliseconds.
fn day(scene: &Scene, holds: [u64; 2]) -> String {
    let rule = json!({"percentage": 20, "fault": {"delay": "2s"}});
    for (name, hold) in ["first", "second"].into_iter().zip(holds) {
        scene.write(&format!("{name}.json"), &slow_b(name, (1_000, hold), &rule));
    }
    let document = json!({
        "apiVersion": "squall.dev/v1alpha1", "kind": "GameDay", "metadata": {"name": "friday"},
        "spec": {"title": "Friday | afternoon", "owner": "the team of A", "experiments": [
            {"file": "first.json", "announce": "B becomes slow."},
            {"file": "second.json"},
        ]},
    });
    scene.write("day.json", &document)
}

/// A game day under way, and where its reports will be.
fn start(scene: &Scene, file: &str, arguments: &[&str]) -> (Keyboard, PathBuf) {
    let reports = scene.squall.directory().join("reports");
    let mut command = squall::command(&["gameday", file, "--control", &scene.squall.api().url(), "--report-dir"]);
    command.arg(&reports).args(arguments);
    (Keyboard::of(command), reports)
}

/// What came of it, for programs and for people.
fn report(reports: &Path) -> (Value, String) {
    let read = |name: &str| std::fs::read_to_string(reports.join(name)).unwrap();
    (serde_json::from_str(&read("report.json")).unwrap(), read("report.md"))
}

/// How often an experiment ran, and how it is.
fn runs(scene: &Scene, name: &str) -> (Value, Value) {
    let mut status = scene.squall.api().json(&format!("/v1/experiments/{name}"))["status"].take();
    (status["run"].take(), status["phase"].take())
}

#[test]
fn nothing_starts_before_go_and_notes_stand_in_the_report() {
    let scene = Scene::new(Manners::ROBUST);
    let file = day(&scene, [4_000, 4_000]);
    let (mut play, reports) = start(&scene, &file, &[]);
    play.hears("start first?", 1);
    let told = play.told();
    for part in ["1 of 2: first", "B becomes slow.", "to-b -> service-b"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    play.types("hold");
    play.hears("on hold", 1);
    play.types("perhaps");
    play.hears("\"perhaps\" is no answer", 1);
    play.hears("start first?", 3);
    assert_eq!(runs(&scene, "first"), (Value::Null, json!("idle")));
    play.types("go");
    play.hears("injecting", 1);
    play.types("the dashboard is | red");
    play.hears("the dashboard is | red", 1);
    // The second one is announced with its hypothesis, since nothing else was said of it.
    play.hears("start second?", 1);
    play.hears("A stays within its steady state", 2);
    play.types("skip");
    let (code, out, told) = play.end();
    assert_eq!(code, 0, "{out}{told}");
    let rows: Vec<&str> = out.lines().collect();
    assert!(rows[1].starts_with("first") && rows[1].contains("HELD"), "{out}");
    assert!(rows[2].starts_with("second") && rows[2].contains("not run"), "{out}");
    assert_eq!(runs(&scene, "second"), (Value::Null, json!("idle")));

    let (all, page) = report(&reports);
    assert_eq!(all["game_day"]["owner"], "the team of A");
    assert_eq!(
        (&all["experiments"][0]["report"]["verdict"], &all["experiments"][1]["report"]),
        (&json!("held"), &Value::Null)
    );
    let timeline = all["experiments"][0]["report"]["timeline"].as_array().unwrap();
    let note = timeline.iter().find(|event| event["kind"] == "note").unwrap();
    assert_eq!(note["text"], "the dashboard is | red");
    assert!(page.starts_with("# Game day: Friday \\| afternoon\n\nLed by the team of A.\n"), "{page}");
    assert!(page.contains("| first | HELD |") && page.contains("| second | not run |"), "{page}");
    assert!(page.contains("the dashboard is \\| red") && page.contains("\n## ") && !page.contains("\n# "), "{page}");
    assert!(reports.join("first/report.html").exists() && !reports.join("second").exists());
}

#[test]
fn abort_ends_the_faults_and_the_day_goes_on() {
    let scene = Scene::new(Manners::ROBUST);
    let file = day(&scene, [60_000, 60_000]);
    let (mut play, reports) = start(&scene, &file, &[]);
    play.hears("start first?", 1);
    play.types("go");
    play.hears("injecting", 1);
    play.types("abort");
    play.hears("start second?", 1);
    assert_eq!(scene.squall.api().json("/v1/rules")["rules"], json!([]));
    // Ctrl-C at a question, after a run was followed, is an end as well.
    let told = Command::new("kill").args(["-INT", &play.pid().to_string()]).status().unwrap();
    assert!(told.success());
    let (code, out, told) = play.end();
    assert_eq!(code, 6, "{out}{told}");
    let (all, page) = report(&reports);
    let report = &all["experiments"][0]["report"];
    assert_eq!(
        (&report["verdict"], &report["aborted"]["reason"]),
        (&json!("inconclusive"), &json!("aborted by people"))
    );
    assert!(page.contains("| first | INCONCLUSIVE |") && page.contains("| second | not run |"), "{page}");
}

#[test]
fn with_yes_nobody_is_asked_and_the_worst_verdict_counts() {
    let scene = Scene::new(Manners::FRAGILE);
    let file = day(&scene, [8_000, 8_000]);
    let (mut play, reports) = start(&scene, &file, &["--yes"]);
    play.is_taken_away();
    let (code, out, told) = play.end();
    assert_eq!(code, 6, "{out}{told}");
    assert!(!told.contains("start first?"), "{told}");
    let (all, _) = report(&reports);
    let verdicts: Vec<&Value> =
        all["experiments"].as_array().unwrap().iter().map(|one| &one["report"]["verdict"]).collect();
    assert_eq!(verdicts, [&json!("failed"), &json!("failed")], "{all:#}");
}

#[test]
fn check_says_what_would_be_reached_and_starts_nothing() {
    let scene = Scene::new(Manners::ROBUST);
    let file = day(&scene, [1_000, 1_000]);
    let (mut play, reports) = start(&scene, &file, &["--check"]);
    play.is_taken_away();
    let (code, out, told) = play.end();
    assert_eq!((code, told.as_str()), (0, ""), "{out}");
    assert!(out.contains("first-rule") && out.contains("second-rule") && !reports.exists(), "{out}");
    for name in ["first", "second"] {
        assert_eq!(runs(&scene, name), (Value::Null, json!("idle")));
    }
}

#[test]
fn when_nobody_can_answer_nothing_starts_and_what_was_found_is_kept() {
    let scene = Scene::new(Manners::ROBUST);
    let file = day(&scene, [4_000, 4_000]);
    let (mut play, reports) = start(&scene, &file, &[]);
    play.is_taken_away();
    let (code, out, told) = play.end();
    assert_eq!((code, out.as_str()), (2, ""), "{told}");
    assert!(told.contains("stdin has ended; with --yes nobody is asked"), "{told}");
    assert_eq!(runs(&scene, "first"), (Value::Null, json!("idle")));
    assert!(!reports.join("report.md").exists());

    let (mut play, reports) = start(&scene, &file, &[]);
    play.types("go");
    play.is_taken_away();
    let (code, out, told) = play.end();
    assert_eq!(code, 2, "{out}{told}");
    let (all, page) = report(&reports);
    assert_eq!(all["experiments"][0]["report"]["verdict"], "held", "{all:#}");
    assert!(page.contains("| second | not run |"), "{page}");
}

#[test]
fn a_document_that_is_wrong_is_found_before_anything_starts() {
    let scene = Scene::quiet(Manners::ROBUST);
    let file = day(&scene, [1_000, 1_000]);
    let bad = scene.write(
        "bad.json",
        &json!({"apiVersion": "squall.dev/v1alpha1", "kind": "GameDay", "spec": {"experiment": []}}),
    );
    let (code, _, told) = start(&scene, &bad, &["--yes"]).0.end();
    assert!(code == 3 && told.contains(&format!("{bad}:1:")) && told.contains("experiments"), "{code} {told}");
    // The second one does not fit to what is running; the first one does.
    let rule = json!({"percentage": 20, "fault": {"delay": "2s"}});
    let mut second = slow_b("second", (1_000, 1_000), &rule);
    second["spec"]["method"][0]["rules"][0]["match"]["cluster"] = json!("service-x");
    scene.write("second.json", &second);
    let (code, _, told) = start(&scene, &file, &["--yes"]).0.end();
    assert!(code == 3 && told.contains("service-x"), "{code} {told}");
    assert_eq!(runs(&scene, "first"), (Value::Null, json!("idle")));
    std::fs::remove_file(scene.squall.directory().join("second.json")).unwrap();
    let (code, _, told) = start(&scene, &file, &["--yes"]).0.end();
    assert!(code == 1 && told.contains("second.json"), "{code} {told}");
}
