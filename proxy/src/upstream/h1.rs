//! Sends one exchange over HTTP/1.1, on an idle connection or a new one.

use std::rc::Rc;
use std::time::Instant;

use http_body::Body;

use super::cluster::{ClusterState, EndpointState};
use super::connect::dial;
use crate::error::ProxyError;
use crate::http::request::Incoming;
use crate::http1::client::{Answer, Connection, Download};

/// The body of an answer. Dropped when it was read to its end, it gives its connection back to the pool.
#[derive(Debug)]
pub(crate) struct Leased {
    pub(crate) download: Download,
    endpoint: Rc<EndpointState>,
}

impl Leased {
    pub(crate) fn new(download: Download, endpoint: &Rc<EndpointState>) -> Self {
        Self { download, endpoint: Rc::clone(endpoint) }
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        if let Some(connection) = self.download.take_connection()
            && self.endpoint.may_keep_idle()
        {
            self.endpoint.idle.put(connection, Instant::now());
        }
    }
}

/// Sends the request and waits for the head of the answer.
pub(crate) async fn send(
    cluster: &ClusterState,
    endpoint: &EndpointState,
    request: Incoming,
    now: Instant,
) -> Result<Answer, ProxyError> {
    let Incoming { head: parts, mut body } = request;
    if let Some(idle) = endpoint.idle.take(now) {
        // RFC 9110 §9.2.2: what is idempotent may be sent twice; a body that is gone may not.
        let may_repeat = body.is_end_stream() && parts.method.is_idempotent();
        match idle.send(&parts, std::mem::take(&mut body)).await {
            Ok(answer) => return Ok(answer),
            // The upstream may have closed the connection while the request was on its way: a new one tells the truth.
            Err(failed) if failed.is_unanswered && may_repeat => {}
            Err(failed) => return Err(failed.error),
        }
    }
    // Boxed, because most requests do not need it.
    let connection = Box::pin(connect(cluster, endpoint)).await?;
    connection.send(&parts, body).await.map_err(|failed| failed.error)
}

async fn connect(cluster: &ClusterState, endpoint: &EndpointState) -> Result<Connection, ProxyError> {
    let permit = cluster.admit().await?;
    let stream = dial(&cluster.cluster, endpoint.endpoint()).await;
    cluster.shard.count_connection(stream.as_ref().err().map(|e| e.kind));
    Ok(Connection::new(stream?).with_permit(permit))
}
