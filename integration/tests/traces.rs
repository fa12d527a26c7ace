//! Traces as a collector gets them, joined with those of services that trace themselves; collector and services are
//! OpenTelemetry's for Python.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use squall_integration::foreign::report;
use squall_integration::origin::Origin;
use squall_integration::programs::{Peer, Program, python};
use squall_integration::{Api, Authority, RawClient, Settings, Squall, eventually};

const SCRIPT: &str = "traces_peer.py";
const PATIENCE: Duration = Duration::from_secs(15);

/// Service A → Squall → Service B, and the collector of all three.
struct Scene {
    python: PathBuf,
    collector: Peer,
    service_b: Peer,
    squall: Squall,
}

impl Scene {
    fn new(service: &str, settings: fn(std::net::SocketAddr) -> Settings, variables: &[(&str, &str)]) -> Option<Self> {
        let python = python("traces")?;
        let collector = Peer::start(&python, SCRIPT);
        let service_b = Peer::start_as(&python, SCRIPT, &[service, &collector.address.to_string()]);
        let settings = settings(service_b.address).with("access_log: { file: access.log }");
        let endpoint = format!("http://{}", collector.address);
        let own = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "50")];
        let squall = Squall::start_under(&settings, &[&own, variables].concat(), &[]);
        Some(Self { python, collector, service_b, squall })
    }

    fn http(variables: &[(&str, &str)]) -> Option<Self> {
        Self::new("service", Settings::http, variables)
    }

    /// Service A calls B once, through Squall.
    fn call(&self, path: &str, form: &str) -> Value {
        let (collector, url) = (self.collector.address.to_string(), format!("http://{}{path}", self.squall.to_b()));
        report(&self.python, SCRIPT, &["call", &collector, &url, form])
    }

    fn spans(&self) -> Vec<Value> {
        serde_json::from_value(Api { address: self.collector.address }.json("/spans")).unwrap()
    }

    /// The spans of the only trace, once there are so many.
    fn trace(&self, n: usize) -> Vec<Value> {
        eventually(&format!("{n} spans"), PATIENCE, || {
            let spans = self.spans();
            assert!(spans.len() <= n, "{spans:#?}");
            (spans.len() == n).then_some(spans)
        })
    }

    fn access_log(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.squall.directory().join("access.log")).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

fn of<'a>(spans: &'a [Value], service: &str, kind: &str) -> &'a Value {
    let mut found = spans.iter().filter(|s| s["resource"]["service.name"] == service && s["kind"] == kind);
    let span = found.next().unwrap_or_else(|| panic!("no {kind} span of {service}: {spans:#?}"));
    assert!(found.next().is_none(), "two {kind} spans of {service}");
    span
}

/// Each span is the child of the one before it, and all are of one trace.
fn assert_chain(spans: &[&Value]) {
    for pair in spans.windows(2) {
        assert_eq!(pair[1]["parent"], pair[0]["span"], "{spans:#?}");
        assert_eq!(pair[1]["trace"], pair[0]["trace"]);
    }
    assert_eq!(spans[0]["parent"], "");
}

