//! The control API over real sockets: every call, good and bad.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use squall_config::model::{Config, ControlAddress, Name};
use squall_config::{Problems, load_text};
use squall_control::{
    Access, App, AppOptions, Control, ControlOptions, DataPlane, Start, Web, WebFuture, WebRequest, start,
};
use squall_fault::store::SnapshotStore;
use squall_fault::{Stamp, compile};
use squall_telemetry::{CertificateStatus, EndpointStatus};

const FILE: &str = "version: 1
listeners: [{name: to-b, address: 127.0.0.1:0, cluster: b}]
clusters: [{name: b, endpoints: ['127.0.0.1:9000']}]
rules: [{name: slow, percentage: 5, fault: {delay: 2s}}]
";

struct NoPlane;

impl DataPlane for NoPlane {
    fn prepare(&self, _: &Config) -> Result<Box<dyn FnOnce() + Send>, Problems> {
        Ok(Box::new(|| ()))
    }
    fn listener_addresses(&self) -> Vec<(Name, SocketAddr)> {
        Vec::new()
    }
    fn endpoints(&self) -> Vec<(Name, Vec<EndpointStatus>)> {
        Vec::new()
    }

    fn metrics_text(&self) -> String {
        "squall_up 1\n".to_owned()
    }
    fn files(&self) -> Vec<std::path::PathBuf> {
        Vec::new()
    }

    fn reload_files(&self) {}

    fn certificates(&self) -> Vec<CertificateStatus> {
        Vec::new()
    }

    fn is_ready(&self) -> bool {
        true
    }
}

struct NoWeb;

impl Web for NoWeb {
    fn ask(&self, _: WebRequest) -> WebFuture {
        Box::pin(std::future::ready(Err("nobody is asked".to_owned())))
    }
}

struct Api {
    control: Control,
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }
}

impl Api {
    fn start() -> Self {
        let (document, config) = load_text(FILE).unwrap();
        let begin = Start::fresh(document, config);
        let store = SnapshotStore::new(compile(Arc::clone(begin.config()), None, Stamp::first(7)));
        let data_plane = Arc::new(NoPlane);
        let app = App::new(AppOptions {
            store,
            start: begin,
            file: None,
            overlay: None,
            seed: 7,
            data_plane,
            access: Access::default(),
        });
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let options = ControlOptions {
            app,
            address: ControlAddress::Tcp(address),
            tls: None,
            telemetry: None,
            toxiproxy: None,
            web: Arc::new(NoWeb),
            controller: None,
            watch: false,
        };
        Self { control: start(options).unwrap() }
    }

    fn address(&self) -> SocketAddr {
        self.control.address().tcp().unwrap()
    }

