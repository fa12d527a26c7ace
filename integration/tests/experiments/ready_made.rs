//! The experiments that come with Squall, each with the one command that its file names.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use squall_integration::squall::{command, output};

/// `squall demo` with this experiment; what it said, and the report that it left.
async fn demo(experiment: &'static str, more: &'static [&'static str]) -> (Output, Value) {
    let played = tokio::task::spawn_blocking(move || {
        let directory = tempfile::tempdir().unwrap();
        let report = directory.path().join("out");
        let mut arguments = vec!["demo", "--experiment", experiment, "--report", report.to_str().unwrap()];
        arguments.extend(more);
        let done = output(&arguments);
        let said = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
        let text = std::fs::read_to_string(report.join("report.json")).unwrap_or_else(|_| panic!("no report: {said}"));
        for file in ["report.md", "report.html", "report.junit.xml", "report.journal.json", "commands.sh"] {
            assert!(report.join(file).exists(), "{file}");
        }
        (done, serde_json::from_str(&text).unwrap())
    });
    played.await.unwrap()
}

#[tokio::test]
async fn a_slow_dependency() {
    let (done, report) = demo("slow-dependency", &["--seconds", "12"]).await;
    assert_eq!((done.status.code(), &report["verdict"]), (Some(0), &Value::from("held")), "{report:#}");
    assert!(report["groups"]["faulted"]["degraded"]["share"].as_f64().unwrap() > 0.9, "{:#}", report["groups"]);
}

#[tokio::test]
async fn the_loss_of_an_instance() {
    let (done, report) = demo("instance-loss", &["--seconds", "12"]).await;
    assert_eq!((done.status.code(), &report["verdict"]), (Some(0), &Value::from("held")), "{report:#}");
    // One of three instances gets a third of the calls.
    let rule = &report["rules"][0];
    let (matched, injected) = (rule["matched"].as_u64().unwrap(), rule["injected"].as_u64().unwrap());
    assert!(matched > 100 && injected == matched, "{rule:#}");
}

#[tokio::test]
async fn the_loss_of_an_instance_of_a_service_that_is_not_prepared() {
    let (done, report) = demo("instance-loss", &["--seconds", "12", "--fragile"]).await;
    assert_eq!((done.status.code(), &report["verdict"]), (Some(6), &Value::from("failed")), "{report:#}");
}

#[tokio::test]
async fn late_card_authorisations() {
    let (done, report) = demo("card-authorisation", &["--seconds", "16"]).await;
    assert_eq!((done.status.code(), &report["verdict"]), (Some(0), &Value::from("held")), "{report:#}");
    assert!(report["queue"]["injecting_mean"].is_number(), "{:#}", report["queue"]);
    let guards = report["document"]["spec"]["guards"].to_string();
    assert!(guards.contains("60s"), "{guards}");
}

/// `squall demo` with its temporary files in a directory of its own, interrupted when it says `line`.
fn interrupted_at(line: &str, times: usize, temporary: &Path) -> (Option<i32>, String) {
    let mut command = command(&["demo", "--seconds", "60"]);
    let mut demo = command.env("TMPDIR", temporary).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(demo.stdout.take().unwrap());
    let (mut text, mut left) = (String::new(), times);
    while said.read_line(&mut text).unwrap() > 0 {
        let last = text.lines().next_back().unwrap_or_default();
        if left > 0 && (last.contains(line) || (left < times && last.contains("Interrupted."))) {
            left -= 1;
            assert!(Command::new("kill").args(["-INT", &demo.id().to_string()]).status().unwrap().success());
        }
    }
    demo.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    (demo.wait().unwrap().code(), text)
}

#[tokio::test]
async fn ctrl_c_ends_the_demo_with_a_report_and_twice_without_one() {
    let played = tokio::task::spawn_blocking(|| {
        let temporary = tempfile::tempdir().unwrap();
        let files = || std::fs::read_dir(temporary.path()).unwrap().count();
        let (code, said) = interrupted_at("/v1/rules/", 1, temporary.path());
        assert!(code == Some(6) && said.contains("Interrupted.") && said.contains("INCONCLUSIVE"), "{code:?} {said}");
        assert_eq!(files(), 1, "the directory of the report: {said}");
        let (code, said) = interrupted_at("/v1/rules/", 2, temporary.path());
        assert_eq!((code, files()), (Some(1), 1), "nothing stays behind: {said}");
    });
    played.await.unwrap();
}
