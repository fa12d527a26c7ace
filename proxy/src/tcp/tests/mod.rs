//! Relays over real loopback sockets.
#![expect(clippy::disallowed_methods, reason = "clients are somebody else's")]

mod endings;
mod faults;
mod holes;
mod listeners;
mod plain;
mod streams;

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use squall_config::model::{
    Amount, Blackhole, BlastRadius, Cluster, Config, ControlApi, Delay, DelayPoint, Direction, Drain, Endpoint, Fault,
    HostPort, Latency, Limits, Listener, ListenerProtocol, Match, Mode, Name, Phase, Rule, Sample,
};
use squall_config::units::Percentage;
use squall_fault::budget::Budget;
use squall_fault::snapshot::Snapshot;
use squall_fault::{Stamp, compile};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, LocalSet};

use super::end::{RelayEnd, RelayOutcome};
use super::record::RelayRecord;
use super::relay::{RelayContext, relay};
use super::relayed::Relayed;
use crate::life::{Control, Life};
use crate::net::reset::Io;
use crate::net::socket;
use crate::net::stream::Stream;
use crate::tenure::Tenure;
use crate::upstream::shared::SharedEndpoint;

type Outcome = RelayOutcome<io::Error>;

/// How a stream ends that was reset.
const RESET: Option<io::ErrorKind> = Some(io::ErrorKind::ConnectionReset);

/// Runs a test as a worker would, within a deadline.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let within = tokio::time::timeout(Duration::from_secs(60), test);
        within.await.expect("the test ends within its deadline");
    });
}

#[derive(Default)]
struct Recorder {
    injected: RefCell<Vec<(String, &'static str)>>,
    shadows: RefCell<Vec<String>>,
    latencies: RefCell<Vec<Duration>>,
}

impl RelayRecord for Recorder {
    fn on_injected(&self, rule: &Name, kind: &'static str) {
        self.injected.borrow_mut().push((rule.to_string(), kind));
    }
    fn on_shadow(&self, rule: &Name) {
        self.shadows.borrow_mut().push(rule.to_string());
    }
    fn on_latency(&self, _rule: &Name, latency: Duration) {
        self.latencies.borrow_mut().push(latency);
    }
    fn on_bytes(&self, _direction: Phase, bytes: u64) {
        assert!(bytes > 0);
    }
}

/// One listener, one cluster, and the rules that the test publishes.
struct World {
    changes: watch::Sender<Arc<Snapshot>>,
    life: watch::Sender<Life>,
    budget: Budget,
    record: Rc<Recorder>,
    idle_timeout: Option<Duration>,
    /// Of the relay's socket to downstream.
    send_buffer: Option<usize>,
}

/// A connection through a relay.
struct Link {
    client: TcpStream,
    upstream: TcpListener,
    relay: JoinHandle<Outcome>,
}

impl Link {
    async fn accept(&self) -> TcpStream {
        self.upstream.accept().await.unwrap().0
    }
}

impl World {
    fn new(rules: Vec<Rule>) -> Self {
        Self::with_idle_timeout(rules, None)
    }

    fn with_idle_timeout(rules: Vec<Rule>, idle_timeout: Option<Duration>) -> Self {
        let snapshot = compile(Arc::new(config(rules, idle_timeout)), None, Stamp::first(7));
        Self {
            changes: watch::channel(Arc::new(snapshot)).0,
            life: watch::channel(Life::Serving).0,
            budget: Budget::new(100),
            record: Rc::default(),
            idle_timeout,
            send_buffer: None,
        }
    }

    fn publish(&self, rules: Vec<Rule>) {
        self.publish_config(config(rules, self.idle_timeout));
    }

    fn publish_config(&self, config: Config) {
        let generation = self.snapshot().generation + 1;
        self.publish_as(config, Stamp { generation, halted: false, seed: 7 });
    }

    /// Publishes the rules as they are, with all faults halted.
    fn halt(&self) {
        let previous = self.snapshot();
        let stamp = Stamp { generation: previous.generation + 1, halted: true, seed: 7 };
        self.publish_as(Config::clone(&previous.config), stamp);
    }

    fn publish_as(&self, config: Config, stamp: Stamp) {
        let next = compile(Arc::new(config), Some(&self.snapshot()), stamp);
        self.changes.send_replace(Arc::new(next));
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.changes.borrow())
    }

    /// (matched, injected, active, skipped by budget) of a rule.
    fn counts(&self, rule: &str) -> (u64, u64, i64, u64) {
        use std::sync::atomic::Ordering::Relaxed;
        let snapshot = self.snapshot();
        let state = &snapshot.rules.iter().find(|r| r.rule.name.as_str() == rule).unwrap().state;
        (
            state.matched.load(Relaxed),
            state.injected.load(Relaxed),
            state.active.load(Relaxed),
            state.skipped_budget.load(Relaxed),
        )
    }

    /// How often a rule in shadow mode would have injected.
    fn shadowed(&self, rule: &str) -> u64 {
        let snapshot = self.snapshot();
        let state = &snapshot.rules.iter().find(|r| r.rule.name.as_str() == rule).unwrap().state;
        state.skipped_shadow.load(std::sync::atomic::Ordering::Relaxed)
    }

    async fn connect(&self) -> Link {
        let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = upstream.local_addr().unwrap();
        self.connect_to(upstream, address).await
    }