    fn call(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let address = self.address();
        let host = if headers.contains("Host:") { String::new() } else { format!("Host: {address}\r\n") };
        let length = body.len();
        let text = format!(
            "{method} {path} HTTP/1.1\r\n{host}{headers}Connection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        exchange(address, &text)
    }
}

fn exchange(address: SocketAddr, text: &str) -> Answer {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket.write_all(text.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    Answer { status: head[9..12].parse().unwrap(), head: head.to_lowercase(), body: body.to_owned() }
}

const RULE: &str = r#"{"percentage":1,"fault":{"abort":503}}"#;

#[test]
fn test_every_call_answers_as_documented() {
    let api = Api::start();
    let config = api.call("GET", "/v1/config", "", "").body;
    let huge = format!("[{}]", "1,".repeat(3 << 20));
    // Method, path, headers, body, expected status; in order, on one server.
    let table = [
        ("GET", "/v1/rules", "", "", 200),
        ("GET", "/v1/rules/slow", "", "", 200),
        ("GET", "/v1/rules/none", "", "", 404),
        ("PUT", "/v1/rules/x", "", RULE, 201),
        ("PUT", "/v1/rules/x", "", RULE, 200),
        ("PUT", "/v1/rules/x", "", "{percentage", 400),
        ("PUT", "/v1/rules/x", "", "", 400),
        ("PUT", "/v1/rules/x", "", "{}", 422),
        ("PUT", "/v1/rules/x", "", r#"{"name":"y","percentage":1,"fault":{"abort":503}}"#, 422),
        ("PUT", "/v1/rules/Bad!", "", RULE, 422),
        ("PUT", "/v1/rules/x", "If-Match: \"99\"\r\n", RULE, 412),
        ("PUT", "/v1/rules/x", "If-Match: seven\r\n", RULE, 400),
        ("PUT", "/v1/rules/x", "If-Match: *\r\n", RULE, 200),
        ("PUT", "/v1/rules/x?dryrun=true", "", RULE, 400),
        ("PUT", "/v1/rules/x", "Host: evil.example\r\n", RULE, 403),
        ("PUT", "/v1/rules/x", "Origin: http://evil.example\r\n", RULE, 403),
        ("PUT", "/v1/rules", "", huge.as_str(), 413),
        ("PATCH", "/v1/rules/x", "", r#"{"percentage":50}"#, 200),
        ("PATCH", "/v1/rules/x", "", r#"{"percentage":500}"#, 422),
        ("PATCH", "/v1/rules/x", "", "nonsense", 400),
        ("PATCH", "/v1/rules/none", "", "{}", 404),
        ("DELETE", "/v1/rules/x?dry_run=true", "", "", 204),
        ("DELETE", "/v1/rules/x", "", "", 204),
        ("DELETE", "/v1/rules/x", "", "", 404),
        ("PUT", "/v1/rules", "", "[]", 200),
        ("PUT", "/v1/rules", "", "{}", 422),
        ("PUT", "/v1/config", "", config.as_str(), 200),
        ("PUT", "/v1/config", "", "{}", 422),
        ("PUT", "/v1/config", "", "version: 1", 400),
        ("POST", "/v1/halt", "", r#"{"reason":"enough"}"#, 200),
        ("POST", "/v1/halt", "", r#"{"why":"enough"}"#, 422),
        ("POST", "/v1/halt", "", "{", 400),
        ("POST", "/v1/resume", "", "", 200),
        ("GET", "/v1/halt", "", "", 405),
        ("POST", "/v1/status", "", "", 405),
        ("GET", "/v1/status", "", "", 200),
        ("GET", "/metrics", "", "", 200),
        ("GET", "/livez", "Host: probe.example\r\n", "", 200),
        ("GET", "/readyz", "", "", 200),
        ("GET", "/openapi.json", "", "", 200),
        ("GET", "/nothing", "", "", 404),
    ];
    let document = api.call("GET", "/openapi.json", "", "").json();
    for (method, path, headers, body, expected) in table {
        let answer = api.call(method, path, headers, body);
        assert_eq!(
            answer.status,
            expected,
            "{method} {path} {headers} {}: {}",
            &body[..body.len().min(80)],
            answer.body
        );
        check_documented(&document, method, path, &answer);
    }
}

fn check_documented(document: &Value, method: &str, path: &str, answer: &Answer) {
    if answer.status >= 400 {
        assert!(answer.head.contains("content-type: application/problem+json"), "{}", answer.head);
        assert!(!answer.json()["errors"].as_array().unwrap().is_empty());
    }
    let path = path.split('?').next().unwrap();
    let template = if path.starts_with("/v1/rules/") { "/v1/rules/{name}" } else { path };
    let operation = &document["paths"][template][method.to_lowercase()];
    if operation.is_null() {
        assert!(matches!(answer.status, 404 | 405));
        assert_eq!(answer.status == 405, answer.head.contains("allow: "));
    } else {
        let status = answer.status.to_string();
        assert!(operation["responses"][&status].is_object(), "{method} {path}: {status} is not documented");
    }
}

#[test]
fn test_what_was_got_can_be_put_back() {
    let api = Api::start();
    api.call("PUT", "/v1/rules/x", "", RULE);
    let got = api.call("GET", "/v1/rules/x", "", "");
    assert!(got.head.contains("etag: \"2\"") && got.body.ends_with("}\n"));
    assert_eq!(got.json()["status"]["unit"], "request");
    assert_eq!(got.json()["status"]["origin"], "api");
    assert!(got.json()["status"]["expires_at"].is_string());
    let put = api.call("PUT", "/v1/rules/x", "If-Match: \"2\"\r\n", &got.body);
    assert_eq!((put.status, put.json()["percentage"].clone()), (200, json!(1)));
    let all = api.call("GET", "/v1/rules", "", "");
    let put = api.call("PUT", "/v1/rules", "", &all.body);
    assert_eq!((put.status, put.json()["generation"].clone()), (200, json!(2)), "{}", put.body);
}

#[test]
fn test_problems_are_relative_to_the_rule() {
    let api = Api::start();
    let answer = api.call("PUT", "/v1/rules/x", "", r#"{"percentage":101,"fault":{"delay":"9h"}}"#);
    let paths: Vec<_> = answer.json()["errors"].as_array().unwrap().iter().map(|e| e["path"].clone()).collect();
    assert!(paths.contains(&json!("percentage")) && paths.iter().all(|p| !p.as_str().unwrap().contains("rules[")));
    let answer = api.call("PUT", "/v1/rules/x", "", "{\n  \"percentage\": }");
    assert_eq!(answer.json()["errors"][0]["line"], 2);
}

#[test]
fn test_ttl_ends_a_rule_and_subscribers_hear_of_it() {
    let api = Api::start();
    let mut socket = TcpStream::connect(api.address()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket.write_all(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut seen = String::new();
    read_until(&mut socket, &mut seen, "generation 1");
    api.call("PUT", "/v1/rules/x", "", r#"{"percentage":1,"ttl":"200ms","fault":{"abort":503}}"#);
    read_until(&mut socket, &mut seen, "event: rule");
    read_until(&mut socket, &mut seen, "event: expired");
    assert_eq!(api.call("GET", "/v1/rules/x", "", "").status, 404);
    let before = Instant::now();
    api.control.shutdown();
    assert!(before.elapsed() < Duration::from_secs(2), "streams end at shutdown");
}

fn read_until(socket: &mut TcpStream, seen: &mut String, wanted: &str) {
    let mut buffer = [0; 1024];
    while !seen.contains(wanted) {
        let n = socket.read(&mut buffer).unwrap();
        assert!(n > 0, "ended before {wanted}: {seen}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..n]));
    }
}
