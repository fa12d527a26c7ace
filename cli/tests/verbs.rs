//! The binary from outside: what it prints, and how it ends.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn squall(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_squall"));
    command.args(words).env_clear().env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

fn run(words: &[&str]) -> Output {
    squall(words).output().unwrap()
}

fn run_with_stdin(words: &[&str], text: &str) -> Output {
    let mut child = squall(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[track_caller]
fn assert_ends(output: &Output, code: i32, on_stderr: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    for part in on_stderr {
        assert!(stderr.contains(part), "{part:?} in:\n{stderr}");
    }
}

fn file(directory: &Path, name: &str, text: &str) -> PathBuf {
    let path = directory.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

const INVALID: &str = "version: 1
listeners:
  - { name: to-b, adress: 127.0.0.1:0, cluster: b }
clusters:
  - { name: b, endpoints: ['127.0.0.1:9000'] }
rules:
  - { name: slow, fault: { delay: 2s } }
  - { name: fast, percentage: 101, fault: { delay: 2s } }
";

#[test]
fn validate_prints_all_problems_with_their_places() {
    let directory = tempfile::tempdir().unwrap();
    let path = file(directory.path(), "bad.yaml", INVALID);
    let output = run(&["config", "validate", path.to_str().unwrap()]);
    assert_ends(&output, 3, &["bad.yaml:3:", "adress", "address", "bad.yaml:7:", "rules[0]", "percentage", "rules[1]"]);
    assert!(output.stdout.is_empty());
    assert_ends(&run_with_stdin(&["config", "validate", "-"], INVALID), 3, &["<stdin>:3:"]);
    assert_ends(&run(&["run", "-c", path.to_str().unwrap()]), 3, &["bad.yaml:3:", "rules[0]"]);
    assert_ends(&run(&["config", "validate", "/nonexistent.yaml"]), 1, &["/nonexistent.yaml"]);
}

#[test]
fn what_init_writes_is_valid_and_never_overwrites() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("squall.yaml");
    let path = path.to_str().unwrap();
    assert_ends(&run(&["config", "init", path]), 0, &["squall run -c"]);
    assert_ends(&run(&["config", "validate", path]), 0, &["valid"]);
    assert_ends(&run(&["config", "init", path]), 1, &["cannot create"]);
    let shown = run(&["config", "show", path, "-o", "json"]);
    assert_ends(&shown, 0, &[]);
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["rules"][0]["name"], "slow-b");
    let again = run(&["config", "show", path]);
    assert_ends(&run_with_stdin(&["config", "validate", "-"], &String::from_utf8(again.stdout).unwrap()), 0, &[]);
}

#[test]
fn an_experiment_to_begin_with_is_what_its_schema_says() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("slow.yaml");
    assert_ends(&run(&["config", "init", "--experiment", path.to_str().unwrap()]), 0, &["slow.yaml", "--experiment"]);
    let printed = run(&["config", "init", "--experiment", "-"]);
    assert_ends(&printed, 0, &[]);
    assert_eq!(std::fs::read(path).unwrap(), printed.stdout);
    let text = String::from_utf8(printed.stdout).unwrap();
    assert!(squall_config::parse_experiment_text(&text).is_ok(), "{text}");
    let output = run(&["config", "schema", "--experiment"]);
    assert_ends(&output, 0, &[]);
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(schema["properties"]["kind"]["enum"], serde_json::json!(["Experiment"]));
}

#[test]
fn the_schema_is_json_schema() {
    let output = run(&["config", "schema"]);
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(schema["$schema"].as_str().unwrap().contains("2020-12"), "{schema}");
}

const VIRTUAL_SERVICE: &str = "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ratings }
spec:
  hosts: [ratings.example.com]
  http:
    - match: [{ uri: { prefix: /v1/ } }]
      fault:
        delay: { fixedDelay: 7s, percentage: { value: 0.5 } }
        abort: { httpStatus: 503 }
";

