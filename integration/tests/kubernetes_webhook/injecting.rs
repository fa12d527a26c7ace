//! Reviews of pods, from the API server's side: the patch is applied, and what Kubernetes thinks of the result.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use squall_inject::{ANNOTATION_STATUS, Decision, Options, inject};
use squall_integration::Authority;
use squall_integration::programs::{python, script};

use crate::{Curl, review, reviews};
use squall_integration::kubernetes::Operator;

/// What the API server makes of an answer.
fn applied(review: &Value, answer: &Value) -> Value {
    let response = &answer["response"];
    assert_eq!((&answer["apiVersion"], &answer["kind"]), (&json!("admission.k8s.io/v1"), &json!("AdmissionReview")));
    assert_eq!(response["uid"], review["request"]["uid"]);
    assert_eq!(response["allowed"], true, "{response}");
    let mut object = review["request"]["object"].clone();
    if let Some(text) = response["patch"].as_str() {
        assert_eq!(response["patchType"], "JSONPatch");
        let patch: json_patch::Patch = serde_json::from_slice(&decoded(text)).unwrap();
        json_patch::patch(&mut object, &patch).unwrap();
    }
    object
}

/// Base64, by a program that was not written here.
fn decoded(text: &str) -> Vec<u8> {
    let mut child =
        Command::new("base64").arg("--decode").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let text = text.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()).unwrap());
    let done = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(done.status.success());
    done.stdout
}

fn warnings(answer: &Value) -> Vec<&str> {
    answer["response"]["warnings"].as_array().into_iter().flatten().map(|w| w.as_str().unwrap()).collect()
}

#[test]
fn reviews_of_an_api_server_are_answered_as_it_understands_them() {
    let authority = Authority::new();
    let operator = Operator::webhooks(&authority, &[]);
    let Some(curl) = Curl::find(&authority, &operator, "webhook: injection over TLS") else { return };
    let mut injected = Vec::new();
    for (name, review) in reviews() {
        let answer = curl.post("/inject", &review);
        let after = applied(&review, &answer);
        let before = &review["request"]["object"];
        if after == *before {
            continue;
        }
        let namespace = review["request"]["namespace"].as_str();
        let Decision::Inject(injection) = inject(before, namespace, &Options::default()).unwrap() else {
            panic!("{name}")
        };
        assert_eq!(after, injection.pod, "{name}: the same as squall inject does");
        let again = curl.post("/inject", &with_object(&review, &after));
        assert_eq!(applied(&with_object(&review, &after), &again), after, "{name}: called again it changes nothing");
        assert_eq!(warnings(&again), [""; 0], "{name}");
        injected.push((name, after));
    }
    let names: Vec<&str> = injected.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["istio-pod", "job-pod-explicit", "kubectl-run-dry-run", "replica-set-pod"]);
    let of = |outcome: &str| operator.metric(&format!("squall_kubernetes_injections_total{{outcome=\"{outcome}\"}}"));
    assert_eq!((of("injected"), of("skipped"), of("invalid"), of("ignored")), (4.0, 5.0, 1.0, 4.0));
    is_valid(injected.into_iter().map(|(_, pod)| pod).collect());
}

fn with_object(review: &Value, object: &Value) -> Value {
    let mut review = review.clone();
    review["request"]["object"] = object.clone();
    review
}

/// As pods of names and versions that they get later.
fn is_valid(pods: Vec<Value>) {
    let Some(python) = python("webhook: what Kubernetes thinks of injected pods") else { return };
    let mut text = String::new();
    for mut pod in pods {
        pod["metadata"]["name"] = json!("a");
        text.push_str(&format!("---\n{pod}\n"));
    }
    let mut command = Command::new(python);
    command.arg(script("kubernetes_peer.py")).args(["validate", "1.33.0", "1.37.0"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn a_pod_that_gets_none_starts_and_whoever_made_it_is_told() {
    let authority = Authority::new();
    let operator = Operator::webhooks(&authority, &["--namespace", "squall"]);
    let Some(curl) = Curl::find(&authority, &operator, "webhook: warnings over TLS") else { return };
    for (name, told) in [
        ("daemon-set-host-network", &["squall: not injected: it uses the network of its node (hostNetwork)"][..]),
        (
            "wrong-annotations",
            &["annotation squall.dev/mode: \"nativ\"", "annotation squall.dev/memory-limit: \"lots\""],
        ),
        ("update", &[]),
        ("ephemeral-containers", &[]),
    ] {
        let review = review(name);
        let answer = curl.post("/inject", &review);
        assert_eq!(applied(&review, &answer), review["request"]["object"], "{name}");
        let warnings = warnings(&answer);
        assert_eq!(warnings.len(), told.len(), "{name}: {warnings:?}");
        assert!(warnings.iter().zip(told).all(|(warning, part)| warning.contains(part)), "{warnings:?}");
    }
    let own = with(&review("replica-set-pod"), "namespace", "squall");
    let answer = curl.post("/inject", &own);
    assert_eq!(warnings(&answer), ["squall: not injected: namespace squall is that of Squall itself"]);
    assert!(operator.said().contains("pod=\"Pod squall/service-a-7d9f8c6b5d-\""), "{}", operator.said());
}

fn with(review: &Value, field: &str, value: &str) -> Value {
    let mut review = review.clone();
    review["request"][field] = json!(value);
    review
}

#[test]
fn pods_get_what_the_flags_say() {
    let authority = Authority::new();
    let flags =
        ["--image", "r.example/squall:2", "--init-image", "r.example/init:2", "--inject-default", "log-level=debug"];
    let operator = Operator::webhooks(&authority, &flags);
    let Some(curl) = Curl::find(&authority, &operator, "webhook: defaults over TLS") else { return };
    let review = review("replica-set-pod");
    let pod = applied(&review, &curl.post("/inject", &review));
    let containers = pod["spec"]["initContainers"].as_array().unwrap();
    assert_eq!(
        (&containers[0]["image"], &containers[1]["image"]),
        (&json!("r.example/init:2"), &json!("r.example/squall:2"))
    );
    assert!(containers[1]["args"].as_array().unwrap().contains(&json!("debug")));
    assert!(pod["metadata"]["annotations"][ANNOTATION_STATUS].is_string());
}

#[test]
fn rules_that_go_are_let_go() {
    let authority = Authority::new();
    let operator = Operator::webhooks(&authority, &[]);
    let Some(curl) = Curl::find(&authority, &operator, "webhook: validation over TLS") else { return };
    for name in ["fault-rule", "fault-rule-deleted", "replica-set-pod"] {
        let answer = curl.post("/validate", &review(name));
        assert_eq!(answer["response"], json!({ "uid": review(name)["request"]["uid"], "allowed": true }), "{name}");
    }
}
