//! Chaos Toolkit itself runs an experiment of Squall, and reads the journal that Squall writes.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use squall_integration::eventually;
use squall_integration::programs::python_program;
use squall_integration::scene::Scene;
use squall_integration::service::Manners;
use squall_integration::squall::binary;
use squall_integration::wait::PATIENCE;

const NAME: &str = "chaos-toolkit-slow-dependency";

fn document() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/experiments/chaos-toolkit/slow-dependency.yaml")
}

/// `chaos`, in a directory of its own; `squall` is in its PATH.
struct Chaos {
    program: PathBuf,
    directory: tempfile::TempDir,
}

impl Chaos {
    /// `None`, with a line that says so, when it is left out.
    fn new(test: &str) -> Option<Self> {
        let program = python_program("chaos", test)?;
        Some(Self { program, directory: tempfile::tempdir().unwrap() })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let own = binary().canonicalize().unwrap().parent().unwrap().display().to_string();
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(&self.program);
        command.env("PATH", format!("{own}:{path}")).env("HOME", self.directory.path());
        command.args(["--no-version-check", "--no-log-file"]).args(arguments);
        command.current_dir(self.directory.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs our document as it is, with shorter times.
    fn run(&self, scene: &Scene, hold: &str) -> Command {
        let mut command = self.command(&["run", document().to_str().unwrap()]);
        command.env("SQUALL_CONTROL", scene.squall.api().url());
        command.args(["--var", "baseline=1s", "--var", "recovery=3s", "--var", &format!("hold={hold}")]);
        command
    }

    fn journal(&self, done: &Output) -> Value {
        let text = std::fs::read(self.directory.path().join("journal.json")).unwrap_or_else(|_| panic!("{done:?}"));
        serde_json::from_slice(&text).unwrap()
    }
}

/// The run of an activity of the method.
fn activity<'a>(journal: &'a Value, name: &str) -> &'a Value {
    let runs = journal["run"].as_array().unwrap();
    runs.iter().find(|run| run["activity"]["name"] == name).unwrap_or_else(|| panic!("{name}: {journal:#}"))
}

#[test]
fn a_robust_service_completes_and_deviates_in_nothing() {
    let Some(chaos) = Chaos::new("chaos_toolkit") else { return };
    let scene = Scene::new(Manners::ROBUST);
    // The second one finds what the first one left.
    for _ in 0..2 {
        let done = chaos.run(&scene, "4s").output().unwrap();
        let journal = chaos.journal(&done);
        assert_eq!((&journal["status"], &journal["deviated"]), (&json!("completed"), &json!(false)), "{done:?}");
        assert_eq!(done.status.code(), Some(0));
        assert_eq!(activity(&journal, "put-the-experiment-there")["output"]["status"], 201, "{journal:#}");
        let reach = &activity(&journal, "what-it-would-reach")["output"]["body"]["rules"][0]["reaches"][0];
        assert_eq!((&reach["listener"], &reach["cluster"]), (&json!("to-b"), &json!("service-b")), "{journal:#}");
        let report = &activity(&journal, "its-report")["output"]["body"];
        assert_eq!((&report["verdict"], &report["run"]), (&json!("held"), &json!(1)), "{report:#}");
        assert!(report["rules"][0]["injected"].as_u64().unwrap() > 10, "{report:#}");
    }
}

#[test]
fn a_fragile_service_deviates() {
    let Some(chaos) = Chaos::new("chaos_toolkit") else { return };
    let scene = Scene::new(Manners::FRAGILE);
    let done = chaos.run(&scene, "8s").output().unwrap();
    let journal = chaos.journal(&done);
    assert_eq!((&journal["status"], &journal["deviated"]), (&json!("completed"), &json!(true)), "{done:?}");
    assert_eq!(done.status.code(), Some(1));
    let ours = scene.squall.api().json(&format!("/v1/experiments/{NAME}/report?format=chaostoolkit"));
    assert_eq!((&ours["status"], &ours["deviated"]), (&journal["status"], &journal["deviated"]), "the same words");
    let end = activity(&journal, "its-end");
    assert_eq!(end["output"]["status"], 6, "{end:#}");
    assert!(end["output"]["stdout"].as_str().unwrap().starts_with("FAILED: "), "{end:#}");
    assert_eq!(scene.squall.api().json("/v1/rules")["rules"], json!([]));
}

