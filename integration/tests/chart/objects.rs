//! What is in the objects.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use squall_integration::programs::python;

use crate::{find, objects, peer, root, stdout};

fn pod(objects: &[Value]) -> &Value {
    &find(objects, "Deployment")["spec"]["template"]["spec"]
}

#[test]
fn the_pod_may_do_as_little_as_it_can() {
    let Some(python) = python("chart: the pod") else { return };
    let objects = objects(&python, &json!({}));
    let (pod, container) = (pod(&objects), &pod(&objects)["containers"][0]);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(
        container["securityContext"],
        json!({
            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] },
        })
    );
    assert!(container["resources"]["limits"]["memory"].is_string());
    let image = container["image"].as_str().unwrap();
    assert!(!image.ends_with(":latest") && image.contains(':'), "{image}");
}

/// Everything that it may ask of the API server, and nothing of it where nothing is asked.
#[test]
fn its_rights_are_those_that_it_uses() {
    let Some(python) = python("chart: rights") else { return };
    let all = objects(&python, &json!({}));
    let mut rights = Vec::new();
    for role in all.iter().filter(|object| ["Role", "ClusterRole"].contains(&object["kind"].as_str().unwrap())) {
        for rule in role["rules"].as_array().unwrap() {
            let words = |name: &str| {
                let all = rule[name].as_array().into_iter().flatten();
                all.map(|word| word.as_str().unwrap()).collect::<Vec<_>>().join(",")
            };
            rights.push(format!(
                "{} {} {} [{}]",
                role["kind"].as_str().unwrap(),
                words("resources"),
                words("verbs"),
                words("resourceNames")
            ));
        }
    }
    assert_eq!(
        rights,
        [
            "ClusterRole tokenreviews create []",
            "ClusterRole faultrules,experiments,clusterhalts get,list,watch []",
            "ClusterRole faultrules/status,experiments/status,clusterhalts/status patch []",
            "ClusterRole events create,patch []",
            "ClusterRole mutatingwebhookconfigurations,validatingwebhookconfigurations get,patch [squall]",
            "Role secrets create []",
            "Role secrets get,update [squall-tls]",
        ]
    );
    let given = json!({ "controller": { "enabled": false }, "certificates": { "mode": "given", "given": { "secret": "tls", "caBundle": "x" } } });
    let alone = objects(&python, &given);
    assert!(alone.iter().all(|object| !object["apiVersion"].as_str().unwrap().starts_with("rbac")));
    assert_eq!(pod(&alone)["automountServiceAccountToken"], false);
}

/// The names that are called and the names that certificates are for.
#[test]
fn service_certificate_and_webhooks_are_of_one_name() {
    let Some(python) = python("chart: names") else { return };
    for (name, values) in [
        ("squall", json!({ "certificates": { "mode": "cert-manager" } })),
        ("faults", json!({ "certificates": { "mode": "cert-manager" }, "fullnameOverride": "faults" })),
    ] {
        let objects = objects(&python, &values);
        assert_eq!(find(&objects, "Service")["metadata"]["name"], name);
        for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
            let webhooks = find(&objects, kind);
            assert_eq!(webhooks["webhooks"][0]["clientConfig"]["service"]["name"], name);
            let from = webhooks["metadata"]["annotations"]["cert-manager.io/inject-ca-from"].as_str().unwrap();
            assert_eq!(from, format!("squall-system/{name}"));
        }
        let is_own = |object: &&Value| object["kind"] == "Certificate" && object["metadata"]["name"] == name;
        let certificate = objects.iter().find(is_own).unwrap();
        assert_eq!(certificate["spec"]["dnsNames"][0], format!("{name}.squall-system.svc"));
        let volume = &pod(&objects)["volumes"][0]["secret"]["secretName"];
        assert_eq!(&certificate["spec"]["secretName"], volume);
        let arguments = pod(&objects)["containers"][0]["args"].as_array().unwrap();
        assert!(arguments.contains(&json!(format!("--service={name}"))));
    }
}

#[test]
fn alerts_and_dashboard_are_those_of_the_folders_beside() {
    let Some(python) = python("chart: alerts and dashboard") else { return };
    let values = json!({ "monitoring": { "prometheusRule": { "enabled": true }, "dashboard": { "enabled": true } } });
    let objects = objects(&python, &values);
    let read = |name: &str| std::fs::read_to_string(root().join("deploy").join(name)).unwrap();
    let alerts = peer(&python, "kubernetes_peer.py", &["validate"], &read("prometheus/alerts.yaml"));
    let alerts: Vec<Value> = serde_json::from_str(stdout(&alerts)).unwrap();
    assert_eq!(find(&objects, "PrometheusRule")["spec"], alerts[0]);
    let dashboard = find(&objects, "ConfigMap")["data"]["squall.json"].as_str().unwrap();
    assert_eq!(dashboard.trim_end(), read("grafana/squall.json").trim_end());
}

/// Of a chart without the controller: each argument is one that the binary takes.
#[test]
fn the_binary_takes_what_the_chart_gives_it() {
    let binary = std::env::var_os("SQUALL_KUBERNETES_BIN")
        .map_or_else(|| root().join("target/debug/squall-kubernetes"), PathBuf::from);
    let Some(python) = python("chart: arguments") else { return };
    let of_injection = json!({ "skip-subnets": "10.96.0.0/12", "log-level": "debug" });
    for certificates in [json!({}), json!({ "mode": "given", "given": { "secret": "tls", "caBundle": "x" } })] {
        let values = json!({ "controller": { "enabled": false }, "injection": { "defaults": of_injection }, "certificates": certificates });
        let objects = objects(&python, &values);
        let arguments = pod(&objects)["containers"][0]["args"].as_array().unwrap();
        let arguments: Vec<&str> = arguments.iter().map(|argument| argument.as_str().unwrap()).collect();
        // Help comes last, so everything before it was understood.
        let done = Command::new(&binary).args(&arguments).arg("--help").output().unwrap();
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        let wrong = Command::new(&binary).args(&arguments).args(["--no-such-flag", "--help"]).output().unwrap();
        assert!(!wrong.status.success(), "help would hide what is wrong");
    }
}