#[test]
fn a_call_is_one_trace_from_service_a_to_service_b() {
    let Some(scene) = Scene::http(&[]) else { return };
    let answer = scene.call("/items?token=secret", "tracecontext");
    let seen: Value = serde_json::from_str(answer["text"].as_str().unwrap()).unwrap();
    assert_eq!(seen["HTTP_TRACESTATE"], "vendor=1", "what other systems add goes through");

    let spans = scene.trace(4);
    let (a, b) = (of(&spans, "service-a", "CLIENT"), of(&spans, "service-b", "SERVER"));
    let (server, client) = (of(&spans, "squall", "SERVER"), of(&spans, "squall", "CLIENT"));
    assert_chain(&[a, server, client, b]);
    assert!(seen["HTTP_TRACEPARENT"].as_str().unwrap().contains(&format!("-{}-0", client["span"].as_str().unwrap())));

    for (span, name, expected) in [
        (server, "http.request.method", json!("GET")),
        (server, "http.response.status_code", json!(200)),
        (server, "url.scheme", json!("http")),
        (server, "url.path", json!("/items")),
        (server, "server.address", json!("127.0.0.1")),
        (server, "server.port", json!(scene.squall.to_b().port())),
        (server, "client.address", json!("127.0.0.1")),
        (server, "network.protocol.version", json!("1.1")),
        (server, "squall.listener", json!("to-b")),
        (server, "squall.cluster", json!("service-b")),
        (server, "squall.origin", json!("upstream")),
        (client, "http.request.method", json!("GET")),
        (client, "http.response.status_code", json!(200)),
        (client, "url.full", json!(format!("http://{}/items", scene.squall.to_b()))),
        (client, "network.peer.address", json!("127.0.0.1")),
        (client, "network.peer.port", json!(scene.service_b.address.port())),
    ] {
        assert_eq!(span["attributes"][name], expected, "{name} of {span:#}");
    }
    assert!(server["attributes"]["user_agent.original"].as_str().unwrap().contains("requests"));
    assert!(server["attributes"].get("fault.injected").is_none() && server["attributes"].get("error.type").is_none());
    assert_eq!((server["name"].as_str(), server["status"].as_u64()), (Some("GET"), Some(0)));
    assert_eq!(server["scope"], "squall");
    assert!(
        !spans.iter().any(|span| span["resource"]["service.name"] == "squall" && span.to_string().contains("secret"))
    );

    let line = eventually("the line of the call", PATIENCE, || scene.access_log().pop());
    assert_eq!((&line["trace_id"], &line["span_id"]), (&server["trace"], &server["span"]));
    assert!(!line.to_string().contains("secret"), "{line}");
}

#[test]
fn b3_goes_on_as_b3() {
    for form in ["b3", "b3multi"] {
        let Some(scene) = Scene::http(&[]) else { return };
        let seen: Value = serde_json::from_str(scene.call("/", form)["text"].as_str().unwrap()).unwrap();
        assert!(seen.get("HTTP_TRACEPARENT").is_none(), "{form}: {seen}");
        // B itself reads W3C alone, so that its span begins a trace of its own.
        let spans = scene.trace(4);
        let client = of(&spans, "squall", "CLIENT");
        assert_chain(&[of(&spans, "service-a", "CLIENT"), of(&spans, "squall", "SERVER"), client]);
        let (trace, span) = (client["trace"].as_str().unwrap(), client["span"].as_str().unwrap());
        let (parent, heard) =
            (client["parent"].as_str().unwrap(), |name: &str| seen[name].as_str().unwrap_or_default());
        if form == "b3" {
            assert_eq!(heard("HTTP_B3"), format!("{trace}-{span}-1-{parent}"));
        } else {
            let ids =
                ["HTTP_X_B3_TRACEID", "HTTP_X_B3_SPANID", "HTTP_X_B3_PARENTSPANID", "HTTP_X_B3_SAMPLED"].map(heard);
            assert_eq!(ids, [trace, span, parent, "1"]);
        }
    }
}

#[test]
fn a_fault_is_found_by_its_trace_and_says_rule_kind_and_latency() {
    let Some(scene) = Scene::http(&[]) else { return };
    scene.squall.api().rule("slow-b", &json!({"percentage": 100, "fault": {"delay": "300ms"}}));
    assert_eq!(scene.call("/", "tracecontext")["code"], "200");
    let spans = scene.trace(4);
    let (server, client) = (of(&spans, "squall", "SERVER"), of(&spans, "squall", "CLIENT"));
    let says = &server["attributes"];
    assert_eq!(
        (&says["fault.injected"], &says["fault.rule"], &says["fault.kind"]),
        (&json!(true), &json!("slow-b"), &json!("delay"))
    );
    assert_eq!(says["fault.latency.requested"], 0.3);
    let measured = says["fault.latency.measured"].as_f64().unwrap();
    assert!((0.3..2.0).contains(&measured), "{measured}");
    let event = &server["events"][0];
    assert_eq!((&event["name"], &event["attributes"]["fault.rule"]), (&json!("fault.applied"), &json!("slow-b")));
    assert!(server["start"].as_u64() <= event["time"].as_u64());
    assert!(server["seconds"].as_f64().unwrap() >= 0.3 && client["seconds"].as_f64().unwrap() < 0.3, "{spans:#?}");
    assert_eq!(server["status"], 0, "late is no error");
    let line = eventually("the line of the call", PATIENCE, || scene.access_log().pop());
    assert_eq!((&line["trace_id"], &line["faults"][0]["rule"]), (&server["trace"], &json!("slow-b")));
}