#[test]
fn an_experiment_that_is_refused_is_no_success_though_an_earlier_one_held() {
    let Some(chaos) = Chaos::new("chaos_toolkit") else { return };
    let scene = Scene::new(Manners::ROBUST);
    let done = chaos.run(&scene, "4s").output().unwrap();
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    scene.squall.api().halt();
    let done = chaos.run(&scene, "4s").output().unwrap();
    let journal = chaos.journal(&done);
    assert_eq!(activity(&journal, "start-it")["output"]["status"], 409, "{journal:#}");
    assert_eq!((done.status.code(), &journal["deviated"]), (Some(1), &json!(true)), "{journal:#}");
}

#[test]
fn an_interrupted_run_leaves_no_fault_behind() {
    let Some(chaos) = Chaos::new("chaos_toolkit") else { return };
    let scene = Scene::new(Manners::ROBUST);
    let chaos_run = chaos.run(&scene, "10m").spawn().unwrap();
    let api = scene.squall.api();
    eventually("faults flow", PATIENCE, || {
        let answer = api.get(&format!("/v1/experiments/{NAME}"));
        let injected = (answer.status == 200).then(|| answer.json()["status"]["injected"].as_u64())??;
        (injected > 0).then_some(())
    });
    let told = Command::new("kill").args(["-INT", &chaos_run.id().to_string()]).status().unwrap();
    assert!(told.success());
    let done = chaos_run.wait_with_output().unwrap();
    let journal = chaos.journal(&done);
    assert_eq!(journal["status"], "interrupted", "{done:?}");
    assert_eq!(journal["rollbacks"][0]["output"]["status"], 202, "{journal:#}");
    eventually("no rule is left", PATIENCE, || (api.json("/v1/rules")["rules"] == json!([])).then_some(()));
    let report = eventually("the end of the run", PATIENCE, || {
        let report = api.json(&format!("/v1/experiments/{NAME}/report"));
        (!report["verdict"].is_null()).then_some(report)
    });
    assert_eq!(report["aborted"]["by"], "stop", "{report:#}");
}

#[test]
fn the_journal_of_squall_is_one_of_chaos_toolkit() {
    let Some(chaos) = Chaos::new("chaos_toolkit") else { return };
    let scene = Scene::new(Manners::ROBUST);
    let done = chaos.run(&scene, "4s").output().unwrap();
    let (theirs, api) = (chaos.journal(&done), scene.squall.api());
    let ours = api.json(&format!("/v1/experiments/{NAME}/report?format=chaostoolkit"));
    assert_eq!(ours["chaoslib-version"], theirs["chaoslib-version"], "the version of the journals that we write");
    assert_eq!((&ours["status"], &ours["deviated"]), (&json!("completed"), &json!(false)), "{ours:#}");
    // Everything that a reader of their journals finds there is in ours, and is of the same kind.
    let kind = |value: &Value| std::mem::discriminant(value);
    for (key, value) in theirs.as_object().unwrap() {
        assert!(ours.get(key).is_some_and(|own| kind(own) == kind(value)), "{key}: {} for {value}", ours[key]);
    }
    for key in ["activity", "status", "start", "end", "duration", "output"] {
        assert!(ours["run"][0].get(key).is_some() && theirs["run"][0].get(key).is_some(), "{key}");
    }
    // What was run is an experiment to Chaos Toolkit, too.
    let file = chaos.directory.path().join("experiment.json");
    std::fs::write(&file, ours["experiment"].to_string()).unwrap();
    let done = chaos.command(&["validate", file.to_str().unwrap()]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}