#[test]
fn import_writes_rules_and_says_what_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let path = file(directory.path(), "vs.yaml", VIRTUAL_SERVICE);
    let path = path.to_str().unwrap();
    let output = run(&["config", "import", path]);
    let lost =
        "vs.yaml:10:9: not carried over: VirtualService ratings: spec.http[0].fault.abort: no percentage is written";
    assert_ends(
        &output,
        0,
        &[lost, "--percentage P", "1 rule from 1 document: 1 not carried over, 0 different, 1 note"],
    );
    let yaml = String::from_utf8(output.stdout).unwrap();
    assert!(yaml.starts_with("version: 1\nrules:\n- name: ratings-1\n  match:\n"), "{yaml}");
    assert_ends(&run_with_stdin(&["config", "validate", "-"], &yaml), 0, &["1 rule)"]);
    // With a percentage for what has none, from stdin, for a cluster of another file.
    let words = ["config", "import", "-", "--percentage", "5", "--cluster", "b", "-o", "json"];
    let output = run_with_stdin(&words, VIRTUAL_SERVICE);
    assert_ends(&output, 0, &["the rules belong into a file that has the cluster \"b\""]);
    let rules = &serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()["rules"];
    assert_eq!((&rules[0]["percentage"], &rules[0]["match"]["cluster"]), (&0.5.into(), &"b".into()));
    assert_eq!((&rules[1]["percentage"], &rules[1]["fault"]["abort"]), (&5.into(), &503.into()));
}

#[test]
fn import_ends_with_the_code_that_says_why() {
    let import = |more: &[&str], text: &str| {
        let output = run_with_stdin(&[&["config", "import", "-"], more].concat(), text);
        assert!(output.stdout.is_empty() || more.is_empty(), "{output:?}");
        output
    };
    assert_ends(&import(&["--strict"], VIRTUAL_SERVICE), 6, &["--strict", "not carried over"]);
    assert_ends(&import(&["--from", "kuma"], VIRTUAL_SERVICE), 3, &["another source", "nothing to import"]);
    assert_ends(&import(&["--strict"], "a: ["), 3, &["<stdin>:1:"]);
    assert_ends(&import(&["--strict"], "kind: Service"), 3, &["passed over", "nothing to import"]);
    let wrong = VIRTUAL_SERVICE.replace("hosts: [ratings.example.com]", "hosts: 7");
    assert_ends(&import(&["--strict"], &wrong), 3, &["<stdin>:5:3: spec.hosts: expected a list"]);
    assert_ends(&run(&["config", "import", "-", "--percentage", "101"]), 2, &["101 is not between 0 and 100"]);
    let nothing_left = VIRTUAL_SERVICE.replace("        delay: { fixedDelay: 7s, percentage: { value: 0.5 } }\n", "");
    assert_ends(&import(&[], &nothing_left), 6, &["no rule is left"]);
    assert_ends(&run(&["config", "import"]), 2, &["FILE"]);
}

#[test]
fn explain_says_which_rules_match_and_why_not() {
    let directory = tempfile::tempdir().unwrap();
    let rules = "rules:
  - { name: slow, match: { path: { prefix: /v1/ } }, percentage: 100, fault: { delay: 2s } }
  - { name: other, match: { headers: { x-user: alice } }, percentage: 100, fault: { abort: 503 } }
";
    let path = file(directory.path(), "rules.yaml", rules);
    let path = path.to_str().unwrap();
    let explain = |more: &[&str]| {
        let words = [&["explain", "--rule-file", path, "--request", "GET /v1/items?id=7", "-o", "json"], more].concat();
        let output = run(&words);
        assert_ends(&output, 0, &[]);
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let verdicts = explain(&[]);
    assert_eq!((&verdicts[0]["rule"], &verdicts[0]["matched"]), (&"slow".into(), &true.into()));
    assert_eq!((&verdicts[1]["rule"], &verdicts[1]["matched"]), (&"other".into(), &false.into()));
    assert!(verdicts[1]["reason"].as_str().unwrap().contains("x-user"), "{verdicts}");
    assert_eq!(explain(&["--header", "x-user: alice"])[1]["matched"], true);
    assert_ends(&run(&["explain", "--rule-file", path, "--request", "GET /", "--listener", "no"]), 1, &["to-upstream"]);
    assert_ends(&run(&["explain", "--rule-file", path, "--request", "GET"]), 2, &["method"]);
}

#[test]
fn an_absent_control_api_is_exit_4_and_says_where() {
    // A port that was free a moment ago and that nobody serves.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for words in [&["status"][..], &["rule", "ls"], &["halt"], &["rule", "rm", "x"]] {
        assert_ends(&run(&[words, &["--control", &address]].concat()), 4, &[&address, "SQUALL_CONTROL"]);
    }
    let by_environment = squall(&["status"]).env("SQUALL_CONTROL", &address).output().unwrap();
    assert_ends(&by_environment, 4, &[&address]);
    assert_ends(&run(&["healthcheck", "--control", &address]), 1, &[&address]);
}

