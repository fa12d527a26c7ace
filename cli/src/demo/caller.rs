//! An HTTP/1.1 client with keep-alive for one address: what Service A and the load are made of.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;

type Sender = SendRequest<Empty<Bytes>>;

/// The most connections that are kept while nothing needs them.
const IDLE_MAX: usize = 64;

/// Calls one address, over kept connections when there are some.
#[derive(Debug)]
pub(super) struct Caller {
    address: SocketAddr,
    idle: Mutex<Vec<Sender>>,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Caller {
    /// A caller without connections yet.
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address, idle: Mutex::default() }
    }

    /// GETs a path, with these header fields. Dropping the future closes its connection, as an application's timeout does.
    pub(super) async fn get(&self, path: &str, headers: HeaderMap) -> anyhow::Result<Answer> {
        let mut request = Request::get(path).header(header::HOST, self.address.to_string()).body(Empty::new())?;
        request.headers_mut().extend(headers);
        let (sender, response) = self.send(request).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        self.keep(sender);
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    async fn send(
        &self,
        request: Request<Empty<Bytes>>,
    ) -> anyhow::Result<(Sender, http::Response<hyper::body::Incoming>)> {
        let mut request = request;
        while let Some(mut sender) = self.take() {
            match sender.try_send_request(request).await {
                Ok(response) => return Ok((sender, response)),
                // The other side closed a kept connection meanwhile; what never went out may go out again.
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(error.into_error().into()),
                },
            }
        }
        let socket = tokio::net::TcpStream::connect(self.address).await?;
        socket.set_nodelay(true)?;
        let (mut sender, connection) = handshake(TokioIo::new(socket)).await?;
        // Ends when the sender is dropped; its errors are those of the exchange, which reports them.
        tokio::spawn(async move { drop(connection.await) });
        let response = sender.send_request(request).await?;
        Ok((sender, response))
    }

    fn take(&self) -> Option<Sender> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|sender| !sender.is_closed());
        idle.pop()
    }

    fn keep(&self, sender: Sender) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX && !sender.is_closed() {
            idle.push(sender);
        }
    }
}
