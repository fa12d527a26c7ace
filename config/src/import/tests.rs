mod chaos_mesh;
mod documents;
mod istio;
mod kuma;
mod never_panics;
mod toxiproxy;

use serde_json::Value;

use super::*;

/// The rules of some documents, and what was said of them: `effect: path: detail`.
fn import(text: &str, options: &Options) -> (Vec<Value>, Vec<String>) {
    let mut import = Import::new();
    import.add(text, options).unwrap();
    assert_valid(&import);
    let rules = import.spec.rules.iter().map(|rule| serde_json::to_value(rule).unwrap()).collect();
    let said = import.findings.iter().map(|f| format!("{}: {}: {}", f.effect.word(), f.path, f.detail)).collect();
    (rules, said)
}

fn assert_valid(import: &Import) {
    import.validate().unwrap_or_else(|problems| panic!("{problems}\n{:?}", import.spec));
}

fn five_percent() -> Options {
    Options { percentage: "5".parse().ok(), ..Options::default() }
}

fn on_cluster_b() -> Options {
    Options { cluster: Some("b".to_owned()), ..five_percent() }
}

#[track_caller]
fn assert_said(said: &[String], parts: &[&str]) {
    for part in parts {
        assert!(said.iter().any(|line| line.contains(part)), "{part:?} in {said:#?}");
    }
}

/// What is more than a note.
fn losses(said: &[String]) -> Vec<&String> {
    said.iter().filter(|line| !line.starts_with("note")).collect()
}
