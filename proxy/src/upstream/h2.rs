//! Sends one exchange over this worker's one HTTP/2 connection to an endpoint.

use std::cell::RefCell;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};

use super::cluster::{ClusterState, EndpointState};
use super::connect::dial;
use crate::error::ProxyError;
use crate::http::body::RequestBody;
use crate::http::http2::{CONNECTION_WINDOW, LocalExecutor, STREAM_WINDOW};

/// The connection, once there is one.
#[derive(Debug, Default)]
pub(crate) struct Http2Connection {
    current: RefCell<Option<SendRequest<RequestBody>>>,
    /// Held while connecting, so that a burst of first requests opens one connection.
    opening: tokio::sync::Mutex<()>,
}

impl Http2Connection {
    fn usable(&self) -> Option<SendRequest<RequestBody>> {
        self.current.borrow().as_ref().filter(|sender| !sender.is_closed()).cloned()
    }
}

/// Sends the request; answers with the response head.
///
/// A request that the connection gave back unsent (it was going away) is sent once more on a new one.
pub(crate) async fn send(
    cluster: &ClusterState,
    endpoint: &EndpointState,
    request: Request<RequestBody>,
) -> Result<Response<Incoming>, ProxyError> {
    let mut sender = connection(cluster, endpoint).await?;
    let mut failed = match sender.try_send_request(request).await {
        Ok(response) => return Ok(response),
        Err(failed) => failed,
    };
    let Some(unsent) = failed.take_message() else { return Err(ProxyError::http2(failed.into_error())) };
    endpoint.http2.current.replace(None);
    let mut sender = connection(cluster, endpoint).await?;
    sender.send_request(unsent).await.map_err(ProxyError::http2)
}

async fn connection(cluster: &ClusterState, endpoint: &EndpointState) -> Result<SendRequest<RequestBody>, ProxyError> {
    if let Some(sender) = endpoint.http2.usable() {
        return Ok(sender);
    }
    let _opening = endpoint.http2.opening.lock().await;
    if let Some(sender) = endpoint.http2.usable() {
        return Ok(sender);
    }
    let dialled = dial(&cluster.cluster, &endpoint.endpoint).await;
    cluster.shard.count_connection(dialled.as_ref().err().map(|e| e.kind));
    let (sender, connection) = Builder::new(LocalExecutor)
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .adaptive_window(false)
        .max_header_list_size(64 * 1024)
        .max_send_buf_size(64 * 1024)
        .handshake(TokioIo::new(dialled?))
        .await
        .map_err(ProxyError::http2)?;
    tokio::task::spawn_local(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "upstream connection ended");
        }
    });
    endpoint.http2.current.replace(Some(sender.clone()));
    Ok(sender)
}
