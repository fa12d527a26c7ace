//! Pieces of the data path, for benches that count what each of them costs. Nothing of a build without the feature
//! `bench`, and not meant for anything else: what is here changes with what it measures.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use http_body::{Body, Frame};
use squall_config::model::{ClusterProtocol, Config, HostPort, Name, Phase};
use squall_fault::budget::Budget;
use squall_fault::snapshot::Snapshot;
use squall_telemetry::Observation;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::LocalSet;

use crate::downstream::{Downstream, Origin};
use crate::http::exchange::exchange;
use crate::http::hop_by_hop::Present;
use crate::http::request::{Hop, Incoming};
use crate::http::request_body::RequestBody;
use crate::http::{request, response};
use crate::http1::chunks::Chunks;
use crate::http1::client::Connection;
use crate::http1::decoder::{BodyError, Decoder};
use crate::http1::encoder::{self, Encoder, Framing, Trailers};
use crate::http1::input::Input;
use crate::http1::output::Output;
use crate::http1::request_head::{self, Terms};
use crate::http1::response_head::{self, AnswerTo};
use crate::http1::sending::Sending;
use crate::http2::going_away::GoingAway;
use crate::life::{Control, Life};
use crate::net::proxy_protocol::Ends;
use crate::net::reset::Io;
use crate::net::stream::Stream;
use crate::tcp::record::RelayRecord;
use crate::tcp::relay::{RelayContext, relay};
use crate::tcp::relayed::Relayed;
use crate::telemetry::outcome::observing::Beginning;
use crate::upstream::pool::IdlePool;
use crate::upstream::shared::SharedEndpoint;
use crate::worker::Worker;

const KEEP: Terms = Terms {
    is_head: false,
    is_http10: false,
    keeps_alive: true,
    expects_continue: false,
    wants_trailers: false,
    is_connect: false,
};

static NOWHERE: LazyLock<HostPort> = LazyLock::new(|| HostPort { host: "".into(), port: 0 });

/// Parses a request head, makes it ready for the upstream, and writes it; how many bytes that were. `None` when it is no
/// complete request head.
pub fn request_head(bytes: &[u8]) -> Option<usize> {
    let mut parts = parsed(bytes)?;
    let has_upgrade = request::offered_upgrade(&parts);
    let hop = Hop { protocol: ClusterProtocol::Http1, is_tls: false, endpoint: &NOWHERE };
    let present = Present::among(&parts.headers);
    request::rewrite(&mut parts, present, false, has_upgrade, hop);
    let mut out = Output::new();
    encoder::request_head(&parts, false, &mut out);
    Some(out.buffer().len())
}

fn parsed(request_head: &[u8]) -> Option<Box<http::request::Parts>> {
    Some(request_head::take(&mut Input::of(request_head), &mut 0, request_head.len()).ok()??.parts)
}

/// Parses a response head, makes it ready for downstream, and writes it; how many bytes that were. `None` when it is no
/// complete response head.
pub fn response_head(bytes: &[u8]) -> Option<usize> {
    let head = response_head::take(&mut Input::of(bytes), AnswerTo::Other).ok()??;
    let mut parts = head.parts;
    response::prepare(&mut parts).ok()?;
    let mut out = Output::new();
    encoder::response_head(&parts, head.body.exact(), KEEP, &mut out);
    Some(out.buffer().len())
}

/// Takes a chunked body apart and frames it anew, into nowhere; `None` when it is no complete chunked body.
pub fn chunked_body(bytes: &[u8]) -> Option<()> {
    let body = Encoded { decoder: Decoder::Chunked(Box::new(Chunks::new())), input: Input::default(), io: bytes };
    send(Sending::new(Output::new(), Encoder::chunked(Trailers::Passed), body))
}

fn send<B: Body<Data = Bytes, Error: Into<crate::error::BoxError>> + Unpin>(mut sending: Sending<B>) -> Option<()> {
    let nowhere = RefCell::new(tokio::io::sink());
    let sent = sending.poll(&nowhere, &mut Context::from_waker(Waker::noop()));
    matches!(sent, Poll::Ready(Ok(()))).then_some(())
}

/// A body that is all there, in the form of the wire.
struct Encoded<'a> {
    decoder: Decoder,
    input: Input,
    io: &'a [u8],
}

impl Body for Encoded<'_> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Self { decoder, input, io } = &mut *self;
        decoder.poll_frame(input, io, cx)
    }
}

/// A worker without sockets, and a connection of its first listener.
#[derive(Debug)]
pub struct Exchanges {
    downstream: Rc<Downstream>,
}

