//! The Helm chart, rendered by Helm's own engine, and judged by the schemas of Kubernetes.

#![expect(clippy::unwrap_used, reason = "tests")]

mod objects;
mod selectors;
mod values;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use squall_integration::programs::{python, script};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs a script of `integration/clients` with this on its standard input.
fn peer(python: &Path, name: &str, arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(python);
    command.arg(script(name)).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_owned());
    let writer = std::thread::spawn(move || {
        // It may have ended without reading it.
        let _ = stdin.write_all(input.as_bytes());
    });
    let done = child.wait_with_output().unwrap();
    writer.join().unwrap();
    done
}

fn stdout(done: &Output) -> &str {
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    std::str::from_utf8(&done.stdout).unwrap()
}

/// What the chart gives for each of these values: the texts of its templates, or why not.
fn render(python: &Path, cases: &[Value]) -> Vec<Result<Vec<(String, String)>, String>> {
    let done = peer(python, "helm_peer.py", &["render"], &json!(cases).to_string());
    let answers: Vec<Value> = serde_json::from_str(stdout(&done)).unwrap();
    assert_eq!(answers.len(), cases.len());
    let of = |answer: &Value| match answer["rendered"].as_object() {
        Some(texts) => Ok(texts.iter().map(|(name, text)| (name.clone(), text.as_str().unwrap().to_owned())).collect()),
        None => Err(answer["error"].as_str().unwrap().to_owned()),
    };
    answers.iter().map(of).collect()
}

/// The objects of a chart, by another reader of YAML.
fn objects(python: &Path, values: &Value) -> Vec<Value> {
    let texts = render(python, std::slice::from_ref(values)).remove(0).unwrap();
    let text = yaml(&texts);
    serde_json::from_str(stdout(&peer(python, "kubernetes_peer.py", &["validate"], &text))).unwrap()
}

fn yaml(texts: &[(String, String)]) -> String {
    let manifests = texts.iter().filter(|(name, _)| !name.ends_with("NOTES.txt"));
    manifests.map(|(_, text)| format!("---\n{text}\n")).collect()
}

fn find<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let mut found = objects.iter().filter(|object| object["kind"] == kind);
    found.next().unwrap_or_else(|| panic!("there is no {kind}"))
}

#[test]
fn helm_finds_nothing_wrong_with_it() {
    let Some(python) = python("chart: what Helm thinks of it") else { return };
    let report: Value = serde_json::from_str(stdout(&peer(&python, "helm_peer.py", &["lint"], ""))).unwrap();
    assert_eq!((&report["total_charts_linted"], &report["errors"]), (&json!(1), &json!([])));
    // 1 is "it could have an icon".
    let messages = report["messages"].as_array().unwrap();
    assert!(messages.iter().all(|message| message["severity"] == 1), "{report:#}");
}

#[test]
fn the_plain_manifests_are_the_chart_with_its_defaults() {
    let Some(python) = python("chart: the plain manifests") else { return };
    let done = peer(&python, "helm_peer.py", &["manifest"], "");
    let written = std::fs::read_to_string(root().join("deploy/kubernetes/squall.yaml")).unwrap();
    assert!(stdout(&done) == written, "deploy/kubernetes/squall.yaml is to be made anew; its head says how");
    let own =
        stdout(&peer(&python, "kubernetes_peer.py", &["validate", "1.33.0", "1.37.0"], &known(&python, &written)))
            .to_owned();
    let own: Vec<Value> = serde_json::from_str(&own).unwrap();
    assert!(own.len() >= 10, "{} objects", own.len());
    let namespaces: Vec<&Value> = own.iter().map(|object| &object["metadata"]["namespace"]).collect();
    assert!(namespaces.iter().all(|place| place.is_null() || **place == "squall-system"), "{namespaces:?}");
}

/// The objects of a text whose kinds are of Kubernetes itself.
fn known(python: &Path, text: &str) -> String {
    let all: Vec<Value> =
        serde_json::from_str(stdout(&peer(python, "kubernetes_peer.py", &["validate"], text))).unwrap();
    let own = all.iter().filter(|object| values::is_known(object));
    own.map(|object| format!("---\n{object}\n")).collect()
}

/// Names and versions of the chart are those of the workspace.
#[test]
fn the_version_is_that_of_the_binary() {
    let text = std::fs::read_to_string(root().join("deploy/chart/squall/Chart.yaml")).unwrap();
    for field in ["version", "appVersion"] {
        assert!(text.contains(&format!("\n{field}: {}\n", env!("CARGO_PKG_VERSION"))), "{field}\n{text}");
    }
}
