//! The control side's thread: one runtime for the API, Toxiproxy's API, the telemetry, the watched file and the clock.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use squall_config::Chain;
use squall_config::model::{ControlAddress, Controller};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use crate::access::peer::{End, Peer, name_in};
use crate::app::App;
use crate::error::ApiError;
use crate::listen::{self, Accepted, BindError, Bound, Listener};
use crate::slow_reader::SlowReader;
use crate::web::Web;
use crate::{experiment, expiry, fleet, guards, routes};

/// Connections at once to each of the servers; others wait in the backlog. More than the subscribers of events and
/// the calls together.
const CONNECTIONS_MAX: usize = 256;
/// A request head that takes longer does not come from a client that works.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a request head may take while there are few places left, so that callers who have something to say come in.
const HEADER_TIMEOUT_CROWDED: Duration = Duration::from_millis(500);
/// Of [`CONNECTIONS_MAX`], those that only quick callers get.
const PLACES_KEPT: usize = CONNECTIONS_MAX / 2;
/// An answer or an event that the peer does not read for so long ends its connection.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// What is in flight gets this long when the server ends.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);
/// After an error of accept, such as no descriptor left: time for one to come free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Slow calls at once; each costs a thread while it runs.
const BLOCKING_THREADS_MAX: usize = 16;

/// Gives what the next TLS handshake is to use; `None` when there is nothing, which ends the connection.
pub type TlsSource = Arc<dyn Fn() -> Option<Arc<ServerConfig>> + Send + Sync>;

/// What to start.
pub struct ControlOptions {
    /// What its parts share.
    pub app: Arc<App>,
    /// Where the control API listens; port 0 lets the system choose.
    pub address: ControlAddress,
    /// TLS of the control API; `None` is plain HTTP.
    pub tls: Option<TlsSource>,
    /// Where the read-only telemetry listens, too.
    pub telemetry: Option<SocketAddr>,
    /// Where Toxiproxy's API listens, too.
    pub toxiproxy: Option<SocketAddr>,
    /// Asks for what guards ask over HTTP.
    pub web: Arc<dyn Web>,
    /// The controller whose orders are followed, and what asks it: on a thread of its own, so that no guard keeps it waiting.
    pub controller: Option<(Controller, Arc<dyn Web>)>,
    /// Whether to reload the configuration file, and the files of the data plane, when they change.
    pub watch: bool,
}

impl std::fmt::Debug for ControlOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ControlOptions").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Why the control side did not start.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// An address cannot be listened on.
    #[error("{field}: cannot listen on {address}")]
    Bind {
        /// `control.address`, `telemetry.address` or `toxiproxy.address`.
        field: &'static str,
        /// The address asked for.
        address: ControlAddress,
        /// Why, and what to do about it.
        source: BindError,
    },
    /// The system gives no thread or no runtime.
    #[error("the control API cannot start, for want of a thread or an event loop")]
    Start(#[source] io::Error),
}

/// The running control side; dropping it ends it without waiting.
#[derive(Debug)]
pub struct Control {
    address: ControlAddress,
    telemetry_address: Option<SocketAddr>,
    toxiproxy_address: Option<SocketAddr>,
    app: Arc<App>,
    /// Until it is waited for.
    thread: Option<JoinHandle<()>>,
}

impl Drop for Control {
    fn drop(&mut self) {
        self.app.shutdown.send_replace(true);
    }
}

impl Control {
    /// The really bound address of the control API.
    pub fn address(&self) -> &ControlAddress {
        &self.address
    }

    /// The really bound address of the telemetry, when it is on.
    pub fn telemetry_address(&self) -> Option<SocketAddr> {
        self.telemetry_address
    }

    /// The really bound address of Toxiproxy's API, when it is on.
    pub fn toxiproxy_address(&self) -> Option<SocketAddr> {
        self.toxiproxy_address
    }

    /// Ends event streams, lets calls in flight finish for at most 2 s, ends the thread.
    pub fn shutdown(mut self) {
        self.app.shutdown.send_replace(true);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the control thread ended by a panic");
        }
    }
}