impl Exchanges {
    /// A worker with this configuration; `None` when it has no listener.
    pub fn new(config: Arc<Config>) -> Option<Self> {
        let worker = Worker::alone(config);
        let view = worker.view();
        let listener = view.listeners.first()?;
        let ends = Ends { source: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)), destination: None };
        let going_away = GoingAway::default();
        let listener_name = listener.key.listener.clone();
        let origin = Origin { listener: listener_name, ends, server_name: None, destination: None, going_away };
        Some(Self { downstream: Downstream::of_guest(&worker, listener, origin) })
    }

    /// Notes what becomes of exchanges from now on, and gives those without ids some.
    pub fn observe(&self) {
        let observation = Observation { add_ids: true, ..Observation::default() };
        self.downstream.worker.observe(Some(Beginning {
            number: 1,
            observation: Arc::new(observation),
            share: Arc::default(),
        }));
    }

    /// An exchange from its head to the end of its answer, which must be one that a rule gives at once: decision,
    /// fault, body, record; no I/O. `None` when it would have to wait.
    pub fn run(&self, head: &[u8]) -> Option<()> {
        let head = parsed(head)?;
        let answer = exchange(Rc::clone(&self.downstream), Ok(Incoming { head, body: RequestBody::Empty }));
        let (head, body) = answer.now_or_never()?.ok()?.into_parts();
        let mut out = Output::new();
        let Framing { encoder, .. } = encoder::response_head(&head, body.size_hint().exact(), KEEP, &mut out);
        send(Sending::new(out, encoder, body))
    }
}

/// Idle connections to an upstream.
pub struct Pool {
    /// For the sockets.
    _runtime: Runtime,
    idle: IdlePool,
    _peers: Vec<TcpStream>,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.idle.fmt(f)
    }
}

impl Pool {
    /// So many of them.
    ///
    /// # Errors
    /// When the system has no sockets left.
    pub fn new(connections: usize) -> io::Result<Self> {
        let runtime = runtime()?;
        let idle = IdlePool::new(Duration::from_secs(3600), connections);
        let peers = runtime.block_on(async {
            let mut peers = Vec::new();
            for _ in 0..connections {
                let (near, far) = pair().await?;
                idle.put(Connection::new(Stream::Plain(near)), Instant::now());
                peers.push(far);
            }
            Ok::<_, io::Error>(peers)
        })?;
        Ok(Self { _runtime: runtime, idle, _peers: peers })
    }

    /// Takes a connection out, and gives it back; `None` when there is none.
    pub fn cycle(&self, now: Instant) -> Option<()> {
        self.idle.put(self.idle.take(now)?, now);
        Some(())
    }
}

/// A relay between two connections.
pub struct Relay {
    runtime: Runtime,
    tasks: LocalSet,
    client: TcpStream,
    upstream: TcpStream,
    /// What could change it.
    _control: (watch::Sender<Arc<Snapshot>>, watch::Sender<Life>),
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.client.fmt(f)
    }
}

impl Relay {
    /// Without faults, over loopback.
    ///
    /// # Errors
    /// When the system has no sockets left, or the configuration has no listener.
    pub fn new(config: Arc<Config>) -> io::Result<Self> {
        let (runtime, tasks) = (runtime()?, LocalSet::new());
        let snapshot = Arc::new(squall_fault::compile(config, None, squall_fault::Stamp::first(7)));
        let listener = Arc::clone(snapshot.listeners.first().ok_or(io::ErrorKind::NotFound)?);
        let control = (watch::Sender::new(Arc::clone(&snapshot)), watch::Sender::new(Life::Serving));
        let (client, upstream) = tasks.block_on(&runtime, async {
            let (client, downstream) = pair().await?;
            let (near, upstream) = pair().await?;
            let relayed = Relayed {
                listener,
                tenure: None,
                source: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)),
                opening: None,
                server_name: None,
                endpoint: Arc::new(SharedEndpoint::new(snapshot.clusters[0].endpoints[0].clone(), 0)),
            };
            let context = RelayContext {
                relayed,
                control: Control { changes: control.0.subscribe(), life: control.1.subscribe() },
                budget: Budget::new(1),
                record: Rc::new(Nobody),
                early: Bytes::new(),
                dial: std::future::ready(Ok::<_, io::Error>(Stream::Plain(near))),
            };
            tokio::task::spawn_local(Box::pin(relay(
                context,
                Io::with_prefix(Stream::Plain(downstream), Bytes::new()),
            )));
            Ok::<_, io::Error>((client, upstream))
        })?;
        Ok(Self { runtime, tasks, client, upstream, _control: control })
    }

    /// So many bytes from the client to the upstream, and back; what both ends need for it is part of the cost.
    ///
    /// # Errors
    /// When a connection breaks.
    pub fn round_trip(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        let Self { runtime, tasks, client, upstream, .. } = self;
        let trip = async {
            client.write_all(bytes).await?;
            upstream.read_exact(bytes).await?;
            upstream.write_all(bytes).await?;
            client.read_exact(bytes).await.map(drop)
        };
        tasks.block_on(runtime, trip)
    }
}

/// Records nothing.
struct Nobody;

impl RelayRecord for Nobody {
    fn on_shadow(&self, _rule: &Name) {}
    fn on_injected(&self, _rule: &Name, _kind: &'static str) {}
    fn on_latency(&self, _rule: &Name, _latency: Duration) {}
    fn on_bytes(&self, _direction: Phase, _bytes: u64) {}
}

fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

#[expect(clippy::disallowed_methods, reason = "one end is somebody else's")]
async fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let near = TcpStream::connect(listener.local_addr()?).await?;
    let far = listener.accept().await?.0;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    Ok((near, far))
}
