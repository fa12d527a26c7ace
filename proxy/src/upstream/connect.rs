//! A new connection to an endpoint.

use std::io;
use std::net::{IpAddr, SocketAddr};

use squall_config::model::{Cluster, Endpoint};
use tokio::net::TcpStream;

use crate::error::{ErrorKind, ProxyError};
use crate::net::socket;

/// Resolves the endpoint and connects to the first of its addresses that answers, within the cluster's
/// `connect_timeout`.
pub(crate) async fn dial(cluster: &Cluster, endpoint: &Endpoint) -> Result<TcpStream, ProxyError> {
    match tokio::time::timeout(cluster.connect_timeout, resolve_and_connect(endpoint)).await {
        Ok(result) => result,
        Err(_elapsed) => Err(ProxyError::new(ErrorKind::ConnectTimeout)),
    }
}

async fn resolve_and_connect(endpoint: &Endpoint) -> Result<TcpStream, ProxyError> {
    let port = endpoint.address.port;
    if let Ok(ip) = endpoint.address.host.parse::<IpAddr>() {
        return socket::connect(SocketAddr::new(ip, port)).await.map_err(ProxyError::connect);
    }
    let resolved = tokio::net::lookup_host((&*endpoint.address.host, port)).await;
    let addresses = resolved.map_err(|e| ProxyError::caused_by(ErrorKind::ResolveFailed, e))?;
    let mut last = ProxyError::caused_by(ErrorKind::ResolveFailed, io::Error::other("the name has no address"));
    for address in addresses {
        match socket::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = ProxyError::connect(error),
        }
    }
    Err(last)
}
