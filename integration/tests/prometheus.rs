//! What a real Prometheus makes of the metrics, of the alert rules and of the dashboard in `deploy/`.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use serde_json::{Value, json};
use squall_integration::certs::{TlsClient, TlsOptions};
use squall_integration::echo::Echo;
use squall_integration::origin::refusing;
use squall_integration::programs::{Program, find};
use squall_integration::{Api, Authority, RawClient, Settings, Squall, eventually};

const PATIENCE: Duration = Duration::from_secs(30);

fn deployed(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(file).canonicalize().unwrap()
}

/// Everything that has metrics: TLS, ejection, caps, traces that nobody takes, a guard, a lease, and two rules.
struct Scene {
    squall: Squall,
    authority: Authority,
    _echo: Echo,
}

impl Scene {
    fn new() -> Self {
        let (echo, authority) = (Echo::http1(), Authority::new());
        authority.issue("squall");
        let caps = "ejection: { consecutive_failures: 50 }\nrequests_max: 100";
        let settings = Settings::new()
            .listener("to-b", "http", "service-b")
            .listener_with("tls", "http", "service-b", &authority.listener("squall"))
            .cluster_with("service-b", "http1", &[echo.address], caps)
            .with("guards: [{name: queue, condition: {metric: in_flight, above: 1000, for: 1m}}]");
        let traces = format!("http://{}", refusing());
        let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", traces.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "100")];
        let squall = Squall::start_under(&settings, &variables, &[]);
        assert_eq!(squall.api().put("/v1/lease", r#"{"holder": "test", "ttl": "1h"}"#).status, 200);
        squall.api().rule("slow", &json!({"percentage": 50, "fault": {"delay": "2ms"}}));
        squall.api().rule("broken", &json!({"percentage": 10, "fault": {"abort": 503}}));
        Self { squall, authority, _echo: echo }
    }

    fn requests(&self) {
        let mut client = RawClient::connect(self.squall.to_b());
        for _ in 0..20 {
            client.get("/echo");
        }
        let mut client =
            TlsClient::connect(self.squall.address("tls"), &self.authority, &TlsOptions::default()).unwrap();
        client.get("/echo").unwrap();
    }
}

fn promtool(arguments: &[&str], input: &str) {
    let program = find("promtool", "promtool");
    let Some(program) = program else { return };
    let mut command = Command::new(program);
    let pipes = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&said));
}

#[test]
fn promtool_has_nothing_against_the_metrics() {
    let scene = Scene::new();
    scene.requests();
    promtool(&["check", "metrics"], &scene.squall.api().get("/metrics").text());
}

#[test]
fn promtool_has_nothing_against_the_alerts_and_they_fire_when_they_should() {
    promtool(&["check", "rules", deployed("prometheus/alerts.yaml").to_str().unwrap()], "");
    promtool(&["test", "rules", deployed("prometheus/alerts_test.yaml").to_str().unwrap()], "");
}

/// Metrics of Squall that an expression speaks of, without the endings of a histogram's series.
fn metrics_in(expression: &str) -> BTreeSet<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = expression.split(|c| !is_part(c)).filter(|w| w.starts_with("squall_") || w.starts_with("chaos_"));
    words.map(|word| word.trim_end_matches("_bucket")).collect()
}

fn dashboard() -> Value {
    serde_json::from_str(&std::fs::read_to_string(deployed("grafana/squall.json")).unwrap()).unwrap()
}

/// (title, expression) of all that the dashboard asks for, with Grafana's variables filled in.
fn questions(dashboard: &Value) -> Vec<(String, String)> {
    let filled = |expression: &str| {
        let filled = expression.replace("$__rate_interval", "5s").replace("$job", ".*").replace("$instance", ".*");
        assert!(!filled.contains('$'), "{filled}");
        filled
    };
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| {
        let title = panel["title"].as_str().unwrap();
        panel["targets"].as_array().into_iter().flatten().map(move |target| (title, &target["expr"]))
    });
    let annotations = dashboard["annotations"]["list"].as_array().unwrap().iter();
    let all = targets.chain(annotations.map(|annotation| ("annotation", &annotation["expr"])));
    all.map(|(title, expression)| (title.to_owned(), filled(expression.as_str().unwrap()))).collect()
}

