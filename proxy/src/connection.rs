//! One downstream connection: which protocol, then HTTP or a relay.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use squall_config::model::{Http2Code, ListenerProtocol, Name};
use tokio::net::TcpStream;

use crate::balance::Claim;
use crate::error::ProxyError;
use crate::http::opening::Opening;
use crate::http::wire::Wire;
use crate::http1::tunnel::Tunnel;
use crate::http2::going_away::GoingAway;
use crate::net::reset::{Io, ResetFlag};
use crate::net::socket;
use crate::protocol::{Protocol, detect};
use crate::tcp::record::ConnectionRecord;
use crate::tcp::relay::{RelayContext, RelayEnd, RelayOutcome, Side};
use crate::upstream::cluster::Assignment;
use crate::upstream::shared::{Fared, SharedEndpoint};
use crate::view::ListenerView;
use crate::worker::{OpenConnection, Worker};
use crate::{http1, http2, tcp, upstream};

/// What the exchanges of one connection share.
#[derive(Debug)]
pub(crate) struct Downstream {
    pub(crate) worker: Rc<Worker>,
    pub(crate) source: SocketAddr,
    pub(crate) wire: Rc<Wire>,
    pub(crate) is_http2: bool,
    pub(crate) listener_name: Name,
    /// Of an HTTP/2 connection.
    pub(crate) going_away: Option<GoingAway>,
    reset: ResetFlag,
    listener: RefCell<Rc<ListenerView>>,
    /// Counts the connection, unless another worker does; tunnels keep it beyond the HTTP server's life.
    _open: Option<OpenConnection>,
}

impl Downstream {
    /// A connection of another worker, for one of its HTTP/2 streams.
    pub(crate) fn of_guest(
        worker: &Rc<Worker>,
        listener: &Rc<ListenerView>,
        source: SocketAddr,
        going_away: GoingAway,
    ) -> Rc<Self> {
        Rc::new(Self {
            worker: Rc::clone(worker),
            source,
            wire: Rc::new(Wire::new()),
            is_http2: true,
            listener_name: listener.key.listener.clone(),
            going_away: Some(going_away),
            reset: ResetFlag::default(),
            listener: RefCell::new(Rc::clone(listener)),
            _open: None,
        })
    }