    async fn connect_to(&self, upstream: TcpListener, address: SocketAddr) -> Link {
        let front = socket::bind_shared("127.0.0.1:0".parse().unwrap()).unwrap();
        let front = TcpListener::from_std(front).unwrap();
        let client = TcpStream::connect(front.local_addr().unwrap()).await.unwrap();
        let (downstream, source) = front.accept().await.unwrap();
        socket::prepare_accepted(&downstream).unwrap();
        if let Some(bytes) = self.send_buffer {
            socket2::SockRef::from(&downstream).set_send_buffer_size(bytes).unwrap();
        }
        let context = self.context(source, connect(address));
        let relay = tokio::task::spawn_local(relay(context, Io::new(downstream)));
        Link { client, upstream, relay }
    }

    fn context<D>(&self, source: SocketAddr, dial: D) -> RelayContext<D> {
        let snapshot = self.snapshot();
        let relayed = Relayed {
            listener: Arc::clone(&snapshot.listeners[0]),
            tenure: Tenure::new(snapshot.listeners[0].listener.start, &snapshot),
            source,
            opening: None,
            server_name: None,
            endpoint: Arc::new(SharedEndpoint::new(snapshot.clusters[0].endpoints[0].clone(), 0)),
        };
        let control = Control { changes: self.changes.subscribe(), life: self.life.subscribe() };
        let (budget, record, early) = (self.budget.clone(), self.record.clone(), bytes::Bytes::new());
        RelayContext { relayed, control, budget, record, early, dial }
    }
}

fn config(rules: Vec<Rule>, idle_timeout: Option<Duration>) -> Config {
    let any = "127.0.0.1:0".parse().unwrap();
    let cluster = Name::new("b").unwrap();
    Config {
        control: ControlApi::at(any),
        telemetry: None,
        toxiproxy: None,
        controller: None,
        listeners: vec![Listener {
            name: Name::new("to-b").unwrap(),
            address: any,
            is_enabled: true,
            direction: Direction::Outbound,
            protocol: ListenerProtocol::Tcp,
            cluster: cluster.clone(),
            tls: None,
            server_names: Default::default(),
            intercept: None,
            original_dst: None,
            accepts_proxy_protocol: false,
            header_timeout: Duration::from_secs(60),
            idle_timeout,
            stall_timeout: None,
            detect_timeout: Duration::from_secs(1),
            start: None,
        }],
        clusters: vec![Cluster::new(cluster, vec![Endpoint::new(HostPort { host: "127.0.0.1".into(), port: 1 })])],
        rules,
        guards: Vec::new(),
        lease_ttl: None,
        limits: Limits {
            default_ttl: Duration::from_secs(3600),
            delay_max: Duration::from_secs(3600),
            active_faults_max: 100,
            exclude_paths: Vec::new(),
            head_bytes_max: 1 << 16,
            connections_max: 100,
            rules_max: 100,
            stream_buffer_bytes_max: 16 << 20,
            blast_radius: BlastRadius::default(),
        },
        drain: Drain { delay: Duration::ZERO, timeout: Duration::from_secs(30) },
        access_log: None,
        fault_header: true,
        state_dir: None,
        seed: Some(7),
    }
}

fn rule_at(name: &str, ppm: u32, faults: Vec<Fault>) -> Rule {
    Rule {
        name: Name::new(name).unwrap(),
        enabled: true,
        mode: Mode::Inject,
        matches: Match::default(),
        percentage: Percentage::from_ppm(ppm).unwrap(),
        sample: Sample::Random,
        faults,
        ttl: None,
        experiment: None,
    }
}

fn rule(name: &str, fault: Fault) -> Rule {
    rule_at(name, 1_000_000, vec![fault])
}

fn delay(milliseconds: u64, on: Phase) -> Fault {
    let latency = Duration::from_millis(milliseconds);
    let on = match on {
        Phase::Request => DelayPoint::Request,
        Phase::Response => DelayPoint::Response,
    };
    Fault::Delay(Delay { amount: Amount::Drawn(Latency::Fixed(latency)), on, max: latency })
}

/// Bytes that cannot be confused with a shifted or repeated part of themselves.
fn pattern(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    })
    .take(len)
    .collect()
}

/// Reads to the end: what came, and the error if it was no FIN.
/// A dial without TLS.
async fn connect(address: SocketAddr) -> io::Result<Stream> {
    socket::connect(address).await.map(Stream::Plain)
}

async fn read_all(stream: &mut TcpStream) -> (Vec<u8>, Option<io::ErrorKind>) {
    let mut all = Vec::new();
    let end = stream.read_to_end(&mut all).await.err().map(|error| error.kind());
    (all, end)
}

/// The sender and the receiver of a direction.
fn ends<'a>(on: Phase, link: &'a mut Link, server: &'a mut TcpStream) -> (&'a mut TcpStream, &'a mut TcpStream) {
    match on {
        Phase::Request => (&mut link.client, server),
        Phase::Response => (server, &mut link.client),
    }
}

/// Fails when `stream` gets anything within a time in which it would have.
async fn assert_silent(stream: &mut TcpStream) {
    let read = tokio::time::timeout(Duration::from_millis(100), stream.read_u8()).await;
    assert!(read.is_err(), "expected silence, got {read:?}");
}

async fn assert_flows(from: &mut TcpStream, to: &mut TcpStream) {
    from.write_all(b"x").await.unwrap();
    assert_eq!(to.read_u8().await.unwrap(), b'x');
}
