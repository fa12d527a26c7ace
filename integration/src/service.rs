//! A small Service A that calls Service B for each request, as well or as badly as a test wants, and callers of it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OnceCell;

/// How A treats its calls to B.
#[derive(Clone, Copy, Debug)]
pub struct Manners {
    /// How long it waits for a try; `None` is for ever.
    pub timeout: Option<Duration>,
    /// How often it tries.
    pub tries: u32,
    /// Between two tries.
    pub pause: Duration,
    /// Whether it has something to answer when B does not.
    pub fallback: bool,
    /// Whether it passes on `traceparent` and `x-request-id`.
    pub passes_ids_on: bool,
    /// Whether it begins a trace of its own for a request that has none, as what is instrumented does.
    pub begins_traces: bool,
}

impl Manners {
    /// A timeout, and a cached answer.
    pub const ROBUST: Self = Self {
        timeout: Some(Duration::from_millis(150)),
        tries: 1,
        pause: Duration::ZERO,
        fallback: true,
        passes_ids_on: true,
        begins_traces: false,
    };
    /// Neither.
    pub const FRAGILE: Self = Self { timeout: None, fallback: false, ..Self::ROBUST };
}

/// A running A. Path `/about` needs no B.
#[derive(Clone, Debug)]
pub struct ServiceA {
    /// Where it listens.
    pub address: SocketAddr,
    /// What it was asked.
    pub asked: Arc<Asked>,
}

/// How many requests A got, and with which ids.
#[derive(Debug, Default)]
pub struct Asked {
    /// All of them.
    pub all: AtomicU64,
    /// With a `traceparent`.
    pub with_trace: AtomicU64,
    /// With an `x-request-id`.
    pub with_request_id: AtomicU64,
}

impl ServiceA {
    /// Begins to serve, on the current runtime; calls B through `b`, and is not available before that is known.
    ///
    /// # Panics
    /// When no socket can be had.
    pub async fn start(b: Arc<OnceCell<Caller>>, manners: Manners) -> Self {
        let asked: Arc<Asked> = Arc::default();
        let count = Arc::clone(&asked);
        let address = serve(move |request: Request<Incoming>| {
            let b = Arc::clone(&b);
            let has = |name: &str| u64::from(request.headers().contains_key(name));
            count.all.fetch_add(1, Relaxed);
            count.with_trace.fetch_add(has("traceparent"), Relaxed);
            count.with_request_id.fetch_add(has("x-request-id"), Relaxed);
            async move {
                match b.get() {
                    Some(b) => answer(&request, b, manners).await,
                    None => plain(StatusCode::SERVICE_UNAVAILABLE, "none", ""),
                }
            }
        });
        Self { address: address.await, asked }
    }
}

async fn answer(request: &Request<Incoming>, b: &Caller, manners: Manners) -> Response<Full<Bytes>> {
    if request.uri().path() == "/about" {
        return plain(StatusCode::OK, "none", "A");
    }
    let mut headers = HeaderMap::new();
    for name in ["traceparent", "x-request-id"] {
        if let Some(value) = request.headers().get(name).filter(|_| manners.passes_ids_on) {
            headers.insert(name, value.clone());
        }
    }
    if manners.begins_traces && !headers.contains_key("traceparent") {
        static TRACES: AtomicU64 = AtomicU64::new(1);
        let trace = TRACES.fetch_add(1, Relaxed);
        let text = format!("00-{:016x}{trace:016x}-{trace:016x}-01", trace.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        headers.extend(HeaderValue::from_str(&text).ok().map(|value| (HeaderName::from_static("traceparent"), value)));
    }
    for n in 0..manners.tries {
        if n > 0 {
            tokio::time::sleep(manners.pause).await;
        }
        let call = b.get("/v1/price", headers.clone());
        let answer = match manners.timeout {
            None => call.await,
            Some(timeout) => tokio::time::timeout(timeout, call).await.ok().flatten(),
        };
        if answer.is_some_and(|status| status.is_success()) {
            return plain(StatusCode::OK, "b", "{\"price\": 42}");
        }
    }
    match manners.fallback {
        true => plain(StatusCode::OK, "cache", "{\"price\": 41}"),
        false => plain(StatusCode::BAD_GATEWAY, "none", ""),
    }
}

fn plain(status: StatusCode, source: &str, body: &'static str) -> Response<Full<Bytes>> {
    let answer =
        Response::builder().status(status).header("x-source", source).header("content-type", "application/json");
    answer.body(Full::new(Bytes::from_static(body.as_bytes()))).expect("a well-formed answer")
}

/// A running B, which takes so long for each answer.
///
/// # Panics
/// When no socket can be had.
pub async fn service_b(work: Duration) -> (SocketAddr, Arc<AtomicU64>) {
    let calls: Arc<AtomicU64> = Arc::default();
    let count = Arc::clone(&calls);
    let address = serve(move |_| {
        count.fetch_add(1, Relaxed);
        async move {
            tokio::time::sleep(work).await;
            plain(StatusCode::OK, "b", "{\"price\": 42}")
        }
    });
    (address.await, calls)
}

async fn serve<F, R>(answer: F) -> SocketAddr
where
    F: Fn(Request<Incoming>) -> R + Clone + Send + 'static,
    R: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let _ = socket.set_nodelay(true);
            let answer = answer.clone();
            let service = service_fn(move |request| {
                let answer = answer(request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service);
            tokio::spawn(async move { drop(connection.await) });
        }
    });
    address
}

