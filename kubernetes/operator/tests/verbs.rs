//! The binary from outside: what it prints, and how it ends.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::process::{Command, Output};

/// What `kubectl apply` of the repository installs.
const COMMITTED: &str = include_str!("../../../deploy/kubernetes/crds.yaml");

fn run(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_squall-kubernetes")).args(words).env_clear().output().unwrap()
}

#[track_caller]
fn assert_fails(words: &[&str], code: i32, on_stderr: &[&str]) {
    let output = run(words);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    for part in on_stderr {
        assert!(stderr.contains(part), "{part:?} in:\n{stderr}");
    }
}

#[test]
fn the_committed_definitions_are_those_of_the_types() {
    let output = run(&["crds"]);
    assert!(output.status.success());
    assert!(output.stdout == COMMITTED.as_bytes(), "run `squall-kubernetes crds >deploy/kubernetes/crds.yaml`");
}

#[test]
fn without_an_api_server_it_says_what_it_can_do_without() {
    assert_fails(&["run"], 1, &["API server", "KUBECONFIG", "--tls-cert", "--only webhook"]);
}

#[test]
fn a_certificate_that_is_not_there_is_named() {
    let words = ["run", "--only", "webhook", "--tls-cert", "/nonexistent.crt", "--tls-key", "/nonexistent.key"];
    assert_fails(&words, 1, &["the certificate cannot be used", "/nonexistent.crt"]);
}

#[test]
fn what_is_not_understood_is_said_before_anything_starts() {
    assert_fails(&["run", "--only", "controller"], 2, &["controller", "webhook"]);
    assert_fails(&["run", "--tls-cert", "/a.crt"], 2, &["--tls-key"]);
    assert_fails(&[], 2, &["run", "crds"]);
}
