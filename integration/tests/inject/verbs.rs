//! The verbs, on files and pipes.

use std::path::PathBuf;
use std::process::Output;

use serde_json::{Value, json};

use crate::squall;

const POD: &str =
    "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\nspec:\n  containers:\n  - name: app\n    image: a\n";
const SERVICE: &str = "# kept\napiVersion: v1\nkind:   Service\nmetadata: {name: b}   # as it is\n";

fn out(done: &Output) -> String {
    String::from_utf8(done.stdout.clone()).unwrap()
}

fn said(done: &Output) -> String {
    String::from_utf8(done.stderr.clone()).unwrap()
}

fn root(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

/// To write the file anew: `squall inject -f deploy/kubernetes/service-a.yaml > integration/tests/inject/service-a.yaml`
#[test]
fn a_deployment_gets_what_was_agreed_on() {
    let manifest = root("deploy/kubernetes/service-a.yaml");
    let done = squall(&["inject", "-f", manifest.to_str().unwrap()], "");
    assert!(done.status.success(), "{}", said(&done));
    let expected = std::fs::read_to_string(root("integration/tests/inject/service-a.yaml")).unwrap();
    assert_eq!(out(&done), expected);
    let again = squall(&["inject"], &expected);
    assert_eq!(out(&again), expected, "twice is once");
    assert!(
        said(&again).contains("Deployment service-a: not injected: it has the sidecar already"),
        "{}",
        said(&again)
    );
}

#[test]
fn what_is_no_workload_passes_through_byte_for_byte() {
    let text = format!("{SERVICE}---\n# nothing\n---\n{POD}---\n{SERVICE}");
    let done = squall(&["inject"], &text);
    let written = out(&done);
    assert!(written.starts_with(&format!("{SERVICE}---\n# nothing\n---\napiVersion: v1\nkind: Pod\n")), "{written}");
    assert!(written.ends_with(&format!("\n---\n{SERVICE}")), "{written}");
    assert_eq!(said(&done).matches("Service b: passed through: it makes no pods").count(), 2);
    assert!(said(&done).contains("<stdin>: Pod a: injected, mode native"), "{}", said(&done));
    assert_eq!(out(&squall(&["inject"], SERVICE)), SERVICE);
    assert_eq!(out(&squall(&["inject"], "")), "");
}

#[test]
fn what_was_injected_can_be_taken_out() {
    let done = squall(&["uninject"], &out(&squall(&["inject"], POD)));
    assert_eq!(out(&done), POD);
    assert!(said(&done).contains("Pod a: the sidecar was taken out"), "{}", said(&done));
    let done = squall(&["uninject"], POD);
    assert_eq!(out(&done), POD);
    assert!(said(&done).contains("passed through"), "{}", said(&done));
}

#[test]
fn json_stays_json() {
    let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "a" }, "spec": { "containers": [{ "name": "app" }] } });
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": [pod, { "apiVersion": "v1", "kind": "Secret" }] });
    let done = squall(&["inject"], &list.to_string());
    let written: Value = serde_json::from_str(&out(&done)).unwrap();
    assert_eq!(written["items"][0]["spec"]["initContainers"][1]["name"], "squall");
    assert_eq!(written["items"][1], list["items"][1]);
    let back: Value = serde_json::from_str(&out(&squall(&["uninject"], &out(&done)))).unwrap();
    assert_eq!(back, list);
}

#[test]
fn every_pod_that_is_left_alone_has_its_reason_on_stderr() {
    let with = |metadata: &str, spec: &str| POD.replace("  name: a\n", &format!("  name: a\n{metadata}")) + spec;
    for (text, reason) in [
        (with("  namespace: kube-system\n", ""), "Pod kube-system/a: not injected: namespace kube-system"),
        (with("  labels: {squall.dev/inject: disabled}\n", ""), "squall.dev/inject is disabled"),
        (with("", "  hostNetwork: true\n"), "hostNetwork"),
        (POD.replace("name: app", "name: squall"), "a container squall already"),
    ] {
        let done = squall(&["inject"], &text);
        assert!(done.status.success() && said(&done).contains(reason), "{}", said(&done));
        assert_eq!(out(&done), text);
    }
}