/// Calls one address over connections that are kept. Dropping a call closes its connection.
#[derive(Debug)]
pub struct Caller {
    address: SocketAddr,
    idle: Mutex<Vec<SendRequest<Empty<Bytes>>>>,
}

impl Caller {
    /// Without connections yet.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, idle: Mutex::default() }
    }

    /// The status of a GET; `None` when there is no whole answer.
    pub async fn get(&self, path: &str, headers: HeaderMap) -> Option<StatusCode> {
        loop {
            let kept = lock(&self.idle).pop().filter(|sender| !sender.is_closed());
            let is_kept = kept.is_some();
            let mut sender = match kept {
                Some(sender) => sender,
                None => self.connect().await?,
            };
            let mut request = Request::get(path).header("host", self.address.to_string()).body(Empty::new()).ok()?;
            request.headers_mut().extend(headers.clone());
            match sender.try_send_request(request).await {
                Ok(answer) => {
                    let status = answer.status();
                    answer.into_body().collect().await.ok()?;
                    lock(&self.idle).push(sender);
                    return Some(status);
                }
                // A kept connection was closed meanwhile, and nothing went out.
                Err(error) if is_kept && error.message().is_some() => {}
                Err(_) => return None,
            }
        }
    }

    async fn connect(&self) -> Option<SendRequest<Empty<Bytes>>> {
        let socket = TcpStream::connect(self.address).await.ok()?;
        socket.set_nodelay(true).ok()?;
        let (sender, connection) = handshake(TokioIo::new(socket)).await.ok()?;
        tokio::spawn(async move { drop(connection.await) });
        Some(sender)
    }
}

/// Calls A so often a second until it is told to end; each request on time, whether or not others were answered. Of ten requests
/// one is for a path that needs no B.
#[derive(Debug)]
pub struct Callers {
    task: tokio::task::JoinHandle<()>,
    /// How many requests were sent, and how many of them did not succeed.
    pub counts: Arc<(AtomicU64, AtomicU64)>,
}

impl Callers {
    /// Begins at once.
    pub fn start(a: SocketAddr, rate: u32) -> Self {
        let counts: Arc<(AtomicU64, AtomicU64)> = Arc::default();
        let (caller, shared) = (Arc::new(Caller::new(a)), Arc::clone(&counts));
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
            for n in 0_u64.. {
                ticks.tick().await;
                let (caller, counts) = (Arc::clone(&caller), Arc::clone(&shared));
                tokio::spawn(async move {
                    counts.0.fetch_add(1, Relaxed);
                    let path = if n % 10 == 9 { "/about" } else { "/quote" };
                    let status =
                        tokio::time::timeout(Duration::from_secs(10), caller.get(path, HeaderMap::new())).await;
                    if !status.ok().flatten().is_some_and(|status| status.is_success()) {
                        counts.1.fetch_add(1, Relaxed);
                    }
                });
            }
        });
        Self { task, counts }
    }
}

impl Drop for Callers {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
