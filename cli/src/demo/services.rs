//! Service B, and Service A that calls it: the applications of the story, on a thread of their own.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use super::caller::Caller;

/// How long robust A waits for B before it answers from its cache.
pub(super) const B_TIMEOUT: Duration = Duration::from_millis(150);
/// How many instances of B there are.
pub(super) const B_INSTANCES: usize = 3;
/// What B's work takes.
const B_WORK: Duration = Duration::from_millis(2);
/// The header in which A says where the answer comes from.
pub(super) const SOURCE: &str = "x-source";

type Answer = Response<Full<Bytes>>;

/// Sockets that are bound before anything serves on them, so that everybody can be told everybody's address.
#[derive(Debug)]
pub(super) struct Doors {
    a: TcpListener,
    b: [TcpListener; B_INSTANCES],
}

impl Doors {
    /// Binds all on loopback.
    pub(super) fn open() -> anyhow::Result<Self> {
        let bind = || {
            let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen on loopback")?;
            listener.set_nonblocking(true)?;
            anyhow::Ok(listener)
        };
        Ok(Self { a: bind()?, b: [bind()?, bind()?, bind()?] })
    }

    /// Addresses of A and of the instances of B.
    pub(super) fn addresses(&self) -> std::io::Result<(SocketAddr, Vec<SocketAddr>)> {
        Ok((self.a.local_addr()?, self.b.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?))
    }

    /// Serves A and B until the process ends; A reaches B at `b_as_a_sees_it`.
    pub(super) fn serve(self, b_as_a_sees_it: SocketAddr, fragile: bool) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (a, b) = {
            let _inside = runtime.enter();
            let b: std::io::Result<Vec<_>> = self.b.into_iter().map(tokio::net::TcpListener::from_std).collect();
            (tokio::net::TcpListener::from_std(self.a)?, b?)
        };
        let service_a = Arc::new(ServiceA { b: Caller::new(b_as_a_sees_it), cache: Mutex::default(), fragile });
        let serve = async move {
            let answer_a = move |request| {
                let service_a = Arc::clone(&service_a);
                async move { service_a.answer(&request).await }
            };
            let instances = b.into_iter().map(|b| accept(b, |_| answer_b()));
            tokio::join!(accept(a, answer_a), futures_util::future::join_all(instances));
        };
        std::thread::Builder::new().name("demo-services".to_owned()).spawn(move || runtime.block_on(serve))?;
        Ok(())
    }
}

async fn accept<F, R>(listener: tokio::net::TcpListener, answer: F)
where
    F: Fn(Request<Incoming>) -> R + Clone + Send + 'static,
    R: Future<Output = Answer> + Send + 'static,
{
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            // Out of descriptors, most likely; others give theirs back meanwhile.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let _ = socket.set_nodelay(true);
        let answer = answer.clone();
        let service = service_fn(move |request| {
            let answer = answer(request);
            async move { Ok::<_, Infallible>(answer.await) }
        });
        let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service);
        tokio::spawn(async move { drop(connection.await) });
    }
}

async fn answer_b() -> Answer {
    tokio::time::sleep(B_WORK).await;
    Response::new(Full::new(Bytes::from_static(br#"{"price": 42}"#)))
}

struct ServiceA {
    b: Caller,
    cache: Mutex<Bytes>,
    fragile: bool,
}

impl ServiceA {
    async fn answer(&self, request: &Request<Incoming>) -> Answer {
        if request.uri().path() == "/about" {
            return answered(StatusCode::OK, "a", Bytes::from_static(b"Service A of squall demo"));
        }
        // What makes the calls of one request known as such: any service that is traced passes these on.
        let passed_on = |name: &HeaderName| ["traceparent", "tracestate", "x-request-id"].contains(&name.as_str());
        let headers = request.headers().iter().filter(|(name, _)| passed_on(name));
        let headers = headers.map(|(name, value)| (name.clone(), value.clone())).collect();
        let call = self.b.get("/v1/price", headers);
        let price = if self.fragile { call.await.ok() } else { self.with_timeout(call).await };
        match price.filter(|answer| answer.status.is_success()) {
            Some(answer) => {
                self.cache.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&answer.body);
                answered(StatusCode::OK, "b", answer.body)
            }
            None if self.fragile => answered(StatusCode::BAD_GATEWAY, "none", Bytes::new()),
            None => {
                let cached = self.cache.lock().unwrap_or_else(PoisonError::into_inner).clone();
                answered(StatusCode::OK, "cache", cached)
            }
        }
    }

    async fn with_timeout(
        &self,
        call: impl Future<Output = anyhow::Result<super::caller::Answer>>,
    ) -> Option<super::caller::Answer> {
        tokio::time::timeout(B_TIMEOUT, call).await.ok()?.ok()
    }
}

fn answered(status: StatusCode, source: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(SOURCE, HeaderValue::from_static(source));
    answer
}