#[test]
fn options_are_for_pods_that_do_not_say_otherwise() {
    let options =
        ["inject", "--image", "here/squall:1", "--mode", "explicit", "--config-map", "c", "--log-level", "debug"];
    let written = out(&squall(&options, POD));
    for part in ["image: here/squall:1", "HTTP_PROXY", "configMap:\n      name: c", "- debug"] {
        assert!(written.contains(part), "{part}\n{written}");
    }
    assert!(!written.contains("NET_ADMIN"));
    let own =
        POD.replace("  name: a\n", "  name: a\n  annotations: {squall.dev/mode: native, squall.dev/image: mine}\n");
    let written = out(&squall(&options, &own));
    assert!(written.contains("NET_ADMIN") && written.contains("image: mine"), "{written}");
}

#[test]
fn sidecars_follow_a_controller_when_that_is_said() {
    let ca = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(ca.path(), crate::pods::CA).unwrap();
    let file = ca.path().to_str().unwrap();
    let options = ["inject", "--controller", "https://squall.squall-system.svc", "--controller-ca", file];
    let written = out(&squall(&options, POD));
    for part in
        ["- --controller\n    - https://squall.squall-system.svc\n", "audience: squall-controller", "/var/run/squall"]
    {
        assert!(written.contains(part), "{part}\n{written}");
    }
    assert_eq!(out(&squall(&options, &written)), written, "twice is once");
    assert_eq!(out(&squall(&["uninject"], &written)), POD);
    for (arguments, code, why) in [
        (&["inject", "--controller", "https://c"][..], 2, "--controller-ca"),
        (&["inject", "--controller-ca", file], 2, "--controller"),
        (
            &["inject", "--controller", "http://c", "--controller-ca", file],
            2,
            "--controller: \"http://c\" is not https://",
        ),
        (&["inject", "--controller", "https://c", "--controller-ca", "/not/there"], 1, "/not/there"),
    ] {
        let done = squall(arguments, POD);
        assert!(done.status.code() == Some(code) && said(&done).contains(why), "{}", said(&done));
    }
}

#[test]
fn notes_are_told() {
    let text = POD
        .replace("  name: a\n", "  name: a\n  annotations: {linkerd.io/inject: enabled, squall.dev/skip-subnet: x}\n");
    let told = said(&squall(&["inject"], &text));
    assert!(
        told.contains("note: Linkerd is in the pod, too") && told.contains("did you mean squall.dev/skip-subnets"),
        "{told}"
    );
}

#[test]
fn what_cannot_be_read_or_used_is_3_says_where_and_writes_nothing() {
    let annotated = POD.replace("  name: a\n", "  name: a\n  annotations:\n    squall.dev/cpu-request: ten\n");
    for (text, place) in [
        (format!("{POD}---\na: 1\na: 2\n"), "<stdin>:11:1: "),
        (format!("{POD}---\na: [1\n"), "<stdin>:10:4: "),
        (
            format!("{SERVICE}---\n{annotated}"),
            "<stdin>:11: Pod a: annotation squall.dev/cpu-request: \"ten\" is no quantity",
        ),
        (POD.replace("containers:\n", "containers: 1\n  other:\n"), "Pod a: pod: spec.containers is not a list"),
    ] {
        let done = squall(&["inject"], &text);
        assert_eq!((done.status.code(), out(&done).as_str()), (Some(3), ""), "{}", said(&done));
        assert!(said(&done).contains(place), "{}", said(&done));
    }
}

#[test]
fn wrong_options_are_2_and_a_file_that_is_not_there_is_1() {
    for (arguments, why) in [
        (&["inject", "--skip-outbound-ports", "http"][..], "--skip-outbound-ports: \"http\" is not a port"),
        (&["inject", "--config-map", "A_B"], "--config-map: \"A_B\" is no name of a ConfigMap"),
        (&["inject", "--mode", "sidecar"], "possible values: native, explicit"),
    ] {
        let done = squall(arguments, POD);
        assert!(done.status.code() == Some(2) && said(&done).contains(why), "{}", said(&done));
    }
    assert_eq!(squall(&["inject", "-f", "/not/there.yaml"], "").status.code(), Some(1));
}

#[test]
fn several_files_are_one_stream() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (a, b) = (file("a.yaml", POD), file("b.yaml", SERVICE.trim_end()));
    let done = squall(&["inject", "-f", &a, "-f", &b], "");
    assert!(out(&done).ends_with(&format!("\n---\n{SERVICE}")), "{}", out(&done));
    assert!(said(&done).contains(&format!("{b}: Service b")), "{}", said(&done));
}