#[test]
fn one_faulted_request_is_found_by_its_trace_in_three_tools() {
    let Some(scene) = Scene::http(&[]) else { return };
    let api = scene.squall.api();
    let alerts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/prometheus/alerts.yaml").canonicalize().unwrap();
    let Some(prometheus) = Program::prometheus("traces", api.address, &alerts) else { return };
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    // Labels of metrics are a closed set, so that what a rule is called is what leads there.
    let rule = format!("trace-{trace}");
    let its_own = json!({"headers": {"traceparent": {"regex": format!("00-{trace}-.*")}}});
    api.rule(&rule, &json!({"match": its_own, "percentage": 100, "fault": {"delay": "300ms"}}));
    for id in [trace, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"] {
        let mut client = RawClient::connect(scene.squall.to_b());
        let request = format!("GET /x HTTP/1.1\r\nhost: b\r\ntraceparent: 00-{id}-00f067aa0ba902b7-01\r\n\r\n");
        assert_eq!(client.send(request).answer().status, 200);
    }

    let span = eventually("the span", PATIENCE, || {
        scene
            .spans()
            .into_iter()
            .find(|s| s["trace"] == trace && s["kind"] == "SERVER" && s["resource"]["service.name"] == "squall")
    });
    let says = &span["attributes"];
    assert_eq!((&says["fault.rule"], &says["fault.kind"]), (&json!(rule), &json!("delay")));
    let measured = says["fault.latency.measured"].as_f64().unwrap();
    assert!((0.3..2.0).contains(&measured), "{measured}");

    let line = eventually("the line", PATIENCE, || scene.access_log().into_iter().find(|l| l["trace_id"] == trace));
    assert_eq!((&line["span_id"], &line["faults"][0]["rule"]), (&span["span"], &json!(rule)));
    assert!((line["injected_latency_seconds"].as_f64().unwrap() - measured).abs() < 0.001, "{line}");

    let sum = format!("chaos_injected_network_latency_seconds_sum{{rule=~\".*{trace}\"}}");
    let in_prometheus = eventually("the metric", PATIENCE, || prometheus.ask(&sum).first().copied());
    assert!((in_prometheus - measured).abs() < 0.001, "{in_prometheus} and {measured}");
    let count = format!("chaos_injected_faults_total{{rule=~\".*{trace}\",kind=\"delay\"}}");
    assert_eq!(prometheus.ask(&count), [1.0], "the other trace met nothing");
}

#[test]
fn errors_are_told_apart_injected_upstreams_and_squalls_own() {
    let rule = |fault: Value| json!({"percentage": 100, "fault": fault});
    for (fault, code, kind) in
        [(json!({"abort": 503}), "503", "abort"), (json!({"reset": true}), "ConnectionError", "reset")]
    {
        let Some(scene) = Scene::http(&[]) else { return };
        scene.squall.api().rule("broken", &rule(fault));
        assert_eq!(scene.call("/", "tracecontext")["code"], code);
        // Nothing went upstream: no client span, and nothing of B.
        let spans = scene.trace(2);
        let server = of(&spans, "squall", "SERVER");
        assert_eq!(
            (server["status"].as_u64(), &server["attributes"]["error.type"]),
            (Some(2), &json!("fault_injected"))
        );
        assert_eq!(
            (&server["attributes"]["fault.kind"], &server["attributes"]["fault.injected"]),
            (&json!(kind), &json!(true))
        );
        assert_chain(&[of(&spans, "service-a", "CLIENT"), server]);
    }
    let Some(scene) = Scene::http(&[]) else { return };
    let Scene { service_b, squall, python, collector } = scene;
    drop(service_b);
    let url = format!("http://{}/", squall.to_b());
    assert_eq!(report(&python, SCRIPT, &["call", &collector.address.to_string(), &url, "tracecontext"])["code"], "502");
    let spans: Vec<Value> = eventually("three spans", PATIENCE, || {
        serde_json::from_value(Api { address: collector.address }.json("/spans"))
            .ok()
            .filter(|all: &Vec<_>| all.len() == 3)
    });
    for kind in ["SERVER", "CLIENT"] {
        let span = of(&spans, "squall", kind);
        let says = &span["attributes"];
        assert_eq!(
            (span["status"].as_u64(), &says["error.type"]),
            (Some(2), &json!("upstream_connect_refused")),
            "{span:#}"
        );
        assert!(says.get("fault.injected").is_none());
    }
}

