//! Sends one exchange over this worker's one HTTP/2 connection to an endpoint.

use std::cell::RefCell;

use http::response;

use super::Upstream;
use super::caps::ConnectionPermit;
use super::connect::open;
use crate::error::ProxyError;
use crate::http::request::Incoming;
use crate::http2::body::IncomingBody;
use crate::http2::client::Connection;
use crate::tls::connect::Inside;

/// The connection, once there is one.
#[derive(Debug, Default)]
pub(crate) struct Http2Connection {
    current: RefCell<Option<Current>>,
    /// Held while connecting, so that a burst of first requests opens one connection.
    opening: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Current {
    connection: Connection,
    _permit: ConnectionPermit,
}

impl Http2Connection {
    async fn open(&self) -> Option<Connection> {
        let mut connection = self.current.borrow().as_ref()?.connection.clone();
        connection.is_open().await.then_some(connection)
    }
}

/// Sends the request; answers with the response head.
pub(crate) async fn send(to: Upstream<'_>, request: Incoming) -> Result<(response::Parts, IncomingBody), ProxyError> {
    connection(to).await?.send(request).await
}

async fn connection(to: Upstream<'_>) -> Result<Connection, ProxyError> {
    let Upstream { cluster, endpoint, carried } = to;
    if let Some(connection) = endpoint.http2.open().await {
        return Ok(connection);
    }
    let _opening = endpoint.http2.opening.lock().await;
    if let Some(connection) = endpoint.http2.open().await {
        return Ok(connection);
    }
    // Not waited for: other workers keep theirs for as long as it lasts.
    let permit = cluster.admit_now()?;
    let dialled = Box::pin(open(cluster.shared(), endpoint.endpoint(), Inside::Http, Some(carried))).await;
    cluster.shard.count_connection(dialled.as_ref().err().map(|e| e.kind));
    let connection = Connection::begin(dialled?).await?;
    endpoint.http2.current.replace(Some(Current { connection: connection.clone(), _permit: permit }));
    Ok(connection)
}