    /// The listener as of the newest snapshot.
    pub(crate) fn current_listener(&self) -> Rc<ListenerView> {
        let view = self.worker.view();
        let mut cached = self.listener.borrow_mut();
        if !Arc::ptr_eq(&cached.snapshot, &view.snapshot) {
            *cached = match view.listener(self.listener_name.as_str()) {
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

    /// What to arm later.
    pub(crate) fn reset_of_connection(&self) -> Option<ResetFlag> {
        (!self.is_http2).then(|| self.reset.clone())
    }
}

/// A connection whose protocol is known.
struct Accepted {
    worker: Rc<Worker>,
    listener: Rc<ListenerView>,
    io: Io,
    source: SocketAddr,
    open: OpenConnection,
}

/// Serves a connection from its first byte to its end.
pub(crate) async fn serve(
    worker: Rc<Worker>,
    listener: Rc<ListenerView>,
    stream: TcpStream,
    source: SocketAddr,
    claim: Claim,
) {
    let open = worker.open(&listener, claim);
    if let Err(error) = socket::prepare_accepted(&stream) {
        return tracing::debug!(%error, "connection ended before it began");
    }
    let mut seen = BytesMut::new();
    let detected = match listener.compiled.listener.protocol {
        ListenerProtocol::Tcp => Some(Protocol::Tcp),
        protocol => {
            let (first, rest) = time_limits(&listener, protocol);
            tokio::select! {
                detected = detect(&stream, &mut seen, protocol, first, rest) => detected,
                () = worker.draining() => None,
            }
        }
    };
    let Some(protocol) = detected else { return };
    let accepted = Accepted { worker, listener, io: Io::with_prefix(stream, seen.freeze()), source, open };
    match protocol {
        // Boxed, so that a connection has the size of its own protocol and not of the largest.
        Protocol::Tcp => Box::pin(relay(accepted)).await,
        Protocol::Http1 => Box::pin(serve_http1(accepted)).await,
        Protocol::Http2 => Box::pin(serve_http2(accepted)).await,
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

async fn serve_http1(accepted: Accepted) {
    let head_bytes_max = accepted.listener.snapshot.config.limits.head_bytes_max;
    let (downstream, io) = accepted.into_http(false);
    http1::server::serve(downstream, io, head_bytes_max).await;
}

async fn serve_http2(accepted: Accepted) {
    let (downstream, io) = accepted.into_http(true);
    http2::server::serve(downstream, io).await;
}

impl Accepted {
    fn into_http(self, is_http2: bool) -> (Rc<Downstream>, Io) {
        let Self { worker, listener, io, source, mut open } = self;
        let wire = Rc::new(Wire::new());
        open.watch(&wire, &listener);
        let downstream = Downstream {
            worker,
            source,
            wire,
            is_http2,
            listener_name: listener.key.listener.clone(),
            going_away: is_http2.then(GoingAway::default),
            reset: io.reset_flag(),
            listener: RefCell::new(listener),
            _open: Some(open),
        };
        (Rc::new(downstream), io)
    }
}

async fn relay(accepted: Accepted) {
    let Accepted { worker, listener, io, source, open: _open } = accepted;
    let (cluster, now) = (&listener.cluster, Instant::now());
    let mut endpoint = cluster.pick(now);
    if endpoint.is_unresolved() {
        // Boxed, because it happens once.
        endpoint = Box::pin(cluster.pick_resolved(now)).await;
    }
    let assignment = Assignment::of_connection(endpoint);
    let (endpoint, permit) = (&assignment.endpoint, Cell::new(None));
    let dial = async {
        permit.set(cluster.admit_now()?);
        let dialled = upstream::connect::dial(&cluster.cluster, endpoint.endpoint()).await;
        cluster.shard.count_connection(dialled.as_ref().err().map(|e| e.kind));
        dialled
    };
    let (opening, early) = (None, Bytes::new());
    let stream = Stream { worker: &worker, listener: &listener, source, opening, endpoint: &endpoint.shared, early };
    let outcome = stream.relay(io, dial).await;
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
        RelayEnd::Finished | RelayEnd::Broken { .. } | RelayEnd::Idle | RelayEnd::Cut => assignment.spare(),
    }
}

/// Relays what flows after a switch of protocols. Whoever calls holds the connection, which keeps it counted.
pub(crate) async fn relay_tunnel(downstream: &Downstream, io: Io, tunnel: Tunnel) {
    let Tunnel { io: upstream, input, permit: _permit, opening } = tunnel;
    let (Some(upstream), Some(opening)) = (Rc::into_inner(upstream), opening) else {
        debug_assert!(false, "a tunnel whose exchange is not over");
        return;
    };
    let dial = std::future::ready(Ok(upstream.into_inner()));
    let listener = Rc::clone(&opening.listener);
    // It goes on being open there; how the endpoint fared was told by its answer.
    let assignment = Assignment::of_connection(Rc::clone(&opening.endpoint));
    assignment.spare();
    let stream = Stream {
        worker: &downstream.worker,
        listener: &listener,
        source: downstream.source,
        endpoint: &assignment.endpoint.shared,
        opening: Some(opening),
        early: input.bytes().clone(),
    };
    let _ended = stream.relay(io, dial).await;
}

/// A connection whose bytes are relayed.
struct Stream<'a> {
    worker: &'a Rc<Worker>,
    listener: &'a Rc<ListenerView>,
    source: SocketAddr,
    opening: Option<Box<Opening>>,
    endpoint: &'a Arc<SharedEndpoint>,
    /// What was read from the endpoint before.
    early: Bytes,
}

impl Stream<'_> {
    async fn relay(
        self,
        io: Io,
        dial: impl Future<Output = Result<TcpStream, ProxyError>>,
    ) -> RelayOutcome<ProxyError> {
        let Self { worker, listener, source, opening, endpoint, early } = self;
        let record = Rc::new(ConnectionRecord::begin(worker, listener, source));
        let context = RelayContext {
            listener: Arc::clone(&listener.compiled),
            source,
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
