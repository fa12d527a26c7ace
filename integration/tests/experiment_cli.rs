//! `squall experiment`: what each verb does, says and ends with.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use squall_integration::programs::find;
use squall_integration::scene::{Scene, slow_b};
use squall_integration::service::Manners;
use squall_integration::wait::PATIENCE;
use squall_integration::{eventually, squall};

/// A fifth of the calls take two seconds: enough of them within a few.
fn rule() -> Value {
    json!({"percentage": 20, "fault": {"delay": "2s"}})
}

fn experiment(scene: &Scene, arguments: &[&str]) -> Output {
    let mut command = squall::command(&["experiment", "--control", &scene.squall.api().url()]);
    command.args(arguments).output().unwrap()
}

fn spawn(scene: &Scene, arguments: &[&str]) -> Child {
    let mut verb = squall::command(&["experiment", "--control", &scene.squall.api().url()]);
    verb.args(arguments);
    // A test in the background of a script ignores Ctrl-C, and so would what it starts.
    let mut command = Command::new("env");
    command.arg("--default-signal=INT").arg(verb.get_program()).args(verb.get_args());
    for (name, value) in verb.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The exit code and both outputs.
fn said(done: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (done.status.code().unwrap_or(-1), text(&done.stdout), text(&done.stderr))
}

/// What a verb answers as JSON; it succeeds.
fn json_of(scene: &Scene, arguments: &[&str]) -> Value {
    let (code, out, err) = said(&experiment(scene, arguments));
    assert_eq!(code, 0, "{arguments:?}: {out}{err}");
    serde_json::from_str(&out).unwrap_or_else(|e| panic!("{arguments:?}: {e}: {out}"))
}

/// Waits until faults of this experiment flow.
fn injecting(scene: &Scene, name: &str) {
    eventually("faults flow", PATIENCE, || {
        let answer = scene.squall.api().get(&format!("/v1/experiments/{name}"));
        let injected = (answer.status == 200).then(|| answer.json()["status"]["injected"].as_u64())??;
        (injected > 0).then_some(())
    });
}

fn interrupt(child: &Child) {
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn a_hypothesis_that_holds_is_a_success_with_a_report_in_every_form() {
    let scene = Scene::new(Manners::ROBUST);
    let file = scene.write("held.json", &slow_b("held", (1_000, 4_000), &rule()));
    let reports = scene.squall.directory().join("deep/reports");
    let done = experiment(&scene, &["run", &file, "--report-dir", reports.to_str().unwrap()]);
    let (code, out, err) = said(&done);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.starts_with("HELD: A stays within its steady state"), "{out}");
    assert!(out.ends_with(&format!("report: {}\n", reports.join("report.html").display())), "{out}");
    for step in ["baseline", "injecting", "recovering"] {
        assert!(err.contains(step), "{step} in what is told meanwhile: {err}");
    }
    let forms = [
        ("json", "report.json"),
        ("markdown", "report.md"),
        ("html", "report.html"),
        ("junit", "report.junit.xml"),
        ("chaostoolkit", "report.journal.json"),
    ];
    assert_eq!(std::fs::read_dir(&reports).unwrap().count(), forms.len());
    for (form, name) in forms {
        let kept = std::fs::read_to_string(reports.join(name)).unwrap();
        assert!(kept.len() > 500, "{name}: {kept}");
        for run in [&[][..], &["--run", "1"][..]] {
            let (code, out, err) = said(&experiment(&scene, &[&["report", "held", "-o", form], run].concat()));
            assert_eq!((code, out.trim_end()), (0, kept.trim_end()), "{form}: {err}");
        }
    }
    let page = std::fs::read_to_string(reports.join("report.html")).unwrap();
    for loads in ["<script", "<link", "<iframe", "src=", "url(", "@import"] {
        assert!(!page.contains(loads), "the page loads something: {loads}");
    }
    let (code, _, err) = said(&experiment(&scene, &["report", "held", "--run", "7"]));
    assert!(code == 1 && err.contains("run 7"), "{code} {err}");
}

#[test]
fn a_hypothesis_that_fails_ends_with_six() {
    let scene = Scene::new(Manners::FRAGILE);
    let file = scene.write("failed.json", &slow_b("failed", (1_000, 8_000), &rule()));
    let (code, out, err) = said(&experiment(&scene, &["run", &file]));
    assert_eq!(code, 6, "{out}{err}");
    assert!(out.starts_with("FAILED: "), "{out}");
    let (code, out, err) = said(&experiment(&scene, &["wait", "failed"]));
    assert!(code == 6 && out.starts_with("FAILED: "), "of a run that has ended: {code} {out}{err}");
    assert_eq!(json_of(&scene, &["get", "failed", "-o", "json"])["status"]["verdict"], "failed");
}

#[test]
fn what_shows_nothing_ends_with_six_and_says_why() {
    let scene = Scene::quiet(Manners::ROBUST);
    let file = scene.write("silent.json", &slow_b("silent", (1_000, 1_000), &rule()));
    let (code, out, err) = said(&experiment(&scene, &["run", &file, "--dry-run"]));
    assert!(code == 0 && out.contains("no requests go that way"), "it can be known before: {code} {out}{err}");
    let (code, out, err) = said(&experiment(&scene, &["run", &file]));
    assert_eq!(code, 6, "{out}{err}");
    assert!(out.starts_with("INCONCLUSIVE: ") && out.contains("requests"), "{out}");
}

#[test]
fn a_dry_run_tells_what_would_be_reached() {
    let scene = Scene::new(Manners::ROBUST);
    let file = scene.write("dry.json", &slow_b("dry", (1_000, 1_000), &rule()));
    let (code, out, err) = said(&experiment(&scene, &["run", &file, "--dry-run"]));
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    for part in ["nothing is injected", "dry-rule", "to-b -> service-b", "p99", "20%"] {
        assert!(out.contains(part), "{part}: {out}");
    }
    assert!(!out.contains("no requests"), "{out}");
    let plan = json_of(&scene, &["run", &file, "--dry-run", "-o", "json"]);
    assert!(plan["rules"][0]["reaches"][0]["faults_per_second"].as_f64().unwrap() > 1.0, "{plan:#}");
    let experiment = json_of(&scene, &["get", "dry", "-o", "json"]);
    assert_eq!((&experiment["status"]["phase"], &experiment["status"]["injected"]), (&json!("idle"), &json!(0)));
}

#[test]
fn a_run_is_started_noted_stopped_waited_for_and_removed() {
    let scene = Scene::new(Manners::ROBUST);
    let (_, out, _) = said(&experiment(&scene, &["ls"]));
    assert!(out.contains("no experiments") && out.contains("config init --experiment"), "{out}");
    let file = scene.write("long.json", &slow_b("long", (1_000, 60_000), &rule()));
    let (code, out, err) = said(&experiment(&scene, &["put", &file]));
    assert!(code == 0 && out.contains("long") && out.contains("idle"), "{out}{err}");
    for verb in [&["stop", "long"][..], &["note", "long", "too early"]] {
        let (code, _, err) = said(&experiment(&scene, verb));
        assert!(code == 5 && err.contains("is not running"), "{verb:?}: {code} {err}");
    }
    assert_eq!(said(&experiment(&scene, &["wait", "long"])).0, 1, "there is nothing to wait for");

    for run in [1, 2] {
        let started = json_of(&scene, &["start", "long", "-o", "json"])["status"].take();
        // Not those of the run before.
        assert_eq!((&started["run"], &started["verdict"]), (&json!(run), &Value::Null), "{started:#}");
        let waiting = spawn(&scene, &["wait", "long", "-o", "json"]);
        injecting(&scene, "long");
        let (code, _, err) = said(&experiment(&scene, &["start", "long"]));
        assert!(code == 5 && err.contains("is running"), "{code} {err}");
        assert_eq!(said(&experiment(&scene, &["rm", "long"])).0, 5);
        assert_eq!(said(&experiment(&scene, &["note", "long", "the replica is promoted"])).0, 0);
        let listed = json_of(&scene, &["ls", "-o", "json"])["experiments"][0].take();
        assert_eq!((&listed["name"], &listed["phase"]), (&json!("long"), &json!("injecting")));
        assert_eq!(said(&experiment(&scene, &["stop", "long", "--reason", "seen enough"])).0, 0);
        let (code, out, err) = said(&waiting.wait_with_output().unwrap());
        assert_eq!(code, 6, "{out}{err}");
        let report: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((&report["run"], &report["aborted"]["reason"]), (&json!(run), &json!("seen enough")), "{report:#}");
        assert!(err.contains("note") && err.contains("the replica is promoted"), "{err}");
    }

    let (code, out, err) = said(&experiment(&scene, &["rm", "long"]));
    assert_eq!((code, out.as_str()), (0, "experiment long is removed, with its reports\n"), "{err}");
    let (code, _, err) = said(&experiment(&scene, &["get", "long"]));
    assert!(code == 1 && err.contains("no experiment \"long\""), "{code} {err}");
}

#[test]
fn ctrl_c_stops_the_run_that_it_belongs_to() {
    let scene = Scene::new(Manners::ROBUST);
    let file = scene.write("stopped.json", &slow_b("stopped", (1_000, 60_000), &rule()));
    let run = spawn(&scene, &["run", &file]);
    injecting(&scene, "stopped");
    interrupt(&run);
    let (code, out, err) = said(&run.wait_with_output().unwrap());
    assert!(code == 6 && out.starts_with("INCONCLUSIVE: "), "{code} {out}{err}");
    assert!(out.contains("interrupted by whoever ran it") && err.contains("stopping the run"), "{out}{err}");
    assert_eq!(scene.squall.api().json("/v1/rules")["rules"], json!([]));
}

#[test]
fn ctrl_c_ends_waiting_and_leaves_the_run_alone() {
    let scene = Scene::new(Manners::ROBUST);
    let file = scene.write("going.json", &slow_b("going", (1_000, 60_000), &rule()));
    assert_eq!(said(&experiment(&scene, &["put", &file])).0, 0);
    assert_eq!(said(&experiment(&scene, &["start", "going"])).0, 0);
    let mut waiting = spawn(&scene, &["wait", "going"]);
    injecting(&scene, "going");
    interrupt(&waiting);
    let ended = eventually("the end of the process", Duration::from_secs(5), || waiting.try_wait().unwrap());
    assert_eq!(ended.signal(), Some(2), "as any other program");
    assert_eq!(json_of(&scene, &["get", "going", "-o", "json"])["status"]["phase"], "injecting");
}

#[test]
fn what_cannot_be_done_has_an_exit_code_of_its_own() {
    let scene = Scene::quiet(Manners::ROBUST);
    let bad = scene.squall.directory().join("bad.yaml");
    std::fs::write(
        &bad,
        "apiVersion: squall.dev/v1alpha1\nkind: Experiment\nmetadata: { name: x }\nspec:\n  hypotesis: y\n",
    )
    .unwrap();
    let bad = bad.to_str().unwrap();
    for verb in ["run", "put"] {
        let (code, _, err) = said(&experiment(&scene, &[verb, bad]));
        assert_eq!(code, 3, "{err}");
        assert!(err.contains(&format!("{bad}:5:")) && err.contains("did you mean"), "{err}");
    }
    // Well-formed, but there is no such cluster here: that is for the running Squall to say, and has its place all the same.
    let mut unknown = slow_b("unknown", (1_000, 1_000), &rule());
    unknown["spec"]["method"][0]["rules"][0]["match"]["cluster"] = json!("service-x");
    let unknown = scene.write("unknown.json", &unknown);
    for verb in ["run", "put"] {
        let (code, _, err) = said(&experiment(&scene, &[verb, &unknown]));
        assert!(code == 3 && err.contains(&format!("{unknown}:1:")) && err.contains("service-x"), "{code} {err}");
    }
    assert_eq!(said(&experiment(&scene, &["run", "nowhere.yaml"])).0, 1);
    assert_eq!(said(&experiment(&scene, &["report", "x", "-o", "pdf"])).0, 2);

    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let control = format!("http://{nobody}");
    let done = squall::output(&["experiment", "ls", "--control", &control]);
    let (code, _, err) = said(&done);
    assert!(code == 4 && err.contains(&control), "{code} {err}");
}

#[test]
fn the_curl_lines_do_the_same() {
    if find("curl", "experiment_cli: the curl lines").is_none() {
        return;
    }
    let scene = Scene::new(Manners::ROBUST);
    let file = scene.write("curled.json", &slow_b("curled", (1_000, 60_000), &rule()));
    // What a verb prints, run by a shell; its answer.
    let shell = |arguments: &[&str]| -> String {
        let (code, lines, err) = said(&experiment(&scene, &[arguments, &["--curl"]].concat()));
        assert_eq!((code, err.as_str()), (0, ""), "{arguments:?}");
        assert!(lines.lines().all(|line| line.starts_with("curl ")), "{lines}");
        let strict = lines.replace("curl ", "curl --silent --show-error --fail-with-body ");
        let done = Command::new("sh").args(["-ec", &strict]).stdin(Stdio::null()).output().unwrap();
        let (code, out, err) = said(&done);
        assert_eq!(code, 0, "{strict}: {out}{err}");
        out
    };
    shell(&["put", &file]);
    assert!(shell(&["ls"]).contains("curled"));
    assert!(shell(&["run", &file, "--dry-run"]).contains("to-b"));
    shell(&["start", "curled"]);
    injecting(&scene, "curled");
    shell(&["note", "curled", "what's up, B? {\"a\": $HOME}"]);
    assert!(shell(&["get", "curled"]).contains("injecting"));
    shell(&["stop", "curled", "--reason", "don't go on"]);
    let end = |run: u64| {
        eventually("the end of the run", PATIENCE, || {
            let report = scene.squall.api().json("/v1/experiments/curled/report");
            (report["run"] == run && !report["verdict"].is_null()).then_some(report)
        })
    };
    let report = end(1);
    assert_eq!(report["aborted"]["reason"], "don't go on");
    assert!(report["timeline"].to_string().contains("$HOME"), "{:#}", report["timeline"]);
    assert!(shell(&["report", "curled", "-o", "junit", "--run", "1"]).contains("<testsuite"));
    assert!(shell(&["wait", "curled"]).contains("inconclusive"));
    shell(&["run", &file]);
    injecting(&scene, "curled");
    shell(&["stop", "curled"]);
    end(2);
    shell(&["rm", "curled"]);
    assert_eq!(json_of(&scene, &["ls", "-o", "json"])["experiments"], json!([]));
}
