//! Sends one exchange over HTTP/1.1, on an idle connection or a new one.

use std::rc::Rc;
use std::time::Instant;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;

use super::cluster::{ClusterState, EndpointState};
use super::connect::dial;
use crate::error::ProxyError;
use crate::http::body::RequestBody;

/// The connection of a response whose body is still being read; goes back to the pool when that is done.
#[derive(Debug)]
pub(crate) struct Lease {
    sender: SendRequest<RequestBody>,
    endpoint: Rc<EndpointState>,
}

impl Lease {
    /// The response is complete.
    pub(crate) fn give_back(self, now: Instant) {
        self.endpoint.idle.put(self.sender, now);
    }
}

/// Sends the request; answers with the response head and the lease of the connection.
pub(crate) async fn send(
    cluster: &ClusterState,
    endpoint: &Rc<EndpointState>,
    request: Request<RequestBody>,
    now: Instant,
) -> Result<(Response<Incoming>, Lease), ProxyError> {
    let mut request = request;
    if let Some(mut sender) = endpoint.idle.take(now) {
        let copy = repeatable(&request);
        match sender.try_send_request(request).await {
            Ok(response) => return Ok((response, lease(sender, endpoint))),
            Err(mut failed) => match failed.take_message().or(copy) {
                // The upstream may have closed the connection while the request was on its way. Nothing of it was
                // sent, or it may be sent twice: a new connection tells the truth.
                Some(unsent) if !failed.error().is_parse() => request = unsent,
                _ => return Err(ProxyError::http(failed.into_error())),
            },
        }
    }
    let mut sender = open(cluster, endpoint).await?;
    let response = sender.send_request(request).await.map_err(ProxyError::http)?;
    Ok((response, lease(sender, endpoint)))
}

fn lease(sender: SendRequest<RequestBody>, endpoint: &Rc<EndpointState>) -> Lease {
    Lease { sender, endpoint: Rc::clone(endpoint) }
}

/// A copy of a request that has no body and is idempotent (RFC 9110 §9.2.2).
fn repeatable(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    if !matches!(request.body(), RequestBody::Empty) || !request.method().is_idempotent() {
        return None;
    }
    let mut copy = Request::new(RequestBody::Empty);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}

async fn open(cluster: &ClusterState, endpoint: &EndpointState) -> Result<SendRequest<RequestBody>, ProxyError> {
    let dialled = dial(&cluster.cluster, &endpoint.endpoint).await;
    cluster.shard.count_connection(dialled.as_ref().err().map(|e| e.kind));
    let (sender, connection) = Builder::new()
        .max_headers(100)
        .http09_responses(false)
        .allow_spaces_after_header_name_in_responses(false)
        .allow_obsolete_multiline_headers_in_responses(false)
        .ignore_invalid_headers_in_responses(false)
        .handshake(TokioIo::new(dialled?))
        .await
        .map_err(ProxyError::http)?;
    tokio::task::spawn_local(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "upstream connection ended");
        }
    });
    Ok(sender)
}