#[test]
fn a_grpc_call_is_traced_as_one() {
    let Some(scene) = Scene::new("grpc-service", Settings::http2, &[]) else { return };
    let call = || {
        let (collector, target) = (scene.collector.address.to_string(), scene.squall.to_b().to_string());
        report(&scene.python, SCRIPT, &["grpc-call", &collector, &target])
    };
    assert_eq!(call()["code"], "OK");
    let spans = scene.trace(4);
    let (server, client) = (of(&spans, "squall", "SERVER"), of(&spans, "squall", "CLIENT"));
    assert_chain(&[of(&spans, "service-a", "CLIENT"), server, client, of(&spans, "service-b", "SERVER")]);
    for span in [server, client] {
        let says = &span["attributes"];
        assert_eq!(span["name"], "squall.test.Echo/Unary");
        assert_eq!(
            (&says["rpc.system.name"], &says["rpc.response.status_code"]),
            (&json!("grpc"), &json!("OK")),
            "{span:#}"
        );
        assert_eq!(says["network.protocol.version"], "2");
    }
    scene.squall.api().rule("r", &json!({"percentage": 100, "fault": {"abort": {"grpc_status": "UNAVAILABLE"}}}));
    assert_eq!(call()["code"], "UNAVAILABLE");
    let spans = scene.trace(6);
    let faulted = spans.iter().find(|span| span["attributes"]["fault.injected"] == true).unwrap();
    assert_eq!(
        (faulted["status"].as_u64(), &faulted["attributes"]["rpc.response.status_code"]),
        (Some(2), &json!("UNAVAILABLE"))
    );
}

#[test]
fn the_environment_names_service_and_headers_and_the_last_spans_leave_at_the_end() {
    let variables = [
        ("OTEL_SERVICE_NAME", "sidecar-of-a"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,team=a"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=one"),
        // Nothing leaves before the end.
        ("OTEL_BSP_SCHEDULE_DELAY", "3600000"),
    ];
    let Some(mut scene) = Scene::http(&variables) else { return };
    assert_eq!(RawClient::connect(scene.squall.to_b()).get("/").status, 200);
    assert!(scene.spans().iter().all(|span| span["scope"] != "squall"));
    scene.squall.signal("TERM");
    assert!(scene.squall.wait(PATIENCE).success());
    let spans = scene.spans();
    let server = of(&spans, "sidecar-of-a", "SERVER");
    assert_eq!(
        (&server["resource"]["team"], &server["headers"]["x-tenant"]),
        (&json!("a"), &json!("one")),
        "{server:#}"
    );
    assert_eq!(server["parent"], "", "without a caller's a trace begins here");
    assert!(!scene.squall.said().contains("x-tenant"), "headers may hold a password");
}

