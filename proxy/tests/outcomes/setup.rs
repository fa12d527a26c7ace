//! A proxy with a listener of each direction, and an upstream that answers by path.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use squall_config::model::Name;
use squall_fault::store::SnapshotStore;
use squall_fault::trace_share::{TraceShare, own_id};
use squall_proxy::{Proxy, ProxyOptions, Traces};
use squall_telemetry::{Observation, Outcome};

const PATIENCE: Duration = Duration::from_secs(10);

/// Which listener.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Side {
    In,
    Out,
}

/// What became of a request.
pub(crate) struct Observed {
    pub(crate) outcome: Outcome,
    /// As the upstream got it.
    pub(crate) head: String,
}

pub(crate) struct Setup {
    pub(crate) proxy: Arc<Proxy>,
    store: Arc<SnapshotStore>,
    heads: mpsc::Receiver<String>,
    release: mpsc::Sender<()>,
}

impl Setup {
    /// A proxy that notes everything.
    pub(crate) fn observed(observation: Observation) -> Self {
        Self::new("", &[], None).observing(observation)
    }

    /// A proxy with these rules, some of them of the experiment `e`.
    pub(crate) fn new(rules: &str, of_experiment: &[&str], traces: Option<Traces>) -> Self {
        let (origin, heads, release) = origin();
        let listener = |name, direction| {
            format!(
                "  - {{ name: {name}, address: '127.0.0.1:0', direction: {direction}, protocol: http, cluster: b }}\n"
            )
        };
        let listeners = listener("in", "inbound") + &listener("out", "outbound");
        let clusters = format!("clusters:\n  - {{ name: b, endpoints: ['{origin}'] }}\n");
        let text = format!("version: 1\nlisteners:\n{listeners}{clusters}{rules}");
        let mut config = squall_config::load_text(&text).unwrap().1;
        for rule in config.rules.iter_mut().filter(|rule| of_experiment.contains(&rule.name.as_str())) {
            rule.experiment = Name::new("e").ok();
        }
        let config = Arc::new(config);
        let store = SnapshotStore::new(squall_fault::compile(Arc::clone(&config), None, squall_fault::Stamp::first(7)));
        let proxy = Proxy::start(Arc::clone(&store), ProxyOptions { workers: 1, traces }).unwrap();
        proxy.apply(proxy.bind(&config).unwrap());
        Self { proxy, store, heads, release }
    }

    /// Waits until the worker knows that it is to note everything.
    pub(crate) fn observing(self, observation: Observation) -> Self {
        self.proxy.observe(Some(observation));
        self.until(|| {
            self.request(Side::Out, "GET /probe HTTP/1.1", &[]);
            !self.all_outcomes().is_empty()
        });
        self.forget_heads();
        self
    }

    /// Waits until the worker knows that it is to note nothing.
    pub(crate) fn stop_observing(&self) {
        self.proxy.observe(None);
        self.until(|| {
            self.request(Side::Out, "GET /probe HTTP/1.1", &[]);
            self.all_outcomes().is_empty()
        });
    }

    /// Sends a request, and waits for its end.
    pub(crate) fn exchange(&self, side: Side, line: &str, fields: &[(&str, &str)]) -> Observed {
        self.forget_heads();
        self.request(side, line, fields);
        Observed { outcome: self.outcome(), head: self.head_of_upstream() }
    }

