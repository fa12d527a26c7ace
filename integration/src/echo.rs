//! An upstream on hyper (HTTP/1 or HTTP/2) that reports what it saw.
//!
//! | path | answer |
//! |---|---|
//! | `/echo…` (and any other) | JSON: method, target, version, headers (list of pairs), body, body_length, trailers |
//! | `/status/N` | status N, empty |
//! | `/bytes/N` | N bytes without Content-Length, in chunks |
//! | `/sized/N` | N bytes with Content-Length |
//! | `/mirror` | the request's body and trailers, as they come |
//! | `/trailers` | body `hello`, then `grpc-status: 0` and two `x-many` |
//! | `/cookies` | three `Set-Cookie` |
//! | `/slow/MS` | `ok` after so many milliseconds |

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Channel};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use crate::client::{Body, empty, full};

/// A running echo. It ends when it goes out of scope.
#[derive(Debug)]
pub struct Echo {
    /// Where it listens.
    pub address: SocketAddr,
    counts: Arc<Counts>,
    _alive: tokio::sync::oneshot::Sender<()>,
}

#[derive(Debug, Default)]
struct Counts {
    connections: AtomicUsize,
    requests: AtomicUsize,
}

impl Echo {
    /// Speaks HTTP/1.1.
    pub fn http1() -> Self {
        Self::start(false)
    }

    /// Speaks HTTP/2 with prior knowledge.
    pub fn http2() -> Self {
        Self::start(true)
    }

    /// On a thread and runtime of its own, so that it can be dropped anywhere.
    fn start(is_http2: bool) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a loopback port is free");
        listener.set_nonblocking(true).expect("a socket takes options");
        let address = listener.local_addr().expect("a bound socket has an address");
        let counts = Arc::new(Counts::default());
        let (alive, ended) = tokio::sync::oneshot::channel();
        let of_thread = Arc::clone(&counts);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime can be made").block_on(async {
                let listener = TcpListener::from_std(listener).expect("a listening socket");
                tokio::select! {
                    () = accept(listener, is_http2, of_thread) => {}
                    _ = ended => {}
                }
            });
        });
        Self { address, counts, _alive: alive }
    }

    /// How many requests came.
    pub fn requests(&self) -> usize {
        self.counts.requests.load(Ordering::SeqCst)
    }

    /// How many connections came.
    pub fn connections(&self) -> usize {
        self.counts.connections.load(Ordering::SeqCst)
    }
}

async fn accept(listener: TcpListener, is_http2: bool, counts: Arc<Counts>) {
    while let Ok((stream, _)) = listener.accept().await {
        counts.connections.fetch_add(1, Ordering::SeqCst);
        let _ = stream.set_nodelay(true);
        tokio::spawn(serve(stream, is_http2, Arc::clone(&counts)));
    }
}

async fn serve(stream: TcpStream, is_http2: bool, counts: Arc<Counts>) {
    let service = service_fn(move |request| {
        counts.requests.fetch_add(1, Ordering::SeqCst);
        async move { Ok::<_, hyper::Error>(answer(request).await) }
    });
    let io = TokioIo::new(stream);
    // How a connection ends is the affair of the test on the other side.
    if is_http2 {
        let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        let _ = builder.max_concurrent_streams(1000).serve_connection(io, service).await;
    } else {
        let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
    }
}

async fn answer(request: Request<Incoming>) -> Response<Body> {
    let is_head = request.method() == http::Method::HEAD;
    let answer = answer_with_body(request).await;
    // On HTTP/2 nobody else keeps the body back.
    if is_head { answer.map(|_| empty()) } else { answer }
}

async fn answer_with_body(request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let mut words = path.split('/').skip(1);
    let (verb, number) = (words.next().unwrap_or(""), words.next().and_then(|w| w.parse::<u64>().ok()).unwrap_or(0));
    match verb {
        "status" => status(number),
        "bytes" => Response::new(pattern(number)),
        "sized" => {
            let mut response = Response::new(pattern(number));
            response.headers_mut().insert("content-length", HeaderValue::from(number));
            response
        }
        "mirror" => mirror(request),
        "trailers" => with_trailers(),
        "cookies" => cookies(),
        "slow" => {
            tokio::time::sleep(Duration::from_millis(number)).await;
            Response::new(full("ok"))
        }
        _ => report(request).await,
    }
}

