//! What spans say of exchanges, from a proxy in this process.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry::Value;
use opentelemetry::trace::{SpanId, SpanKind, Status};
use opentelemetry_sdk::trace::SpanData;
use squall_fault::store::SnapshotStore;
use squall_proxy::{FinishedSpans, Propagation, Proxy, ProxyOptions, Sampler, Traces, span_queue};

/// Answers one connection with these bytes as soon as a head is there, and closes it.
fn origin(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
        while !seen.windows(4).any(|w| w == b"\r\n\r\n") {
            let n = stream.read(&mut buffer).unwrap();
            seen.extend_from_slice(&buffer[..n]);
        }
        stream.write_all(answer.as_bytes()).unwrap();
    });
    address
}

/// Nobody listens there.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// The spans of one exchange: that towards downstream, and that towards the upstream if there is one.
fn spans(origin: SocketAddr, rules: &str, request: &str) -> (SpanData, Option<SpanData>) {
    let text = format!(
        "version: 1\nlisteners:\n  - {{ name: in, address: '127.0.0.1:0', protocol: http, cluster: b }}\n\
         clusters:\n  - {{ name: b, endpoints: ['{origin}'] }}\n{rules}"
    );
    let config = Arc::new(squall_config::load_text(&text).unwrap().1);
    let store = SnapshotStore::new(squall_fault::compile(Arc::clone(&config), None, squall_fault::Stamp::first(7)));
    let (queue, mut finished) = span_queue(8, 8);
    let traces = Traces { sampler: Sampler::new(1.0, true), propagation: Propagation::default(), queue };
    let proxy = Proxy::start(store, ProxyOptions { workers: 1, traces: Some(traces) }).unwrap();
    proxy.apply(proxy.bind(&config).unwrap());
    let mut stream = TcpStream::connect(proxy.addresses()[0].1).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    // Whether an answer comes or a reset: the spans are there after it.
    let _ = stream.read(&mut [0; 4096]);
    let mut all = wait(&mut finished);
    assert!(proxy.drain(Duration::from_secs(2)).finished);
    assert!(all.len() <= 2, "{all:#?}");
    let server = all.iter().position(|span| span.span_kind == SpanKind::Server).unwrap();
    let server = all.remove(server);
    let client = all.pop();
    if let Some(client) = &client {
        assert_eq!(
            (client.span_kind.clone(), client.parent_span_id),
            (SpanKind::Client, server.span_context.span_id())
        );
        assert_eq!(client.span_context.trace_id(), server.span_context.trace_id());
        assert!(server.start_time <= client.start_time && client.end_time <= server.end_time);
    }
    (server, client)
}