    /// Sends a request, and waits for its end, without a look at what was noted.
    pub(crate) fn request(&self, side: Side, line: &str, fields: &[(&str, &str)]) {
        let mut stream = self.connect(side);
        let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!("{line}\r\nhost: b\r\ncontent-length: 0\r\nconnection: close\r\n{fields}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        self.read(&mut stream);
    }

    /// Sends a request over HTTP/2, and waits for its end.
    pub(crate) fn exchange_http2(&self, side: Side, fields: &[(&str, &str)]) -> Observed {
        self.forget_heads();
        http2(self.address(side), "/v1/orders/4711", fields, true);
        Observed { outcome: self.outcome(), head: self.head_of_upstream() }
    }

    /// Goes away in the middle of an answer.
    pub(crate) fn http2_client_that_leaves(&self, side: Side) {
        http2(self.address(side), "/long", &[], false);
    }

    /// Reads until the upstream, or a rule, has said all.
    pub(crate) fn read(&self, stream: &mut TcpStream) -> String {
        let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
        while let Ok(n @ 1..) = stream.read(&mut buffer) {
            seen.extend_from_slice(&buffer[..n]);
            if seen.ends_with(b"hello") {
                break;
            }
        }
        String::from_utf8(seen).unwrap()
    }

    pub(crate) fn connect(&self, side: Side) -> TcpStream {
        let stream = TcpStream::connect(self.address(side)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    fn address(&self, side: Side) -> SocketAddr {
        let name = match side {
            Side::In => "in",
            Side::Out => "out",
        };
        self.proxy.addresses().into_iter().find(|(listener, _)| listener.as_str() == name).unwrap().1
    }

    /// The only one that was noted.
    pub(crate) fn outcome(&self) -> Outcome {
        let mut all = Vec::new();
        self.until(|| {
            assert_eq!(self.proxy.outcomes(&mut all), 0, "nothing is lost");
            !all.is_empty()
        });
        assert_eq!(all.len(), 1, "{all:#?}");
        all.remove(0)
    }

    /// What is noted now.
    pub(crate) fn all_outcomes(&self) -> Vec<Outcome> {
        let mut all = Vec::new();
        assert_eq!(self.proxy.outcomes(&mut all), 0, "nothing is lost");
        all
    }

    /// What was noted, after all of it is; what is noted of later exchanges is of the same share.
    pub(crate) fn until_marked(&self) -> Vec<Outcome> {
        // Of a trace in each share.
        let is_in_each = |id: &u128| TraceShare::default().place(*id, 0).is_some_and(|place| place < 1 << 54);
        let marks = (1_u128..).map(own_id).find(is_in_each).unwrap();
        let (traceparent, id) = (format!("00-{marks:032x}-00f067aa0ba902b7-00"), format!("{marks:032x}"));
        self.request(Side::In, "GET / HTTP/1.1", &[("traceparent", &traceparent), ("x-request-id", &id)]);
        let mut all = Vec::new();
        self.until(|| {
            assert_eq!(self.proxy.outcomes(&mut all), 0, "nothing is lost");
            all.iter().any(|outcome: &Outcome| outcome.trace == marks)
        });
        all.retain(|outcome| outcome.trace != marks);
        all
    }

    /// Of a `GET` of this path.
    pub(crate) fn operation_of(&self, path: &str) -> u64 {
        self.exchange(Side::In, &format!("GET {path} HTTP/1.1"), &[]).outcome.operation
    }

    /// The next request as the upstream got it.
    pub(crate) fn head_of_upstream(&self) -> String {
        self.heads.recv_timeout(PATIENCE).unwrap()
    }

    /// Waits until the upstream got a request for this path.
    pub(crate) fn wait_for_path(&self, path: &str) {
        while !self.head_of_upstream().starts_with(&format!("GET {path} ")) {}
    }

    pub(crate) fn forget_heads(&self) {
        while self.heads.try_recv().is_ok() {}
    }

    /// Lets the upstream answer a request for `/hold`.
    pub(crate) fn release(&self) {
        self.release.send(()).unwrap();
    }

    /// Waits until a rule holds an exchange.
    pub(crate) fn wait_for_active(&self, rule: &str) {
        let snapshot = self.store.load();
        let state = &snapshot.rules.iter().find(|compiled| compiled.rule.name.as_str() == rule).unwrap().state;
        self.until(|| state.injected.load(Relaxed) == 1);
    }

    fn until(&self, mut is_done: impl FnMut() -> bool) {
        let end = Instant::now() + PATIENCE;
        while !is_done() {
            assert!(Instant::now() < end, "nothing happens");
            std::thread::yield_now();
        }
    }
}

/// A request; its answer is read to the end, or left in the middle.
#[expect(clippy::disallowed_methods, reason = "the client is somebody else")]
fn http2(address: SocketAddr, path: &str, fields: &[(&str, &str)], reads: bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
        let driver = tokio::task::spawn(connection);
        let mut request = http::Request::builder().uri(format!("http://b{path}"));
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let (answer, _) = client.send_request(request.body(()).unwrap(), true).unwrap();
        let mut body = answer.await.unwrap().into_body();
        while reads && let Some(data) = body.data().await {
            let length = data.unwrap().len();
            body.flow_control().release_capacity(length).unwrap();
        }
        driver.abort();
    });
}

/// Tells of each head that it gets; the threads end with the test's process.
fn origin() -> (SocketAddr, mpsc::Receiver<String>, mpsc::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let ((tell, heads), (release, released)) = (mpsc::channel(), mpsc::channel());
    let released = Arc::new(Mutex::new(released));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (tell, released) = (tell.clone(), Arc::clone(&released));
            std::thread::spawn(move || answer(stream.unwrap(), &tell, &released));
        }
    });
    (address, heads, release)
}

fn answer(mut stream: TcpStream, tell: &mpsc::Sender<String>, released: &Mutex<mpsc::Receiver<()>>) {
    let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(n @ 1..) = stream.read(&mut buffer) {
        seen.extend_from_slice(&buffer[..n]);
        while let Some(end) = seen.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8(seen.drain(..end + 4).collect()).unwrap();
            let path = head.split(' ').nth(1).unwrap().to_owned();
            if tell.send(head).is_err() {
                return;
            }
            let fields = match path.as_str() {
                "/cached" => "x-from: cache\r\ncontent-length: 5",
                "/long" => "content-length: 100000000",
                "/short" => "content-length: 50",
                "/shop.v1.Cart/Get2" => "content-type: application/grpc\r\ngrpc-status: 5\r\ncontent-length: 5",
                _ => "content-length: 5",
            };
            if path == "/hold" && released.lock().unwrap().recv_timeout(PATIENCE).is_err() {
                return;
            }
            if stream.write_all(format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\nhello").as_bytes()).is_err() {
                return;
            }
            match path.as_str() {
                "/long" => while stream.write_all(&[b'x'; 65536]).is_ok() {},
                "/short" => return,
                _ => {}
            }
        }
    }
}
