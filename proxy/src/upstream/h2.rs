//! This worker's one HTTP/2 connection to an endpoint.

use std::cell::RefCell;

use super::caps::ConnectionPermit;
use crate::error::ProxyError;
use crate::http2::client::Connection;
use crate::net::stream::Stream;

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
    /// The connection; a new one, by `open`, when there is none that takes requests.
    pub(crate) async fn connection(
        &self,
        open: impl AsyncFnOnce() -> Result<(Stream, ConnectionPermit), ProxyError>,
    ) -> Result<Connection, ProxyError> {
        if let Some(connection) = self.current().await {
            return Ok(connection);
        }
        let _opening = self.opening.lock().await;
        if let Some(connection) = self.current().await {
            return Ok(connection);
        }
        let (stream, permit) = open().await?;
        let connection = Connection::begin(stream).await?;
        self.current.replace(Some(Current { connection: connection.clone(), _permit: permit }));
        Ok(connection)
    }

    async fn current(&self) -> Option<Connection> {
        let mut connection = self.current.borrow().as_ref()?.connection.clone();
        connection.is_open().await.then_some(connection)
    }
}