#[test]
fn curl_lines_are_printed_without_a_call() {
    let words = ["rule", "set", "slow", "--percentage", "5", "--fault", "delay=2s", "--curl"];
    let output = run(&words);
    assert_ends(&output, 0, &[]);
    let expected =
        "curl -X PUT http://127.0.0.1:9470/v1/rules/slow -d '{\"fault\":{\"delay\":\"2s\"},\"percentage\":5}'\n";
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    assert_ends(&run(&["rule", "set", "slow", "--curl"]), 2, &["--percentage"]);
}

#[test]
fn version_help_completions_and_usage() {
    let version = String::from_utf8(run(&["--version"]).stdout).unwrap();
    assert!(version.starts_with(concat!("squall ", env!("CARGO_PKG_VERSION"), " (")), "{version}");
    assert!(version.contains("linux") || !cfg!(target_os = "linux"), "{version}");
    let help = String::from_utf8(run(&["run", "--help"]).stdout).unwrap();
    assert!(help.contains("Examples:") && help.contains("Exit codes:") && help.contains("SQUALL_UPSTREAM"), "{help}");
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = run(&["completions", shell]);
        assert_ends(&output, 0, &[]);
        assert!(String::from_utf8_lossy(&output.stdout).contains("healthcheck"), "{shell}");
    }
    assert_ends(&run(&["no-such-verb"]), 2, &[]);
    assert_ends(&run(&["run"]), 2, &["--upstream"]);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = squall(&["config", "schema"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_ends(&child.wait_with_output().unwrap(), 0, &[]);
}

#[test]
fn certificates_are_issued_and_never_overwritten() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path().join("own").display().to_string();
    assert_ends(&run(&["certs", "issue", "b", "--in", &here]), 1, &["squall certs init"]);
    assert_ends(&run(&["certs", "init", &here]), 0, &["ca.crt", "squall certs issue"]);
    assert_ends(&run(&["certs", "init", &here]), 1, &["exists already"]);
    assert_ends(&run(&["certs", "issue", "localhost", "127.0.0.1", "--in", &here]), 0, &["localhost.key"]);
    assert_ends(&run(&["certs", "issue", "localhost", "--in", &here]), 1, &["exists already"]);
    assert_ends(&run(&["certs", "issue", "*.b.example", "--in", &here]), 0, &["any.b.example.crt"]);
    assert_ends(&run(&["certs", "issue", "../b", "--in", &here]), 2, &["--as"]);
    assert_ends(&run(&["certs", "issue", "ca", "--in", &here]), 2, &["--as"]);
    assert_ends(&run(&["certs", "issue", "--in", &here]), 2, &["NAME"]);
    for name in ["ca.key", "localhost.key"] {
        let mode = std::fs::metadata(Path::new(&here).join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    // They fit together, as a listener and a cluster would use them.
    let text = format!(
        "version: 1\nlisteners:\n- {{name: a, address: '127.0.0.1:0', cluster: b, tls: {{cert: {here}/localhost.crt, \
         key: {here}/localhost.key, client_ca: {here}/ca.crt}}}}\nclusters:\n- {{name: b, endpoints: ['b:1'], tls: {{ca: \
         {here}/ca.crt, cert: {here}/any.b.example.crt, key: {here}/any.b.example.key}}}}\n"
    );
    let config = file(directory.path(), "squall.yaml", &text);
    assert_ends(&run(&["config", "validate", config.to_str().unwrap()]), 0, &["valid"]);
}
