//! A new connection to an endpoint.

use std::io;
use std::net::{Ipv6Addr, SocketAddr};

use squall_config::model::{Cluster, Endpoint};
use tokio::net::TcpStream;

use crate::error::{ErrorKind, ProxyError};
use crate::net::socket;

/// Connects to the endpoint within the cluster's `connect_timeout`. A name that has no address yet has none now.
pub(crate) async fn dial(cluster: &Cluster, endpoint: &Endpoint) -> Result<TcpStream, ProxyError> {
    let address = endpoint.socket().ok_or_else(|| ProxyError::new(ErrorKind::ResolveFailed))?;
    match tokio::time::timeout(cluster.connect_timeout, connect(address, endpoint)).await {
        Ok(result) => result.map_err(ProxyError::connect),
        Err(_elapsed) => Err(ProxyError::new(ErrorKind::ConnectTimeout)),
    }
}

async fn connect(address: SocketAddr, endpoint: &Endpoint) -> io::Result<TcpStream> {
    let connected = socket::connect(address).await;
    let is_refused = connected.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
    // A server that was told to listen on `localhost` may have chosen either of its two addresses.
    if is_refused && address.is_ipv4() && endpoint.address.host.eq_ignore_ascii_case("localhost") {
        let other = socket::connect(SocketAddr::from((Ipv6Addr::LOCALHOST, address.port()))).await;
        return other.or(connected);
    }
    connected
}
