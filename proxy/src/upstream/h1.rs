//! Sends one exchange over HTTP/1.1, on an idle connection or a new one.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use http::response;
use http_body::Body;

use super::cluster::EndpointState;
use super::connect::Upstream;
use crate::error::ProxyError;
use crate::http::request::Incoming;
use crate::http1::client::{Answer, Connection, Download};
use crate::tls::connect::Inside;

/// The body of an answer. Dropped when it was read to its end, it gives its connection back to the pool.
#[derive(Debug)]
pub(crate) struct Leased {
    pub(crate) download: Download,
    endpoint: Rc<EndpointState>,
    /// The only client that the connection may carry again, when it is one client's. Boxed, because bodies are moved often
    /// and this is rare.
    of: Option<Box<SocketAddr>>,
}

impl Leased {
    pub(crate) fn new(download: Download, endpoint: &Rc<EndpointState>, of: Option<SocketAddr>) -> Self {
        Self { download, endpoint: Rc::clone(endpoint), of: of.map(Box::new) }
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        if let Some(connection) = self.download.take_connection()
            && self.endpoint.may_keep_idle()
        {
            let now = Instant::now();
            match self.of.take() {
                None => self.endpoint.idle.put(connection, now),
                Some(source) => self.endpoint.idle_of_sources.put(*source, connection, now),
            }
        }
    }
}

/// Sends the request and waits for the head of the answer, which goes to `answer`.
pub(crate) async fn send(
    to: Upstream<'_>,
    request: Incoming,
    now: Instant,
    answer: &mut response::Parts,
) -> Result<Answer, ProxyError> {
    let Incoming { head: parts, mut body } = request;
    let Upstream { cluster, endpoint, carried } = to;
    let idle = match cluster.cluster.proxy_protocol {
        None => endpoint.idle.take(now),
        Some(_) => endpoint.idle_of_sources.take(carried.source, now),
    };
    let limit = cluster.cluster.header_timeout;
    if let Some(idle) = idle {
        // RFC 9110 §9.2.2: what is idempotent may be sent twice; a body that is gone may not.
        let may_repeat = body.is_end_stream() && parts.method.is_idempotent();
        match idle.send(&parts, std::mem::take(&mut body), limit, answer).await {
            Ok(answer) => return Ok(answer),
            // The upstream may have closed the connection while the request was on its way: a new one tells the truth.
            Err(failed) if failed.is_unanswered && may_repeat => {}
            Err(failed) => return Err(failed.error),
        }
    }
    // Boxed, because most requests do not need it.
    let connection = Box::pin(connect(to)).await?;
    connection.send(&parts, body, limit, answer).await.map_err(|failed| failed.error)
}

async fn connect(to: Upstream<'_>) -> Result<Connection, ProxyError> {
    let permit = to.cluster.admit().await?;
    let stream = to.open(Inside::Http).await?;
    Ok(Connection::new(stream).with_permit(permit))
}
