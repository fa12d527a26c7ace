//! The control side's thread: one runtime for the API, the telemetry, the watched file and the clock.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tower::ServiceExt;

use crate::api::{App, catch_panic};
use crate::input::Peer;
use crate::publish::Publisher;
use crate::{expiry, routes};

/// Connections at once to each of the two servers; others wait in the backlog. More than the subscribers of events and
/// the calls together.
const CONNECTIONS_MAX: usize = 256;
/// A request head that takes longer does not come from a client that works.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// What is in flight gets this long when the server ends.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);
/// After an error of accept, such as no descriptor left: time for one to come free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Slow calls at once; each costs a thread while it runs.
const BLOCKING_THREADS_MAX: usize = 16;

/// What to start.
#[derive(Debug)]
pub struct ControlOptions {
    /// The only writer.
    pub publisher: Arc<Publisher>,
    /// Where the control API listens; port 0 lets the system choose.
    pub address: SocketAddr,
    /// Where the read-only telemetry listens, too.
    pub telemetry: Option<SocketAddr>,
    /// Whether to reload the publisher's file, and the files of the data plane, when they change.
    pub watch: bool,
}

/// Why the control side did not start.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// An address cannot be listened on.
    #[error("{field}: cannot listen on {address}: {reason}; choose another address, or port 0 for any free one")]
    Bind {
        /// `control.address` or `telemetry.address`.
        field: &'static str,
        /// The address asked for.
        address: SocketAddr,
        /// In words.
        reason: String,
    },
    /// The system gives no thread or no runtime.
    #[error("the control API cannot start: no thread or no event loop")]
    Start(#[source] io::Error),
}

/// The running control side; dropping it ends it without waiting.
#[derive(Debug)]
pub struct Control {
    address: SocketAddr,
    telemetry_address: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl Control {
    /// The really bound address of the control API.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The really bound address of the telemetry, when it is on.
    pub fn telemetry_address(&self) -> Option<SocketAddr> {
        self.telemetry_address
    }

    /// Ends event streams, lets calls in flight finish for at most 2 s, ends the thread.
    pub fn shutdown(self) {
        self.stop.send_replace(true);
        if self.thread.join().is_err() {
            tracing::error!("the control thread ended by a panic");
        }
    }
}

/// Binds, then serves on a thread of its own.
///
/// # Errors
/// See [`ControlError`]; nothing is left behind.
pub fn start(options: ControlOptions) -> Result<Control, ControlError> {
    let api = bind("control.address", options.address)?;
    let telemetry = options.telemetry.map(|address| bind("telemetry.address", address)).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .build()
        .map_err(ControlError::Start)?;
    let (stop, stopped) = watch::channel(false);
    let address = api.local_addr().map_err(ControlError::Start)?;
    let telemetry_address =
        telemetry.as_ref().map(std::net::TcpListener::local_addr).transpose().map_err(ControlError::Start)?;
    let (publisher, watch) = (options.publisher, options.watch);
    let life = async move { live(publisher, watch, api, telemetry, stopped).await };
    let work = move || {
        if let Err(error) = runtime.block_on(life) {
            tracing::error!(%error, "the control API ended");
        }
        runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    };
    let thread =
        std::thread::Builder::new().name("squall-control".to_owned()).spawn(work).map_err(ControlError::Start)?;
    tracing::info!(%address, telemetry = ?telemetry_address, "control API listens");
    Ok(Control { address, telemetry_address, stop, thread })
}

fn bind(field: &'static str, address: SocketAddr) -> Result<std::net::TcpListener, ControlError> {
    let listener = std::net::TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    listener.map_err(|error| {
        let reason = match error.kind() {
            io::ErrorKind::AddrInUse => "the port is in use by another program".to_owned(),
            io::ErrorKind::PermissionDenied => "permission denied; ports below 1024 need a privilege".to_owned(),
            io::ErrorKind::AddrNotAvailable => "this machine does not have that address".to_owned(),
            _ => error.to_string(),
        };
        ControlError::Bind { field, address, reason }
    })
}

async fn live(
    publisher: Arc<Publisher>,
    watch: bool,
    api: std::net::TcpListener,
    telemetry: Option<std::net::TcpListener>,
    mut stopped: watch::Receiver<bool>,
) -> io::Result<()> {
    let app = App { publisher: Arc::clone(&publisher), shutdown: stopped.clone() };
    let mut tasks = JoinSet::new();
    tasks.spawn(expiry::run(Arc::clone(&publisher)));
    if watch {
        tasks.spawn(crate::watch::configuration(Arc::clone(&publisher)));
        tasks.spawn(crate::watch::files_of_data_plane(publisher));
    }
    let api = tokio::net::TcpListener::from_std(api)?;
    let mut servers = JoinSet::new();
    servers.spawn(serve(api, routes::control(app.clone()), stopped.clone()));
    if let Some(telemetry) = telemetry {
        let telemetry = tokio::net::TcpListener::from_std(telemetry)?;
        servers.spawn(serve(telemetry, routes::telemetry(app), stopped.clone()));
    }
    end_of(&mut stopped).await;
    if tokio::time::timeout(SHUTDOWN_TIMEOUT, servers.join_all()).await.is_err() {
        tracing::warn!("calls of the control API were cut at the end");
    }
    Ok(())
}

/// Accepts until stopped, then waits for the connections.
async fn serve(listener: tokio::net::TcpListener, router: Router, stopped: watch::Receiver<bool>) {
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
            Ok((socket, peer)) => {
                let connection = connection(socket, peer, router.clone(), stopped.clone());
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

async fn connection(socket: TcpStream, peer: SocketAddr, router: Router, mut stopped: watch::Receiver<bool>) {
    // Answers are small and people wait for them.
    let _ = socket.set_nodelay(true);
    let service = hyper::service::service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
        let router = router.clone();
        request.extensions_mut().insert(Peer(peer));
        async move {
            let answer = async { router.oneshot(request).await.unwrap_or_else(|never: Infallible| match never {}) };
            Ok::<_, Infallible>(catch_panic(answer).await)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(64 << 10)
        .serve_connection(TokioIo::new(socket), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = end_of(&mut stopped) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %peer, "a connection to the control API broke");
    }
}

/// Waits for the stop. An error means that the [`Control`] was dropped: the same.
async fn end_of(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|is_over| *is_over).await;
}
