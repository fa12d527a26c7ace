//! One downstream connection: which protocol, then HTTP or a relay.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use squall_config::model::{HostPort, Http2Code, ListenerProtocol, Name};
use tokio::net::TcpStream;

use crate::balance::Claim;
use crate::error::ProxyError;
use crate::http::opening::Opening;
use crate::http::wire::Wire;
use crate::http1::tunnel::Onward;
use crate::http2::going_away::GoingAway;
use crate::net::proxy_protocol::{self, Ends};
use crate::net::reset::{Io, ResetFlag};
use crate::net::socket;
use crate::net::stream::Stream;
use crate::protocol::{Protocol, detect};
use crate::redirected;
use crate::secure::{Client, Secured};
use crate::tcp::end::{RelayEnd, RelayOutcome, Side};
use crate::tcp::record::ConnectionRecord;
use crate::tcp::relay::RelayContext;
use crate::telemetry::shard::Cut;
use crate::tenure::Tenure;
use crate::tls::connect::Inside;
use crate::tls::{ALPN_HTTP1, ALPN_HTTP2};
use crate::upstream::cluster::Assignment;
use crate::upstream::connect;
use crate::upstream::shared::{Fared, SharedEndpoint};
use crate::view::ListenerView;
use crate::worker::{OpenConnection, Worker};
use crate::{http1, http2, tcp};

/// Where a connection came from and where it goes.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) listener: Name,
    pub(crate) ends: Ends,
    pub(crate) server_name: Option<Arc<str>>,
    pub(crate) destination: Option<HostPort>,
    /// Of an HTTP/2 connection.
    pub(crate) going_away: Option<GoingAway>,
}

/// What the exchanges of one connection share.
#[derive(Debug)]
pub(crate) struct Downstream {
    pub(crate) worker: Rc<Worker>,
    /// Where it came from, and came to.
    pub(crate) ends: Ends,
    pub(crate) wire: Rc<Wire>,
    pub(crate) is_http2: bool,
    pub(crate) listener_name: Name,
    /// Of an HTTP/2 connection.
    pub(crate) going_away: Option<GoingAway>,
    /// Where all its requests go, if it was redirected or opened on its way there.
    pub(crate) destination: Option<HostPort>,
    /// The name that it asked for, where that decides which cluster gets the traffic.
    pub(crate) server_name: Option<Arc<str>>,
    reset: ResetFlag,
    /// Its task has had its turn: until the next it reads no more.
    pub(crate) is_others_turn: Cell<bool>,
    /// The client takes streams back, so that one may be over before it begins.
    pub(crate) takes_back: Cell<bool>,
    listener: RefCell<Rc<ListenerView>>,
    /// Counts the connection, unless another worker does; tunnels keep it beyond the HTTP server's life.
    open: Option<OpenConnection>,
}

impl Downstream {
    /// A connection of another worker, for one of its HTTP/2 streams.
    pub(crate) fn of_guest(worker: &Rc<Worker>, listener: &Rc<ListenerView>, origin: Origin) -> Rc<Self> {
        Rc::new(Self {
            worker: Rc::clone(worker),
            ends: origin.ends,
            wire: Rc::new(Wire::new()),
            is_http2: true,
            listener_name: origin.listener,
            server_name: origin.server_name,
            destination: origin.destination,
            going_away: origin.going_away,
            reset: ResetFlag::default(),
            is_others_turn: Cell::new(false),
            takes_back: Cell::new(false),
            listener: RefCell::new(Rc::clone(listener)),
            open: None,
        })
    }

    /// For another worker that serves one of its streams.
    pub(crate) fn origin(&self) -> Origin {
        Origin {
            listener: self.listener_name.clone(),
            ends: self.ends,
            server_name: self.server_name.clone(),
            destination: self.destination.clone(),
            going_away: self.going_away.clone(),
        }
    }

    /// The listener as of the newest snapshot.
    pub(crate) fn current_listener(&self) -> Rc<ListenerView> {
        let view = self.worker.view();
        let mut cached = self.listener.borrow_mut();
        if !Arc::ptr_eq(&cached.snapshot, &view.snapshot) {
            *cached = match view.route(self.listener_name.as_str(), self.server_name.as_deref()) {
                Some(current) => Rc::clone(current),
                None => Rc::new(cached.retired()),
            };
        }
        Rc::clone(&cached)
    }

