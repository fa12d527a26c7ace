//! What becomes of HTTP connections, and of those of which nothing is known yet, when their listener ends with them.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use squall_fault::store::SnapshotStore;
use squall_proxy::{Proxy, ProxyOptions};

const PATIENCE: Duration = Duration::from_secs(5);

struct Setup {
    proxy: Arc<Proxy>,
    store: Arc<SnapshotStore>,
    text: String,
}

impl Setup {
    /// A listener that has started once. There is one worker, so that connections are accepted in their order.
    fn new(listener: &str) -> Self {
        let origin = origin();
        let text = format!(
            "version: 1\nlisteners:\n  - {{ name: in, address: '127.0.0.1:0', cluster: b, {listener} }}\n\
             clusters:\n  - {{ name: b, endpoints: ['{origin}'] }}\n"
        );
        let mut config = squall_config::load_text(&text).unwrap().1;
        config.listeners[0].start = Some(1);
        let config = Arc::new(config);
        let store = SnapshotStore::new(squall_fault::compile(Arc::clone(&config), None, squall_fault::Stamp::first(7)));
        let proxy = Proxy::start(Arc::clone(&store), ProxyOptions { workers: 1, traces: None }).unwrap();
        proxy.apply(proxy.bind(&config).unwrap());
        Self { proxy, store, text }
    }

    fn restart(&self) {
        let mut config = squall_config::load_text(&self.text).unwrap().1;
        config.listeners[0].start = Some(2);
        let config = Arc::new(config);
        let bound = self.proxy.bind(&config).unwrap();
        let last = self.store.load();
        self.store.publish(Arc::new(squall_fault::compile(
            config,
            Some(&last),
            squall_fault::Stamp { generation: last.generation + 1, halted: false, seed: 7 },
        )));
        self.proxy.apply(bound);
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.proxy.addresses()[0].1).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Waits until so many exchanges have been accounted for.
    fn expect_exchanges(&self, count: u64) {
        let begin = Instant::now();
        let so_far = || self.proxy.traffic().iter().map(|totals| totals.ended).sum::<u64>();
        while so_far() != count {
            assert!(begin.elapsed() < PATIENCE, "{} exchanges, not {count}", so_far());
            std::thread::yield_now();
        }
    }
}

/// Answers `/x` with five bytes, and of everything else sends the head of an answer and a few of its bytes.
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
            let head: Vec<u8> = seen.drain(..end + 4).collect();
            let length = if head.starts_with(b"GET /x") { 5 } else { 500 };
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\nhello").unwrap();
        }
    }
}

/// Reads until five bytes of the body have come.
fn hello(stream: &mut TcpStream) {
    let mut seen = Vec::new();
    let mut byte = [0];
    while !seen.ends_with(b"hello") {
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "end after {:?}", String::from_utf8_lossy(&seen));
        seen.push(byte[0]);
    }
}

/// Reads to the end, which must come by itself.
fn assert_ends(mut stream: TcpStream) {
    let begin = Instant::now();
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
}

#[test]
fn http1_connections_end_whether_they_are_idle_or_not() {
    let setup = Setup::new("protocol: http");
    let [silent, mut in_head, mut idle, mut busy] = [(); 4].map(|()| setup.connect());
    in_head.write_all(b"GET /x HT").unwrap();
    idle.write_all(b"GET /x HTTP/1.1\r\nHost: b\r\n\r\n").unwrap();
    hello(&mut idle);
    busy.write_all(b"GET /long HTTP/1.1\r\nHost: b\r\n\r\n").unwrap();
    hello(&mut busy);
    setup.restart();
    for stream in [idle, busy, silent, in_head] {
        assert_ends(stream);
    }
    // An incomplete head is answered, as it is when a client ends in it.
    setup.expect_exchanges(3);
    // The socket stayed, and serves the new start.
    let mut fresh = setup.connect();
    fresh.write_all(b"GET /x HTTP/1.1\r\nHost: b\r\n\r\n").unwrap();
    hello(&mut fresh);
    setup.expect_exchanges(4);
}

#[test]
fn http2_connections_end_with_their_streams() {
    let setup = Setup::new("protocol: http");
    let mut stream = setup.connect();
    // The preface, empty SETTINGS, and GET /long on stream 1 (RFC 7541: :method GET, :scheme http, :path, :authority).
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).unwrap();
    let mut block = vec![0x82, 0x86, 0x04, 5];
    block.extend_from_slice(b"/long");
    block.extend_from_slice(&[0x41, 1, b'b']);
    stream.write_all(&[0, 0, u8::try_from(block.len()).unwrap(), 1, 5, 0, 0, 0, 1]).unwrap();
    stream.write_all(&block).unwrap();
    hello(&mut stream);
    setup.restart();
    assert_ends(stream);
    setup.expect_exchanges(1);
}

#[test]
fn connections_of_which_nothing_is_known_yet_end_too() {
    for listener in ["protocol: auto, detect_timeout: 1m", "proxy_protocol: accept"] {
        let setup = Setup::new(listener);
        let stream = setup.connect();
        // Accepted once one that came later is served.
        let mut later = setup.connect();
        later.write_all(b"PROXY UNKNOWN\r\nGET /x HTTP/1.1\r\nHost: b\r\n\r\n").unwrap();
        hello(&mut later);
        setup.restart();
        assert_ends(stream);
    }
}