fn status(number: u64) -> Response<Body> {
    let mut response = Response::new(empty());
    let code = u16::try_from(number).ok().and_then(|n| http::StatusCode::from_u16(n).ok());
    *response.status_mut() = code.unwrap_or(http::StatusCode::BAD_REQUEST);
    response
}

/// So many bytes, each the low byte of its place.
fn pattern(count: u64) -> Body {
    let (mut sender, body) = Channel::new(4);
    tokio::spawn(async move {
        let mut sent = 0;
        while sent < count {
            let chunk: Vec<u8> = (sent..count.min(sent + 64 * 1024)).map(|i| i.to_le_bytes()[0]).collect();
            sent += chunk.len() as u64;
            if sender.send_data(Bytes::from(chunk)).await.is_err() {
                return;
            }
        }
    });
    body.boxed()
}

fn mirror(request: Request<Incoming>) -> Response<Body> {
    let (mut sender, body) = Channel::new(4);
    let mut incoming = request.into_body();
    tokio::spawn(async move {
        while let Some(Ok(frame)) = incoming.frame().await {
            if sender.send(frame).await.is_err() {
                return;
            }
        }
    });
    let mut response = Response::new(body.boxed());
    response.headers_mut().insert("trailer", HeaderValue::from_static("x-checksum, grpc-status, x-many"));
    response
}

fn with_trailers() -> Response<Body> {
    let (mut sender, body) = Channel::new(2);
    tokio::spawn(async move {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        trailers.append("x-many", HeaderValue::from_static("one"));
        trailers.append("x-many", HeaderValue::from_static("two"));
        let _ = sender.send_data(Bytes::from_static(b"hello")).await;
        let _ = sender.send_trailers(trailers).await;
    });
    let mut response = Response::new(body.boxed());
    response.headers_mut().insert("trailer", HeaderValue::from_static("grpc-status, x-many"));
    response
}

fn cookies() -> Response<Body> {
    let mut response = Response::new(full("cookies"));
    for value in ["a=1", "b=2; Path=/", "c=3"] {
        response.headers_mut().append("set-cookie", HeaderValue::from_static(value));
    }
    response
}

async fn report(request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let (bytes, trailers, error) = match body.collect().await {
        Ok(collected) => {
            let trailers = collected.trailers().cloned();
            (collected.to_bytes(), trailers, None)
        }
        Err(e) => (Bytes::new(), None, Some(e.to_string())),
    };
    let shown = if bytes.len() <= 64 * 1024 { String::from_utf8_lossy(&bytes).into_owned() } else { String::new() };
    let report = json!({
        "method": head.method.as_str(),
        "target": head.uri.to_string(),
        "version": format!("{:?}", head.version),
        "headers": pairs(&head.headers),
        "body": shown,
        "body_length": bytes.len(),
        "trailers": trailers.as_ref().map(pairs),
        "error": error,
    });
    let mut response = Response::new(full(report.to_string()));
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
    response
}

fn pairs(headers: &HeaderMap) -> Value {
    headers.iter().map(|(n, v)| json!([n.as_str(), String::from_utf8_lossy(v.as_bytes())])).collect()
}

/// The values of a header in a report of `/echo`.
pub fn header_all(report: &Value, name: &str) -> Vec<String> {
    values(&report["headers"], name)
}

/// The values of a trailer in a report of `/echo`.
pub fn trailer_all(report: &Value, name: &str) -> Vec<String> {
    values(&report["trailers"], name)
}

fn values(pairs: &Value, name: &str) -> Vec<String> {
    let pairs = pairs.as_array().map_or(&[][..], Vec::as_slice);
    pairs.iter().filter(|p| p[0] == name).filter_map(|p| p[1].as_str().map(str::to_owned)).collect()
}