    /// Makes the end of the connection a reset, where a reset is a matter of the connection (HTTP/1).
    pub(crate) fn arm_reset(&self) {
        if !self.is_http2 {
            self.reset.arm();
        }
    }

    /// Makes an HTTP/2 connection say that it goes away.
    pub(crate) fn go_away(&self, code: Http2Code) {
        if let Some(going_away) = &self.going_away {
            going_away.ask(code);
        }
    }

    /// Counts a flood of an HTTP/2 client, and ends its connection.
    pub(crate) fn is_flooding(&self) {
        let listener = self.current_listener();
        listener.shard.count_cut(Cut::Flood);
        tracing::warn!(listener = %self.listener_name, source = %self.ends.source.ip(), "an HTTP/2 client floods its connection, which is closed");
        self.go_away(Http2Code::ENHANCE_YOUR_CALM);
    }

    /// What to arm later.
    pub(crate) fn reset_of_connection(&self) -> Option<ResetFlag> {
        (!self.is_http2).then(|| self.reset.clone())
    }
}

/// A connection that is ready for the first byte of the application.
pub(crate) struct Opened {
    worker: Rc<Worker>,
    listener: Rc<ListenerView>,
    protocol: Protocol,
    io: Io,
    ends: Ends,
    server_name: Option<Arc<str>>,
    destination: Option<HostPort>,
    open: OpenConnection,
}

/// Serves a connection to its end, once it is open. One function for all of it, because each around it would be passed
/// through whenever the connection goes on; and its parts are boxed, so that a connection has the size of its own
/// protocol and not of the largest.
pub(crate) async fn serve(opening: Pin<Box<impl Future<Output = Option<Opened>>>>) {
    let Some(opened) = opening.await else { return };
    match opened.protocol {
        Protocol::Tcp => Box::pin(relay(opened)).await,
        Protocol::Http1 => Box::pin(serve_http1(opened)).await,
        Protocol::Http2 => Box::pin(serve_http2(opened)).await,
    }
}

/// What comes before the first byte of the application on a connection that was accepted.
pub(crate) async fn open(
    worker: Rc<Worker>,
    listener: Rc<ListenerView>,
    mut stream: TcpStream,
    source: SocketAddr,
    claim: Claim,
) -> Option<Opened> {
    let open = worker.open(&listener, claim);
    if let Err(error) = socket::prepare_accepted(&stream) {
        tracing::debug!(%error, "connection ended before it began");
        return None;
    }
    let mut ends = ends(&worker, &listener, &mut stream, source).await?;
    let destination = redirected::destination(&listener, worker.own_addresses(), &stream, &mut ends).ok()?;
    let client = Client { worker: &worker, listener: &listener, source: ends.source.ip() };
    let Secured { mut stream, mut seen, server_name } = client.secure(stream).await?;
    let listener = Rc::clone(listener.route(server_name.as_deref()));
    let protocol = if redirected::is_opaque(&listener, destination.as_ref()) {
        Protocol::Tcp
    } else {
        protocol(&worker, &listener, &mut stream, &mut seen).await?
    };
    let Some(to) = &destination else {
        let io = Io::with_prefix(stream, seen.freeze());
        return Some(Opened { worker, listener, protocol, io, ends, server_name, destination, open });
    };
    let redirected = redirected::begin((&listener, protocol), to, server_name, (&mut stream, &mut seen));
    let (listener, protocol, server_name) = Box::pin(redirected).await;
    let io = Io::with_prefix(stream, seen.freeze());
    Some(Opened { worker, listener, protocol, io, ends, server_name, destination, open })
}

/// The same on a connection that was told that it has a tunnel to `destination`: opens the TLS in it.
pub(crate) async fn intercept(
    downstream: Downstream,
    tunnel: (Stream, Bytes),
    destination: HostPort,
) -> Option<Opened> {
    let Downstream { worker, ends, listener, open, .. } = downstream;
    let (listener, open) = (listener.into_inner(), open?);
    let client = Client { worker: &worker, listener: &listener, source: ends.source.ip() };
    let Secured { mut stream, mut seen, server_name } = client.intercept(tunnel, &destination.host).await?;
    let protocol = protocol(&worker, &listener, &mut stream, &mut seen).await?;
    let io = Io::with_prefix(stream, seen.freeze());
    Some(Opened { worker, listener, protocol, io, ends, server_name, destination: Some(destination), open })
}

