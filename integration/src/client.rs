//! hyper clients for keep-alive, HTTP/2 and streaming bodies.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::wait::PATIENCE;

/// Any body that a test sends.
pub type Body = BoxBody<Bytes, Infallible>;

/// No body.
pub fn empty() -> Body {
    Empty::new().boxed()
}

/// A body of known length.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed()
}

/// A GET of this path.
///
/// # Panics
/// When the path cannot be in a URI.
pub fn get(path: &str) -> Request<Body> {
    request("GET", path, empty())
}

/// A request to the authority `b`; an HTTP/1 client sends the path alone.
///
/// # Panics
/// When method or path are not well formed.
pub fn request(method: &str, path: &str, body: Body) -> Request<Body> {
    let uri = format!("http://b{path}");
    Request::builder().method(method).uri(uri).body(body).expect("a well-formed request")
}

/// An answer that was read whole.
#[derive(Debug, Clone)]
pub struct Whole {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
    /// Trailers.
    pub trailers: Option<HeaderMap>,
}

impl Whole {
    /// The body as JSON.
    ///
    /// # Panics
    /// When it is not JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("not JSON ({e}): {:?}", self.body))
    }

    /// The first value of a header, as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }
}

/// Reads the body of a response to its end.
pub async fn whole(response: Response<Incoming>) -> Result<Whole, hyper::Error> {
    let (head, body) = response.into_parts();
    let collected = body.collect().await?;
    let trailers = collected.trailers().cloned();
    Ok(Whole { status: head.status, headers: head.headers, body: collected.to_bytes(), trailers })
}

/// A keep-alive connection, HTTP/1.1 or HTTP/2.
#[derive(Debug)]
pub enum Client {
    /// One request at a time.
    Http1(http1::SendRequest<Body>),
    /// Many at once; clones share the connection.
    Http2(http2::SendRequest<Body>),
}

impl Client {
    /// HTTP/1.1, upgrades allowed.
    ///
    /// # Panics
    /// When nobody listens.
    pub async fn http1(address: SocketAddr) -> Self {
        let io = TokioIo::new(connect(address).await);
        let (sender, connection) = http1::handshake(io).await.expect("a handshake without bytes does not fail");
        tokio::spawn(connection.with_upgrades());
        Self::Http1(sender)
    }

    /// HTTP/2 by prior knowledge.
    ///
    /// # Panics
    /// When nobody listens or the peer does not speak HTTP/2.
    pub async fn http2(address: SocketAddr) -> Self {
        let io = TokioIo::new(connect(address).await);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.expect("the peer speaks HTTP/2");
        tokio::spawn(connection);
        Self::Http2(sender)
    }

    /// Another handle to the same HTTP/2 connection.
    ///
    /// # Panics
    /// On HTTP/1.
    #[must_use]
    pub fn stream(&self) -> Self {
        match self {
            Self::Http1(_) => panic!("an HTTP/1 connection has no streams"),
            Self::Http2(sender) => Self::Http2(sender.clone()),
        }
    }

    /// Sends and waits for the head of the answer.
    pub async fn head(&mut self, request: Request<Body>) -> Result<Response<Incoming>, hyper::Error> {
        match self {
            Self::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(origin_form(request)).await
            }
            Self::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }

    /// Sends and reads the whole answer.
    pub async fn send(&mut self, request: Request<Body>) -> Result<Whole, hyper::Error> {
        whole(self.head(request).await?).await
    }

    /// As [`Self::send`] for a request that must be answered.
    ///
    /// # Panics
    /// When it is not, within [`PATIENCE`] and a little.
    pub async fn must(&mut self, request: Request<Body>) -> Whole {
        let what = format!("{} {}", request.method(), request.uri());
        match tokio::time::timeout(PATIENCE * 3, self.send(request)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(e)) => panic!("{what}: {e}: {:?}", std::error::Error::source(&e)),
            Err(_) => panic!("{what}: no answer within {:?}", PATIENCE * 3),
        }
    }
}

async fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).await.unwrap_or_else(|e| panic!("cannot connect to {address}: {e}"));
    stream.set_nodelay(true).expect("a connected socket takes options");
    stream
}

fn origin_form(mut request: Request<Body>) -> Request<Body> {
    let path = request.uri().path_and_query().map_or("/", |p| p.as_str()).to_owned();
    if !request.headers().contains_key("host") {
        let host = request.uri().authority().map_or("b", |a| a.as_str()).to_owned();
        request.headers_mut().insert("host", host.parse().expect("an authority is a header value"));
    }
    *request.uri_mut() = path.parse().expect("a path is a URI");
    request
}

/// The error code of a stream or connection that ended in one.
pub fn reset_reason(error: &(dyn std::error::Error + 'static)) -> Option<h2::Reason> {
    let mut next = Some(error);
    while let Some(e) = next {
        if let Some(reason) = e.downcast_ref::<h2::Error>().and_then(h2::Error::reason) {
            return Some(reason);
        }
        next = e.source();
    }
    None
}

/// Runs async test code on a runtime of its own, with an end after `patience`.
///
/// # Panics
/// When it takes longer.
pub fn run<T>(patience: Duration, test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime can be made").block_on(async {
        tokio::time::timeout(patience, test).await.unwrap_or_else(|_| panic!("the test took longer than {patience:?}"))
    })
}
