//! The ready-made experiment that loses a region, with a real PostgreSQL: with its runbook it holds; without it fails, and so it
//! does when transactions are lost.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use squall_integration::programs::find;
use squall_integration::squall::binary;
use squall_integration::wait::eventually;

/// Two PostgreSQL, an application and an experiment of about twenty seconds, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(85);

fn experiment() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/experiments/region-loss")
}

/// Whether everything is there; says what is left out.
fn can_run(test: &str) -> bool {
    ["initdb", "pg_basebackup", "python3", "curl"].iter().all(|program| find(program, test).is_some())
}

/// A run of the whole experiment. When it goes out of scope it is asked to stop what it started.
struct Run {
    child: Child,
    directory: tempfile::TempDir,
}

impl Drop for Run {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = Command::new("kill").arg(self.child.id().to_string()).status();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "--- run said ---\n{}\n---", self.file("said"));
        }
    }
}

impl Run {
    fn start(arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let said = File::create(directory.path().join("said")).unwrap();
        let mut command = Command::new(experiment().join("run"));
        command.args(arguments).arg(directory.path()).env("SQUALL_BIN", binary().canonicalize().unwrap());
        command.stdin(Stdio::null()).stderr(said.try_clone().unwrap()).stdout(said);
        Self { child: command.spawn().unwrap(), directory }
    }

    fn end(&mut self) -> ExitStatus {
        eventually("the end of the experiment", PATIENCE, || self.child.try_wait().unwrap())
    }

    /// A file of its report.
    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.directory.path().join(name)).unwrap_or_default()
    }

    fn report(&self) -> Value {
        serde_json::from_str(&self.file("report.json")).unwrap()
    }

    /// When transactions were acknowledged, in seconds.
    fn acknowledged(&self) -> Vec<f64> {
        let file = self.file("acknowledged");
        file.lines().map(|line| line.split_whitespace().nth(1).unwrap().parse().unwrap()).collect()
    }
}

fn statement<'a>(report: &'a Value, name: &str) -> &'a Value {
    let all = report["steady_state"].as_array().unwrap();
    all.iter().find(|statement| statement["name"] == name).unwrap_or_else(|| panic!("no {name} in {report:#}"))
}

/// What the timeline says of this kind, in order.
fn timeline(report: &Value, kind: &str) -> Vec<String> {
    let events = report["timeline"].as_array().unwrap().iter().filter(|event| event["kind"] == kind);
    events.map(|event| event["text"].as_str().unwrap().to_owned()).collect()
}

/// What `verify` says of these files, and its exit code.
fn verify(acknowledged: &str, rows: &str) -> (String, Option<i32>) {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let mut command = Command::new(experiment().join("verify"));
    let done = command.arg(file("acknowledged", acknowledged)).arg(file("rows", rows)).output().unwrap();
    (String::from_utf8(done.stdout).unwrap(), done.status.code())
}

#[test]
fn the_runbook_recovers_and_nothing_is_lost() {
    if !can_run("the runbook recovers and nothing is lost") {
        return;
    }
    let mut run = Run::start(&["--baseline", "3s", "--hold", "15s"]);
    assert_eq!(run.end().code(), Some(0), "the hypothesis held");
    let report = run.report();
    assert_eq!(report["verdict"], "held", "{report:#}");
    assert!(report["rules"][0]["injected"].as_u64().unwrap() >= 2, "application and replication: {report:#}");

    let can_write = statement(&report, "can-write");
    let [spell] = can_write["broken"].as_array().unwrap().as_slice() else { panic!("broken once: {can_write:#}") };
    let began = report["phases"][1]["from"].as_f64().unwrap();
    let (from, to) = (spell[0].as_f64().unwrap(), spell[1].as_f64().unwrap());
    assert!(began < from && from < to && to - began < 15.0, "{spell} after {began}");
    assert_eq!(statement(&report, "nothing-lost")["recovering"]["held"], json!(true), "{report:#}");

    let notes = timeline(&report, "note");
    let expected = ["given up", "fenced", "is the primary", "is led to region B", "writes again", ", 0 lost; "];
    assert_eq!(notes.len(), expected.len(), "{notes:#?}");
    for (note, expected) in notes.iter().zip(expected) {
        assert!(note.contains(expected), "{expected:?} is not in {note:?}");
    }

    let times = run.acknowledged();
    let pauses = times.windows(2).map(|pair| pair[1] - pair[0]);
    let (before, pause) = pauses.enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    let after = times.len() - before - 1;
    assert!(before >= 30 && after >= 30, "{before} before, {after} after");
    let counted = format!("{} acknowledged transactions, 0 lost; {pause:.1} s without one", times.len());
    assert!(run.file("said").contains(&counted), "{counted:?}");
    // Not `println!`: the test runner would keep it to itself.
    let _ = writeln!(
        std::io::stderr(),
        "region A blackholed: the application writes again {:.1} s later ({pause:.1} s without a transaction); {before} \
         acknowledged before, {after} after, 0 lost",
        to - began
    );

    let (acknowledged, rows) = (run.file("acknowledged"), run.file("rows"));
    assert_eq!(verify(&acknowledged, &rows).1, Some(0));
    let (said, code) = verify(&format!("{acknowledged}999999999 1.0\n"), &rows);
    assert!(code == Some(1) && said.contains(", 1 lost"), "{code:?} {said}");
    let first = rows.split_inclusive('\n').next().unwrap();
    let (said, code) = verify(&acknowledged, &rows[first.len()..]);
    assert!(code == Some(1) && said.contains(", 1 lost"), "{code:?} {said}");
}

#[test]
fn without_a_runbook_it_fails() {
    if !can_run("without a runbook it fails") {
        return;
    }
    let nobody = ["--runbook", "true", "--restored-within", "3s"];
    let mut run = Run::start(&[&["--baseline", "3s", "--hold", "8s"][..], &nobody].concat());
    assert_eq!(run.end().code(), Some(6), "the hypothesis did not hold");
    let report = run.report();
    assert_eq!(report["verdict"], "failed", "{report:#}");
    assert_eq!(statement(&report, "can-write")["injecting"]["held"], json!(false), "{report:#}");
    assert!(run.file("said").contains(" acknowledged transactions, 0 lost; "), "an outage is no loss");
}

#[test]
fn a_loss_is_seen() {
    if !can_run("a loss is seen") {
        return;
    }
    let mut run = Run::start(&["--asynchronous", "--baseline", "3s", "--hold", "8s", "--recovery", "3s"]);
    assert_eq!(run.end().code(), Some(6), "the hypothesis did not hold");
    let report = run.report();
    assert_eq!(report["verdict"], "failed", "{report:#}");
    assert_eq!(statement(&report, "nothing-lost")["recovering"]["held"], json!(false), "{report:#}");
    assert_eq!(statement(&report, "can-write")["recovering"]["held"], json!(true), "only the loss: {report:#}");
    let (said, code) = verify(&run.file("acknowledged"), &run.file("rows"));
    assert!(code == Some(1) && !said.contains(", 0 lost"), "{code:?} {said}");
    assert!(timeline(&report, "note").last().is_some_and(|note| !note.contains(", 0 lost")), "{report:#}");
}