/// What is spoken on a connection; `None` when nothing is, or when the worker drains before it is clear.
async fn protocol(
    worker: &Worker,
    listener: &ListenerView,
    stream: &mut Stream,
    seen: &mut BytesMut,
) -> Option<Protocol> {
    match listener.compiled.listener.protocol {
        ListenerProtocol::Tcp => Some(Protocol::Tcp),
        _ if agreed(stream).is_some() => agreed(stream),
        protocol => {
            let (first, rest) = time_limits(listener, protocol);
            tokio::select! {
                detected = detect(stream, seen, protocol, first, rest) => detected,
                () = worker.draining() => None,
            }
        }
    }
}

/// Where a connection came from, which a PROXY protocol header may say; `None` when it should and does not.
async fn ends(worker: &Worker, listener: &ListenerView, stream: &mut TcpStream, source: SocketAddr) -> Option<Ends> {
    let compiled = &listener.compiled;
    // A system call that only these need.
    let tells = |route: &ListenerView| route.cluster.cluster.proxy_protocol.is_some();
    let destination = if listener.any(tells) { stream.local_addr().ok() } else { None };
    let own = Ends { source, destination };
    if !compiled.listener.accepts_proxy_protocol {
        return Some(own);
    }
    let told = tokio::select! {
        told = Box::pin(proxy_protocol::read(stream, compiled.listener.header_timeout)) => told,
        () = worker.draining() => return None,
    };
    match told {
        Ok(told) => Some(told.unwrap_or(own)),
        Err(error) => {
            listener.shard.proxy_headers_refused.add(1);
            tracing::warn!(%error, listener = %listener.key.listener, %source, "refused a connection without a PROXY protocol header");
            None
        }
    }
}

/// The protocol that ALPN has settled.
fn agreed(stream: &Stream) -> Option<Protocol> {
    let Stream::Tls(session) = stream else { return None };
    match session.alpn()? {
        ALPN_HTTP2 => Some(Protocol::Http2),
        ALPN_HTTP1 => Some(Protocol::Http1),
        _ => None,
    }
}

/// How long to wait for the first byte, and from there for enough of them.
fn time_limits(listener: &ListenerView, protocol: ListenerProtocol) -> (Option<Duration>, Duration) {
    let listener = &listener.compiled.listener;
    match protocol {
        ListenerProtocol::Auto => (Some(listener.detect_timeout), listener.detect_timeout),
        _ => (listener.idle_timeout, listener.header_timeout),
    }
}

async fn serve_http1(opened: Opened) {
    let head_bytes_max = opened.listener.snapshot.config.limits.head_bytes_max;
    let (downstream, io) = opened.into_http(false);
    http1::server::serve(downstream, io, head_bytes_max).await;
}

async fn serve_http2(opened: Opened) {
    let (downstream, io) = opened.into_http(true);
    http2::server::serve(downstream, io).await;
}

impl Opened {
    /// Whether its bytes are relayed as they come.
    pub(crate) fn is_relayed(&self) -> bool {
        self.protocol == Protocol::Tcp
    }

    /// Its socket once more.
    pub(crate) fn second_handle(&self) -> io::Result<socket2::Socket> {
        socket::second_handle(self.io.tcp())
    }

    fn into_http(self, is_http2: bool) -> (Rc<Downstream>, Io) {
        let Self { worker, listener, io, ends, server_name, destination, mut open, .. } = self;
        let wire = Rc::new(Wire::new());
        open.watch(&wire, &listener);
        let downstream = Downstream {
            worker,
            ends,
            wire,
            is_http2,
            listener_name: listener.key.listener.clone(),
            going_away: is_http2.then(GoingAway::default),
            server_name,
            destination,
            reset: io.reset_flag(),
            is_others_turn: Cell::new(false),
            takes_back: Cell::new(false),
            listener: RefCell::new(listener),
            open: Some(open),
        };
        (Rc::new(downstream), io)
    }
}

