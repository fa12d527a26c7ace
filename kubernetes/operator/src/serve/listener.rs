//! A listening socket and what comes in through it, within bounds: anybody in the cluster can connect.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustls::ServerConfig;
use squall_config::Chain;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::metrics::Connections;

/// A handshake is two round trips.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// A request head that takes longer does not come from a client that works; an idle HTTP/1 connection ends after it, too.
const HEADER_TIMEOUT: Duration = Duration::from_secs(60);
const HEADER_BYTES_MAX: usize = 64 << 10;
/// Requests at once of one HTTP/2 connection: an API server sends its reviews over few of them.
const STREAMS_MAX: u32 = 128;
/// A connection on which nothing happened at two looks in a row has nobody at its end. The API server itself gives up idle
/// ones after 90 s.
const IDLE_LOOK: Duration = Duration::from_secs(60);
/// After an error of accept, such as no descriptor left: time for one to come free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// What is in flight gets this long when the server ends; less than a pod has.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// What a listener allows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Connections at once; one more is closed at once, so that its client need not wait for a time-out to know.
    pub(crate) connections_max: usize,
}

/// A bound socket; nothing is accepted yet.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds; where the machine has no IPv6, `[::]` is every address of IPv4.
    ///
    /// # Errors
    /// Whatever the system says.
    pub(crate) async fn bind(address: SocketAddr) -> io::Result<Self> {
        let bound = match TcpListener::bind(address).await {
            Err(error) if has_no_ipv6(&error) && address.ip().is_unspecified() && address.is_ipv6() => {
                TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
            }
            other => other,
        };
        let socket =
            bound.map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }

    /// The really bound address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stopped` says so, then lets what is in flight end for at most 10 s.
    pub(crate) async fn serve(
        self,
        router: Router,
        tls: Option<Arc<ServerConfig>>,
        (limits, counted): (Limits, Connections),
        mut stopped: watch::Receiver<bool>,
    ) {
        let door = Door { router, tls: tls.map(TlsAcceptor::from), counted, builder: builder() };
        let (door, graceful) = (Arc::new(door), GracefulShutdown::new());
        let places = Arc::new(Semaphore::new(limits.connections_max));
        loop {
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                _ended = stopped.wait_for(|stopped| *stopped) => break,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept connections");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                door.counted.no_place.inc();
                tracing::debug!(%peer, "no place for another connection");
                continue;
            };
            tokio::spawn(Arc::clone(&door).welcome((stream, peer), graceful.watcher(), place));
        }
        // So that new connections are refused, and not kept waiting.
        drop(self.socket);
        if tokio::time::timeout(DRAIN_TIMEOUT, graceful.shutdown()).await.is_err() {
            tracing::info!("connections were still open at the end; they are cut");
        }
    }
}

fn has_no_ipv6(error: &io::Error) -> bool {
    // EAFNOSUPPORT has no kind of its own.
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(97)
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_BYTES_MAX)
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(HEADER_BYTES_MAX).unwrap_or(u32::MAX))
        .keep_alive_interval(Some(Duration::from_secs(20)))
        .keep_alive_timeout(Duration::from_secs(10));
    builder
}

/// What all connections of a listener share.
struct Door {
    router: Router,
    tls: Option<TlsAcceptor>,
    counted: Connections,
    builder: Builder<TokioExecutor>,
}

impl Door {
    async fn welcome(
        self: Arc<Self>,
        (stream, peer): (TcpStream, SocketAddr),
        watcher: Watcher,
        _place: OwnedSemaphorePermit,
    ) {
        // Answers are small, and somebody waits for each of them.
        let _slower = stream.set_nodelay(true);
        let Some(tls) = &self.tls else { return self.converse(stream, peer, watcher, false).await };
        match tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
            Ok(Ok(stream)) => {
                let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                self.counted.open.inc();
                self.converse(stream, peer, watcher, is_http2).await;
                self.counted.open.dec();
            }
            Ok(Err(error)) => {
                self.counted.no_handshake.inc();
                tracing::debug!(%peer, %error, "no handshake");
            }
            Err(_elapsed) => self.counted.no_handshake.inc(),
        }
    }

    /// Serves a connection to its end. Which version is spoken was agreed on: nobody has to be waited for to tell it.
    async fn converse<S>(&self, stream: S, peer: SocketAddr, watcher: Watcher, is_http2: bool)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let n_begun = Arc::new(AtomicUsize::new(0));
        let n_open = Arc::new(AtomicUsize::new(0));
        let (begun, open, router) = (Arc::clone(&n_begun), Arc::clone(&n_open), self.router.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            begun.fetch_add(1, Relaxed);
            let open = InFlight::new(&open);
            request.extensions_mut().insert(ConnectInfo(peer));
            let answered = router.clone().oneshot(request.map(Body::new));
            async move {
                let answer = answered.await;
                drop(open);
                answer.map_err(|never: Infallible| never)
            }
        });
        let builder = self.builder.clone();
        let builder = if is_http2 { builder.http2_only() } else { builder.http1_only() };
        let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
        let mut connection = pin!(watcher.watch(connection));
        let mut last = None;
        loop {
            match tokio::time::timeout(IDLE_LOOK, &mut connection).await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => {
                    tracing::debug!(%peer, error = %Chain(error.as_ref()), "a connection ended");
                    return;
                }
                Err(_elapsed) => {}
            }
            let now = n_begun.load(Relaxed);
            if n_open.load(Relaxed) == 0 && last == Some(now) {
                return;
            }
            last = Some(now);
        }
    }
}

/// A request that has no answer yet.
struct InFlight(Arc<AtomicUsize>);

impl InFlight {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