#[test]
fn a_real_prometheus_fills_every_panel_and_evaluates_every_alert() {
    let scene = Scene::new();
    let (target, rules) = (scene.squall.api().address, deployed("prometheus/alerts.yaml"));
    let Some(prometheus) = Program::prometheus("prometheus", target, &rules) else { return };
    let api = Api { address: prometheus.address };
    eventually("Prometheus is ready", PATIENCE, || (api.get("/-/ready").status == 200).then_some(()));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Relaxed) {
                scene.requests();
            }
        });
        let end = End(&is_over);
        eventually("scrapes", PATIENCE, || (prometheus.ask("up{job=\"squall\"}") == [1.0]).then_some(()));
        for (title, expression) in questions(&dashboard()) {
            if title == "annotation" {
                prometheus.ask(&expression);
                continue;
            }
            eventually(&format!("data for {title:?}: {expression}"), PATIENCE, || {
                prometheus.ask(&expression).iter().any(|value| value.is_finite()).then_some(())
            });
        }
        let share = "sum(rate(chaos_injected_faults_total{rule=\"slow\"}[5s])) / sum(rate(chaos_rule_matched_total{rule=\"slow\"}[5s]))";
        let share = prometheus.ask(share);
        assert!(share.len() == 1 && (0.3..0.7).contains(&share[0]), "about half of the requests: {share:?}");
        alerts_are_well(&scene, &prometheus);
        drop(end);
    });
}

/// Ends the load, also when something is not as it should be.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

fn alerts_are_well(scene: &Scene, prometheus: &Program) {
    let rules = eventually("every alert is evaluated", PATIENCE, || {
        let answer = Api { address: prometheus.address }.json("/api/v1/rules");
        let groups = answer["data"]["groups"].as_array()?.clone();
        let rules: Vec<Value> =
            groups.iter().flat_map(|g| g["rules"].as_array().cloned().unwrap_or_default()).collect();
        rules.iter().all(|rule| rule["health"] != "unknown").then_some(rules)
    });
    let exposition = scene.squall.api().metrics();
    for rule in &rules {
        assert_eq!(rule["health"], "ok", "{rule:#}");
        for metric in metrics_in(rule["query"].as_str().unwrap()) {
            assert!(exposition.kinds.contains_key(metric), "{metric} of {} is no metric of Squall", rule["name"]);
        }
    }
    assert!(rules.len() >= 12);
    // The spans that nobody takes, and the rules that inject, are on their way to an alert.
    for alert in ["SquallSpansLost", "SquallFaultsForLong"] {
        eventually(alert, PATIENCE, || {
            (!prometheus.ask(&format!("ALERTS{{alertname=\"{alert}\"}}")).is_empty()).then_some(())
        });
    }
}

#[test]
fn the_dashboard_is_one_that_grafana_can_load() {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "ids are unique");
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty() && !panel["title"].as_str().unwrap().is_empty(), "{panel:#}");
        assert!(targets.iter().all(|target| target["datasource"]["uid"] == "${datasource}"), "{panel:#}");
        let place = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(place("x") + place("w") <= 24, "{panel:#}");
    }
    // What nobody sees is missed by nobody: each family is in a panel or in an alert.
    let mut seen: BTreeSet<String> =
        questions(&dashboard).iter().flat_map(|(_, e)| metrics_in(e)).map(str::to_owned).collect();
    let alerts = std::fs::read_to_string(deployed("prometheus/alerts.yaml")).unwrap();
    seen.extend(metrics_in(&alerts).into_iter().map(str::to_owned));
    let scene = Scene::new();
    scene.requests();
    let spared = ["squall_worker_connections", "squall_worker_handovers_total"];
    for family in scene.squall.api().metrics().kinds.keys().filter(|name| metrics_in(name).len() == 1) {
        assert!(seen.contains(family) || spared.contains(&&**family), "{family} is in no panel and no alert");
    }
}
