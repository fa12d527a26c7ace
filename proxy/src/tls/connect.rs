//! The handshake with an endpoint.

use std::io;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use squall_config::model::{Cluster, ClusterProtocol, Endpoint};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::ALPN_HTTP2;
use super::certs::Connector;
use crate::error::{ErrorKind, ProxyError};
use crate::net::session::Session;

/// What is going to be spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inside {
    /// What the cluster says.
    Http,
    /// Nothing is known of it.
    Bytes,
}

/// Does the handshake with an endpoint of a cluster that has TLS.
pub(crate) async fn handshake(
    cluster: &Cluster,
    connector: &Connector,
    endpoint: &Endpoint,
    inside: Inside,
    stream: TcpStream,
) -> Result<Session, ProxyError> {
    let config = if inside == Inside::Http { &connector.http } else { &connector.bytes };
    let name = cluster.tls.as_ref().and_then(|tls| tls.server_name.as_deref());
    let name = ServerName::try_from(name.unwrap_or(&endpoint.address.host).to_owned())
        .map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
    let connector = TlsConnector::from(Arc::clone(config));
    let session = Session::new(connector.connect(name, stream).await.map_err(ProxyError::handshake)?);
    let wants_http2 = inside == Inside::Http && cluster.protocol == ClusterProtocol::Http2;
    if wants_http2 && session.alpn() != Some(ALPN_HTTP2) {
        return Err(failed(io::Error::other("the endpoint does not speak HTTP/2 under TLS (ALPN)")));
    }
    Ok(session)
}

fn failed(error: io::Error) -> ProxyError {
    ProxyError::caused_by(ErrorKind::TlsFailed, error)
}