#[expect(clippy::disallowed_methods, reason = "a worker hands spans over; there is nothing to wait on")]
fn wait(finished: &mut FinishedSpans) -> Vec<SpanData> {
    let end = Instant::now() + Duration::from_secs(5);
    loop {
        let spans = finished.take();
        if !spans.is_empty() {
            return spans;
        }
        assert!(Instant::now() < end, "no spans");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn says(span: &SpanData, name: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == name);
    found.map(|attribute| match &attribute.value {
        Value::String(text) => text.as_str().to_owned(),
        other => other.to_string(),
    })
}

fn is_error(span: &SpanData) -> bool {
    matches!(span.status, Status::Error { .. })
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const GET: &str = "GET /x?token=secret HTTP/1.1\r\nhost: b.example:81\r\nuser-agent: me\r\n\r\n";

#[test]
fn spans_say_what_was_asked_and_answered_without_the_query() {
    let (server, client) = spans(origin(OK), "", GET);
    let client = client.unwrap();
    for (name, expected) in [
        ("http.request.method", Some("GET")),
        ("url.scheme", Some("http")),
        ("url.path", Some("/x")),
        ("url.query", None),
        ("server.address", Some("b.example")),
        ("server.port", Some("81")),
        ("client.address", Some("127.0.0.1")),
        ("user_agent.original", Some("me")),
        ("network.protocol.version", Some("1.1")),
        ("http.response.status_code", Some("200")),
        ("squall.listener", Some("in")),
        ("squall.direction", Some("outbound")),
        ("squall.origin", Some("upstream")),
        ("error.type", None),
        ("fault.injected", None),
    ] {
        assert_eq!(says(&server, name).as_deref(), expected, "{name}");
    }
    assert_eq!((&*server.name, server.parent_span_id, server.status.clone()), ("GET", SpanId::INVALID, Status::Unset));
    assert_eq!(says(&client, "url.full").as_deref(), Some("http://b.example:81/x"));
    assert_eq!(client.status, Status::Unset);
    assert!(!format!("{server:?}{client:?}").contains("secret"));
}

#[test]
fn odd_methods_and_old_versions_are_told() {
    let (server, _) = spans(origin(OK), "", "BREW / HTTP/1.0\r\nhost: b\r\n\r\n");
    assert_eq!(&*server.name, "HTTP");
    assert_eq!(says(&server, "http.request.method").as_deref(), Some("_OTHER"));
    assert_eq!(says(&server, "http.request.method_original").as_deref(), Some("BREW"));
    assert_eq!(says(&server, "network.protocol.version").as_deref(), Some("1.0"));
    assert_eq!(says(&server, "server.port").as_deref(), Some("80"));
}

/// A client's mistake is an error for who made it, a server's for both (HTTP conventions, "Status").
#[test]
fn statuses_are_errors_for_whom_they_concern() {
    for (answer, server_error, client_error) in [
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", None, Some("404")),
        ("HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n", Some("500"), Some("500")),
        ("nonsense\r\n\r\n", Some("upstream_malformed_response"), Some("upstream_malformed_response")),
    ] {
        let (server, client) = spans(origin(answer), "", GET);
        for (span, expected) in [(&server, server_error), (&client.unwrap(), client_error)] {
            assert_eq!(
                (says(span, "error.type").as_deref(), is_error(span)),
                (expected, expected.is_some()),
                "{answer}"
            );
        }
    }
    let (server, client) = spans(nobody(), "", GET);
    for span in [&server, &client.unwrap()] {
        assert_eq!(says(span, "error.type").as_deref(), Some("upstream_connect_refused"));
    }
}

#[test]
fn an_answer_in_the_upstreams_place_has_no_span_towards_it() {
    let rules = "rules: [{ name: q, percentage: 100, fault: { delay: 5ms } }, { name: r, percentage: 100, fault: { abort: 503 } }]";
    let (server, client) = spans(nobody(), rules, GET);
    assert!(client.is_none() && is_error(&server));
    for (name, expected) in [
        ("error.type", "fault_injected"),
        ("fault.injected", "true"),
        ("fault.rule", "q,r"),
        ("fault.kind", "delay,abort"),
        ("fault.latency.requested", "0.005"),
        ("squall.origin", "injected"),
    ] {
        assert_eq!(says(&server, name).as_deref(), Some(expected), "{name}");
    }
    let events: Vec<_> = server.events.iter().map(|event| (&*event.name, event.attributes.len())).collect();
    assert_eq!(events, [("fault.applied", 4), ("fault.applied", 2)]);
    assert!(
        server.events.iter().all(|event| server.start_time <= event.timestamp && event.timestamp <= server.end_time)
    );
}

#[test]
fn a_rule_in_shadow_mode_is_named_and_nothing_else() {
    let rules = "rules: [{ name: q, mode: shadow, percentage: 100, fault: { delay: 1s } }, \
                 { name: r, mode: shadow, percentage: 100, fault: { abort: 503 } }]";
    let (server, client) = spans(origin(OK), rules, GET);
    assert_eq!(says(&server, "fault.shadow.rule").as_deref(), Some("q,r"));
    for name in ["fault.injected", "fault.rule", "error.type"] {
        assert_eq!(says(&server, name), None, "{name}");
    }
    assert!(server.events.is_empty() && client.is_some());
}

#[test]
fn what_is_added_behind_the_answer_is_not_the_upstreams() {
    let rules = "rules: [{ name: r, percentage: 100, fault: { delay: { fixed: 300ms, on: response } } }, \
                 { name: q, percentage: 100, fault: { modify: { on: response, status: 418 } } }]";
    let (server, client) = spans(origin(OK), rules, GET);
    let (length, client) = (|span: &SpanData| span.end_time.duration_since(span.start_time).unwrap(), client.unwrap());
    assert!(length(&server) >= Duration::from_millis(300) && length(&client) < Duration::from_millis(300));
    assert_eq!(says(&server, "http.response.status_code").as_deref(), Some("418"));
    assert_eq!(says(&client, "http.response.status_code").as_deref(), Some("200"), "what the upstream said");
}

#[test]
fn a_grpc_call_has_the_name_of_its_method_and_its_status() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ngrpc-status: 5\r\ncontent-length: 0\r\n\r\n";
    let call = "POST /shop.Cart/Get HTTP/1.1\r\nhost: b\r\ncontent-type: application/grpc\r\ncontent-length: 0\r\n\r\n";
    let (server, client) = spans(origin(answer), "", call);
    let client = client.unwrap();
    for span in [&server, &client] {
        assert_eq!(&*span.name, "shop.Cart/Get");
        assert_eq!(says(span, "rpc.method").as_deref(), Some("shop.Cart/Get"));
        assert_eq!(says(span, "rpc.response.status_code").as_deref(), Some("NOT_FOUND"));
    }
    assert!(!is_error(&server) && is_error(&client), "not found is who asked's business");
    assert_eq!(says(&client, "error.type").as_deref(), Some("NOT_FOUND"));
}
