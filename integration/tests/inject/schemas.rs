//! What Kubernetes itself says: every result is valid by the schemas of its oldest version with native sidecars that is
//! stable, and of the newest; and what is written is what another reader of YAML reads.

use std::io::Write as _;
use std::process::{Output, Stdio};

use serde_json::{Value, json};
use squall_inject::{Decision, Options, inject, uninject};

use crate::pods;
use crate::properties::meant;
use squall_integration::programs::{python, script};

const VERSIONS: [&str; 2] = ["1.33.0", "1.37.0"];

fn validated(python: &std::path::Path, text: &[u8], versions: &[&str]) -> Output {
    let mut command = std::process::Command::new(python);
    command.arg(script("kubernetes_peer.py")).arg("validate").args(versions);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let text = text.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&text).unwrap());
    let done = child.wait_with_output().unwrap();
    writer.join().unwrap();
    done
}

fn documents(done: &Output) -> Vec<Value> {
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).unwrap()
}

/// The pod in an object of some kind.
fn object(index: usize, pod: &Value) -> Value {
    let metadata = json!({ "name": format!("object-{index}"), "namespace": "shop" });
    let selector = json!({ "matchLabels": { "a": "b" } });
    let (version, kind, spec) = match index % 7 {
        0 => ("apps/v1", "Deployment", json!({ "selector": selector, "template": pod })),
        1 => ("apps/v1", "StatefulSet", json!({ "selector": selector, "serviceName": "a", "template": pod })),
        2 => ("apps/v1", "DaemonSet", json!({ "selector": selector, "template": pod })),
        3 => ("apps/v1", "ReplicaSet", json!({ "selector": selector, "template": pod })),
        4 => ("batch/v1", "Job", json!({ "template": pod })),
        5 => ("batch/v1", "CronJob", json!({ "schedule": "@daily", "jobTemplate": { "spec": { "template": pod } } })),
        _ => ("v1", "Pod", pod["spec"].clone()),
    };
    let mut object = json!({ "apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec });
    if kind == "Pod" {
        object["metadata"] = pod.get("metadata").cloned().unwrap_or_else(|| json!({}));
        object["metadata"]["name"] = metadata["name"].clone();
    }
    object
}

fn template(object: &Value) -> &Value {
    let places = ["/spec/template", "/spec/jobTemplate/spec/template", ""];
    places.iter().find_map(|place| object.pointer(place)).unwrap()
}

#[test]
fn a_thousand_objects_are_valid_after_it_and_the_same_after_the_way_back() {
    let Some(python) = python("inject: what Kubernetes says of a thousand objects") else { return };
    all_are_valid(&python, &[], &Options::default());
}

#[test]
fn so_are_a_thousand_whose_sidecars_follow_a_controller() {
    let Some(python) = python("inject: what Kubernetes says of sidecars that follow a controller") else { return };
    let ca = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(ca.path(), pods::CA).unwrap();
    let options = pods::options(true);
    let url = &options.controller.as_ref().unwrap().url;
    all_are_valid(&python, &["--controller", url, "--controller-ca", ca.path().to_str().unwrap()], &options);
}

fn all_are_valid(python: &std::path::Path, arguments: &[&str], options: &Options) {
    let before: Vec<Value> = pods::fixed(1000).iter().enumerate().map(|(index, pod)| object(index, pod)).collect();
    let text: String = before.iter().map(|object| format!("---\n{object}\n")).collect();
    assert_eq!(
        documents(&validated(python, text.as_bytes(), &VERSIONS[1..])),
        before,
        "the pods are valid to begin with"
    );

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("objects.yaml");
    std::fs::write(&file, text).unwrap();
    let injected = crate::squall(&[&["inject", "-f", file.to_str().unwrap()], arguments].concat(), "");
    let after = documents(&validated(python, &injected.stdout, &VERSIONS));
    assert_eq!(after.len(), before.len());
    for (before, after) in before.iter().zip(&after) {
        match inject(template(before), Some("shop"), options).unwrap() {
            Decision::Inject(injection) => assert_eq!(template(after), &injection.pod, "another reader reads the same"),
            Decision::Skip(_) => assert_eq!(after, before),
        }
    }

    std::fs::write(&file, &injected.stdout).unwrap();
    let back = crate::squall(&["uninject", "-f", file.to_str().unwrap()], "");
    for (before, after) in before.iter().zip(documents(&validated(python, &back.stdout, &[]))) {
        assert_eq!(meant(template(&after)), meant(template(before)));
        assert_eq!(uninject(template(&after)), None);
    }
}

/// The judge finds what is wrong.
#[test]
fn what_is_wrong_is_found() {
    let Some(python) = python("inject: what Kubernetes says of a wrong object") else { return };
    let Decision::Inject(injection) = inject(&pods::fixed(50)[7], None, &Options::default()).unwrap() else {
        panic!("a pod that gets a sidecar")
    };
    let good = object(4, &injection.pod);
    documents(&validated(&python, good.to_string().as_bytes(), &VERSIONS));
    for (place, value) in [("restartPolicy", json!(1)), ("startUpProbe", json!({}))] {
        let mut wrong = good.clone();
        wrong["spec"]["template"]["spec"]["initContainers"][0][place] = value;
        let done = validated(&python, wrong.to_string().as_bytes(), &VERSIONS);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(!done.status.success() && VERSIONS.iter().all(|version| said.contains(version)), "{said}");
    }
}