/// Binds, then serves on a thread of its own.
///
/// # Errors
/// See [`ControlError`]; nothing is left behind.
pub fn start(options: ControlOptions) -> Result<Control, ControlError> {
    let refuse = |field, address: &ControlAddress| {
        let address = address.clone();
        move |source| ControlError::Bind { field, address, source }
    };
    let api = listen::bind(&options.address).map_err(refuse("control.address", &options.address))?;
    let bind = |field, address: Option<SocketAddr>| {
        let address = address.map(ControlAddress::Tcp);
        address.map(|address| listen::bind(&address).map_err(refuse(field, &address))).transpose()
    };
    let telemetry = bind("telemetry.address", options.telemetry)?;
    let toxiproxy = bind("toxiproxy.address", options.toxiproxy)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .build()
        .map_err(ControlError::Start)?;
    let address = match &api {
        Bound::Tcp(listener) => ControlAddress::Tcp(listener.local_addr().map_err(ControlError::Start)?),
        Bound::Unix(..) => options.address,
    };
    let bound =
        |bound: &Option<Bound>| bound.as_ref().and_then(Bound::address).transpose().map_err(ControlError::Start);
    let (telemetry_address, toxiproxy_address) = (bound(&telemetry)?, bound(&toxiproxy)?);
    let ControlOptions { app, web, watch, tls, controller, .. } = options;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let (doors, upkeep) = (Doors { api, tls, telemetry, toxiproxy }, Upkeep { web, controller, watch });
    let life = live(Arc::clone(&app), doors, upkeep);
    let work = move || {
        if let Err(error) = runtime.block_on(life) {
            tracing::error!(%error, "the control API ended");
        }
        runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    };
    let thread =
        std::thread::Builder::new().name("squall-control".to_owned()).spawn(work).map_err(ControlError::Start)?;
    let telemetry = telemetry_address.map(tracing::field::display);
    tracing::info!(%address, scheme, telemetry, "control API listens");
    if let Some(address) = toxiproxy_address {
        tracing::info!(%address, "Toxiproxy's API listens");
    }
    Ok(Control { address, telemetry_address, toxiproxy_address, app, thread: Some(thread) })
}

/// Where somebody may call.
struct Doors {
    api: Bound,
    tls: Option<TlsSource>,
    telemetry: Option<Bound>,
    toxiproxy: Option<Bound>,
}

impl Doors {
    /// Serves at each of them.
    fn open(self, app: &Arc<App>, stopped: &watch::Receiver<bool>) -> io::Result<JoinSet<()>> {
        let mut servers = JoinSet::new();
        servers.spawn(serve(Listener::new(self.api)?, self.tls, routes::control(Arc::clone(app)), stopped.clone()));
        if let Some(telemetry) = self.telemetry {
            servers.spawn(serve(Listener::new(telemetry)?, None, routes::telemetry(Arc::clone(app)), stopped.clone()));
        }
        if let Some(toxiproxy) = self.toxiproxy {
            servers.spawn(serve(
                Listener::new(toxiproxy)?,
                None,
                crate::toxiproxy::router(Arc::clone(app)),
                stopped.clone(),
            ));
        }
        Ok(servers)
    }
}

/// What goes on without a call.
struct Upkeep {
    /// For guards and experiments, which ask others.
    web: Arc<dyn Web>,
    /// Whom to follow, and how it is asked.
    controller: Option<(Controller, Arc<dyn Web>)>,
    watch: bool,
}

impl Upkeep {
    /// Until the set is dropped.
    fn begin(self, app: &Arc<App>) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        tasks.spawn(expiry::end_rules(Arc::clone(app)));
        tasks.spawn(guards::run(Arc::clone(app), Arc::clone(&self.web)));
        tasks.spawn(experiment::runner::run(Arc::clone(app), self.web));
        tasks.spawn(expiry::end_lease(Arc::clone(&app.publisher)));
        if let Some((controller, web)) = self.controller {
            tasks.spawn(fleet::run(Arc::clone(app), web, controller));
        }
        if self.watch {
            tasks.spawn(crate::watch::configuration(Arc::clone(app)));
            tasks.spawn(crate::watch::tokens(Arc::clone(app)));
            tasks.spawn(crate::watch::files_of_data_plane(Arc::clone(app)));
        }
        tasks
    }
}

