//! One proxy in this process, raw sockets on both sides.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use squall_fault::store::SnapshotStore;
use squall_proxy::{Proxy, ProxyOptions};

struct Setup {
    proxy: Arc<Proxy>,
    store: Arc<SnapshotStore>,
    text: String,
}

impl Setup {
    fn new(origin: SocketAddr, rules: &str) -> Self {
        let text = format!(
            "version: 1\nlisteners:\n  - {{ name: in, address: '127.0.0.1:0', direction: outbound, protocol: http, cluster: b }}\n\
             clusters:\n  - {{ name: b, endpoints: ['{origin}'], connect_timeout: 1s }}\n"
        );
        let config = Arc::new(squall_config::load_text(&format!("{text}{rules}")).unwrap().1);
        let store = SnapshotStore::new(squall_fault::compile(Arc::clone(&config), None, 1, false, 7));
        let proxy = Proxy::start(Arc::clone(&store), ProxyOptions { workers: 2, traces: None }).unwrap();
        proxy.apply(proxy.bind(&config).unwrap());
        Self { proxy, store, text }
    }

    fn set_rules(&self, rules: &str, halted: bool) {
        let config = Arc::new(squall_config::load_text(&format!("{}{rules}", self.text)).unwrap().1);
        let last = self.store.load();
        self.store.publish(Arc::new(squall_fault::compile(config, Some(&last), last.generation + 1, halted, 7)));
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.proxy.addresses()[0].1).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream
    }
}

/// Answers every request on every connection with a short body; the thread ends with the test's process.
fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || answer(stream.unwrap()));
        }
    });
    address
}

fn answer(mut stream: TcpStream) {
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = stream.read(&mut buffer) {
        seen.extend_from_slice(&buffer[..n]);
        while let Some(end) = seen.windows(4).position(|w| w == b"\r\n\r\n") {
            seen.drain(..end + 4);
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").unwrap();
        }
    }
}

/// Reads one response with a Content-Length (or none).
fn response(stream: &mut TcpStream) -> String {
    let mut seen = Vec::new();
    let mut byte = [0];
    while !seen.ends_with(b"\r\n\r\n") {
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "end after {:?}", String::from_utf8_lossy(&seen));
        seen.push(byte[0]);
    }
    let head = String::from_utf8(seen).unwrap().to_lowercase();
    let length = head.lines().find_map(|l| l.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    head + &String::from_utf8(body).unwrap()
}

const GET: &[u8] = b"GET /x HTTP/1.1\r\nHost: b\r\n\r\n";

#[test]
fn requests_are_forwarded_and_connections_kept() {
    let setup = Setup::new(origin(), "");
    let mut stream = setup.connect();
    for _ in 0..3 {
        stream.write_all(GET).unwrap();
        assert!(response(&mut stream).ends_with("hello"));
    }
    stream.write_all(b"GET /a HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\nGET /late HTTP/1.1\r\n").unwrap();
    assert!(response(&mut stream).ends_with("hello"));
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    assert!(setup.proxy.drain(Duration::from_secs(2)).finished);
}

#[test]
fn a_doubtful_request_is_answered_in_order_and_closes() {
    let setup = Setup::new(origin(), "");
    let mut stream = setup.connect();
    stream.write_all(GET).unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nHost: b\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    assert!(response(&mut stream).ends_with("hello"));
    let refusal = response(&mut stream);
    assert!(
        refusal.starts_with("http/1.1 400") && refusal.contains("x-squall-error: downstream_ambiguous_length"),
        "{refusal}"
    );
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}

#[test]
fn rules_apply_to_open_connections_at_once() {
    let setup = Setup::new(origin(), "");
    let mut stream = setup.connect();
    stream.write_all(GET).unwrap();
    response(&mut stream);
    setup.set_rules("rules: [{ name: r, percentage: 100, fault: { abort: 503 } }]", false);
    stream.write_all(GET).unwrap();
    let aborted = response(&mut stream);
    assert!(aborted.starts_with("http/1.1 503") && aborted.contains("x-squall-fault: rule=r; kind=abort"), "{aborted}");
    setup.set_rules("rules: [{ name: r, percentage: 100, fault: { delay: 30s } }]", false);
    stream.write_all(GET).unwrap();
    std::thread::yield_now();
    setup.set_rules("rules: [{ name: r, percentage: 100, fault: { delay: 30s } }]", true);
    assert!(response(&mut stream).ends_with("hello"), "halt releases what is held");
    setup.set_rules("rules: [{ name: r, percentage: 100, fault: { reset: true } }]", false);
    stream.write_all(GET).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn an_unreachable_upstream_is_told_apart() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let setup = Setup::new(free, "");
    let mut stream = setup.connect();
    stream.write_all(GET).unwrap();
    let failed = response(&mut stream);
    assert!(
        failed.starts_with("http/1.1 502") && failed.contains("x-squall-error: upstream_connect_refused"),
        "{failed}"
    );
}