#[test]
fn what_is_not_sampled_goes_through_untouched() {
    let fields =
        "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00\r\ntracestate: a=1,b=2\r\nbaggage: c=3";
    for (sampler, sent) in
        [("parentbased_always_on", fields), ("always_off", fields), ("parentbased_always_off", "x: 1")]
    {
        let Some(scene) = Scene::http(&[("OTEL_TRACES_SAMPLER", sampler)]) else { return };
        let mut client = RawClient::connect(scene.squall.to_b());
        let answer = client.send(format!("GET / HTTP/1.1\r\nhost: b\r\n{sent}\r\n\r\n")).answer();
        let seen = answer.json();
        for field in sent.lines() {
            let (name, value) = field.split_once(": ").unwrap();
            assert_eq!(seen[format!("HTTP_{}", name.to_uppercase())], value, "{sampler}");
        }
        assert_eq!(seen.get("HTTP_TRACEPARENT").is_some(), sent == fields, "{sampler}");
        let line = eventually("the line of the call", PATIENCE, || scene.access_log().pop());
        assert!(line.get("span_id").is_none(), "{line}");
        assert_eq!(
            line.get("trace_id").and_then(Value::as_str),
            (sent == fields).then_some("4bf92f3577b34da6a3ce929d0e0e4736")
        );
        // With what a sampled one brings, it would be there by now.
        let sampled = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4737-00f067aa0ba902b7-01";
        client.send(format!("GET / HTTP/1.1\r\nhost: b\r\n{sampled}\r\n\r\n")).answer();
        if sampler.starts_with("parentbased") {
            eventually("the sampled call", PATIENCE, || {
                let mut of_squall = scene.spans().into_iter().filter(|span| span["scope"] == "squall");
                of_squall.next().map(|span| assert_eq!(span["trace"], "4bf92f3577b34da6a3ce929d0e0e4737"))
            });
        }
    }
}

#[test]
fn only_the_chosen_forms_count() {
    let Some(scene) = Scene::http(&[("OTEL_PROPAGATORS", "b3multi")]) else { return };
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut client = RawClient::connect(scene.squall.to_b());
    let seen = client.send(format!("GET / HTTP/1.1\r\nhost: b\r\ntraceparent: {parent}\r\n\r\n")).answer().json();
    assert_eq!(seen["HTTP_TRACEPARENT"], parent);
    assert!(
        seen["HTTP_X_B3_TRACEID"].is_string() && seen["HTTP_X_B3_TRACEID"] != "4bf92f3577b34da6a3ce929d0e0e4736",
        "{seen}"
    );
}

#[test]
fn a_collector_behind_tls_is_known_by_its_authority() {
    let Some(python) = python("traces") else { return };
    let (authority, stranger, origin) = (Authority::new(), Authority::new(), Origin::ok());
    authority.issue("collector");
    let files = ["collector.crt", "collector.key"].map(|name| authority.file(name));
    let collector = Peer::start_as(&python, SCRIPT, &["serve", &files[0], &files[1]]);
    let endpoint = format!("https://localhost:{}", collector.address.port());
    for (ca, result) in [(&authority, "exported"), (&stranger, "failed")] {
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", &ca.file("ca.crt")),
            ("OTEL_BSP_SCHEDULE_DELAY", "20"),
        ];
        let squall = Squall::start_under(&Settings::http(origin.address), &variables, &[]);
        RawClient::connect(squall.to_b()).get("/");
        let count = || squall.api().metrics().sum("squall_trace_spans_total", &[("result", result)]);
        eventually(result, PATIENCE, || (count() > 0.0).then_some(()));
    }
}

/// Only a binary with the feature `otlp-grpc` speaks it; others say so.
#[test]
fn a_collector_of_grpc_gets_the_same() {
    let Some(python) = python("traces") else { return };
    let (collector, origin) = (Peer::start(&python, SCRIPT), Origin::ok());
    let api = Api { address: collector.address };
    let endpoint = format!("http://127.0.0.1:{}", api.json("/grpc"));
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=one"),
        ("OTEL_BSP_SCHEDULE_DELAY", "20"),
    ];
    // No machine has this address: the process ends at once, either way.
    let mut command =
        squall_integration::squall::command(&["run", "--upstream", "http://127.0.0.1:9", "--listen", "192.0.2.1:1"]);
    let said = command.envs(variables).output().unwrap();
    if String::from_utf8_lossy(&said.stderr).contains("this build has no gRPC") {
        assert_eq!(said.status.code(), Some(2));
        let _ = writeln!(std::io::stderr(), "left out: traces over gRPC need a binary with --features otlp-grpc");
        return;
    }
    let squall = Squall::start_under(&Settings::http(origin.address), &variables, &[]);
    RawClient::connect(squall.to_b()).get("/");
    let spans: Vec<Value> = eventually("two spans", PATIENCE, || {
        serde_json::from_value(api.json("/spans")).ok().filter(|spans: &Vec<Value>| spans.len() == 2)
    });
    assert_eq!(of(&spans, "squall", "SERVER")["headers"]["x-tenant"], "one");
}