async fn relay(opened: Opened) {
    let Opened { worker, listener, io, ends, server_name, destination, open: _open, .. } = opened;
    let now = Instant::now();
    let Ok(toward) = listener.cluster.toward_original(destination.as_ref(), now) else { return };
    let cluster = toward.as_ref().unwrap_or(&listener.cluster);
    let mut endpoint = cluster.pick(now);
    if endpoint.is_unresolved() {
        // Boxed, because it happens once.
        endpoint = Box::pin(cluster.pick_resolved(now)).await;
    }
    let assignment = Assignment::of_connection(endpoint);
    let (endpoint, permit) = (&assignment.endpoint, Cell::new(None));
    // Pinned here, so that all that passes it on does not carry its size.
    let dial = pin!(async {
        permit.set(cluster.admit_now()?);
        let dialled = connect::open(cluster.shared(), endpoint.endpoint(), Inside::Bytes, Some(&ends)).await;
        cluster.shard.count_connection(dialled.as_ref().err().map(|e| e.kind));
        dialled
    });
    let (opening, early) = (None, Bytes::new());
    let endpoint = &endpoint.shared;
    let source = ends.source;
    let relayed = Relayed { worker: &worker, listener: &listener, source, server_name, opening, endpoint, early };
    let outcome = relayed.relay(io, dial).await;
    judge(&assignment, &outcome);
}

/// How the endpoint fared with a connection: a single byte from there is an answer.
fn judge(assignment: &Assignment, outcome: &RelayOutcome<ProxyError>) {
    match &outcome.end {
        _ if outcome.response_bytes > 0 => assignment.judge(Fared::Well),
        RelayEnd::ConnectFailed(error) => assignment.failed(error.kind),
        RelayEnd::Injected { .. } | RelayEnd::Abandoned | RelayEnd::Broken { by: Side::Upstream, .. } => {
            assignment.judge(Fared::Badly);
        }
        RelayEnd::Finished | RelayEnd::Broken { .. } | RelayEnd::Idle | RelayEnd::Cut | RelayEnd::ListenerEnded => {
            assignment.spare();
        }
    }
}

/// Relays what flows after a switch of protocols. The connection stays counted, so that a drain waits for it.
pub(crate) async fn relay_tunnel(downstream: Downstream, io: Io, onward: Onward) {
    let Onward { io: upstream, input, permit: _permit, opening } = onward;
    let (Some(upstream), Some(opening)) = (Rc::into_inner(upstream), opening) else {
        debug_assert!(false, "a tunnel whose exchange is not over");
        return;
    };
    let dial = std::future::ready(Ok(upstream.into_inner()));
    let listener = Rc::clone(&opening.listener);
    // It goes on being open there; how the endpoint fared was told by its answer.
    let assignment = Assignment::of_connection(Rc::clone(&opening.endpoint));
    assignment.spare();
    let relayed = Relayed {
        worker: &downstream.worker,
        listener: &listener,
        source: downstream.ends.source,
        server_name: downstream.server_name.clone(),
        endpoint: &assignment.endpoint.shared,
        opening: Some(opening),
        early: input.bytes().clone(),
    };
    let _ended = relayed.relay(io, dial).await;
}

/// A connection whose bytes are relayed.
struct Relayed<'a> {
    worker: &'a Rc<Worker>,
    listener: &'a Rc<ListenerView>,
    source: SocketAddr,
    server_name: Option<Arc<str>>,
    opening: Option<Box<Opening>>,
    endpoint: &'a Arc<SharedEndpoint>,
    /// What was read from the endpoint before.
    early: Bytes,
}

impl Relayed<'_> {
    async fn relay(self, io: Io, dial: impl Future<Output = Result<Stream, ProxyError>>) -> RelayOutcome<ProxyError> {
        let Self { worker, listener, source, server_name, opening, endpoint, early } = self;
        if opening.is_none() {
            listener.shard.relays.add(1);
        }
        let record = Rc::new(ConnectionRecord::begin(worker, listener, source));
        let context = RelayContext {
            listener: Arc::clone(&listener.compiled),
            tenure: Tenure::of(listener),
            source,
            server_name,
            opening,
            endpoint: Arc::clone(endpoint),
            changes: worker.changes(),
            life: worker.life(),
            budget: worker.budget().clone(),
            early,
            dial,
            record: Rc::<ConnectionRecord>::clone(&record),
        };
        let outcome = tcp::relay::relay(context, io).await;
        record.finish(endpoint, &outcome);
        outcome
    }
}