async fn live(app: Arc<App>, doors: Doors, upkeep: Upkeep) -> io::Result<()> {
    let mut stopped = app.shutdown.subscribe();
    let _tasks = upkeep.begin(&app);
    let servers = doors.open(&app, &stopped)?;
    end_of(&mut stopped).await;
    if tokio::time::timeout(SHUTDOWN_TIMEOUT, servers.join_all()).await.is_err() {
        tracing::warn!("calls of the control API were cut at the end");
    }
    Ok(())
}

/// Accepts until stopped, then waits for the connections.
async fn serve(listener: Listener, tls: Option<TlsSource>, router: Router, stopped: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    let mut stop = stopped.clone();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = end_of(&mut stop) => break,
        };
        match accepted {
            Ok((socket, end)) => {
                let is_crowded = places.available_permits() < PLACES_KEPT;
                let patience = if is_crowded { HEADER_TIMEOUT_CROWDED } else { HEADER_TIMEOUT };
                let serving = Serving { router: router.clone(), stopped: stopped.clone(), patience };
                let connection = begin(socket, end, tls.clone(), serving);
                connections.spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the control API cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    connections.join_all().await;
}

/// How a connection is served.
struct Serving {
    router: Router,
    stopped: watch::Receiver<bool>,
    /// For a handshake, and for each head of a request.
    patience: Duration,
}

/// The handshake, when there is TLS, and the life of the connection.
async fn begin(socket: Accepted, end: End, tls: Option<TlsSource>, serving: Serving) {
    let peer = Peer::of(end);
    let (socket, tls) = match (socket, tls) {
        (Accepted::Unix(socket), _) => return connection(socket, peer, serving).await,
        (Accepted::Tcp(socket), None) => return connection(socket, peer, serving).await,
        (Accepted::Tcp(socket), Some(tls)) => (socket, tls),
    };
    let Some(config) = tls() else { return };
    let handshake = TlsAcceptor::from(config).accept(socket);
    match tokio::time::timeout(serving.patience, handshake).await {
        Ok(Ok(stream)) => {
            let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
            let certificate =
                certificate.map(|certificate| name_in(certificate).unwrap_or_else(|| "without a name".into()));
            connection(stream, Peer { certificate, ..peer }, serving).await;
        }
        Ok(Err(error)) => tracing::warn!(%error, from = peer.from(), "no TLS with a client of the control API"),
        Err(_elapsed) => tracing::debug!(from = peer.from(), "a handshake with the control API took too long"),
    }
}

async fn connection<S>(socket: S, peer: Peer, serving: Serving)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Serving { router, mut stopped, patience } = serving;
    let from = peer.from();
    let service = hyper::service::service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
        let router = router.clone();
        request.extensions_mut().insert(peer.clone());
        async move {
            let answer = async { router.oneshot(request).await.unwrap_or_else(|never: Infallible| match never {}) };
            Ok::<_, Infallible>(catch_panic(answer).await)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience)
        .max_buf_size(64 << 10)
        .serve_connection(TokioIo::new(SlowReader::new(socket, WRITE_TIMEOUT)), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = end_of(&mut stopped) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = %Chain(&error), from, "a connection to the control API broke");
    }
}

/// Waits for the stop.
async fn end_of(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|is_over| *is_over).await;
}

/// A panic ends the call alone: 500.
async fn catch_panic(answer: impl Future<Output = Response>) -> Response {
    AssertUnwindSafe(answer).catch_unwind().await.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
        tracing::error!(panic = text.unwrap_or("?"), "a call of the control API panicked");
        ApiError::internal("the call failed inside Squall").into_response()
    })
}
