//! The handshake with an endpoint.

use std::io;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{CertificateError, Error};
use squall_config::model::{ClusterProtocol, Endpoint};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::ALPN_HTTP2;
use super::accept::tls_error;
use crate::error::{ErrorKind, ProxyError};
use crate::net::proxy_protocol::{self, Ends};
use crate::net::session::Session;
use crate::net::stream::Stream;
use crate::upstream::connect::dial;
use crate::upstream::shared::SharedCluster;

/// What is going to be spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inside {
    /// What the cluster says.
    Http,
    /// Nothing is known of it.
    Bytes,
}

/// A new connection to an endpoint, for the connection that it carries first, or for Squall itself: with a PROXY protocol header and under TLS if the cluster has them, within the cluster's `connect_timeout`.
pub(crate) async fn open(
    shared: &SharedCluster,
    endpoint: &Endpoint,
    inside: Inside,
    carried: Option<&Ends>,
) -> Result<Stream, ProxyError> {
    let begun = Instant::now();
    let mut stream = dial(shared, endpoint).await?;
    if let Some(version) = shared.cluster.proxy_protocol {
        // Into an empty socket: it takes it at once.
        let header = proxy_protocol::header(version, carried.copied()).map_err(ProxyError::io)?;
        stream.write_all(&header).await.map_err(ProxyError::io)?;
    }
    if shared.cluster.tls.is_none() {
        return Ok(Stream::Plain(stream));
    }
    let left = shared.cluster.connect_timeout.saturating_sub(begun.elapsed());
    // Boxed, because a handshake is large, and every connection would carry its size through all that dials.
    let session = Box::pin(handshake(shared, endpoint, inside, stream, left)).await?;
    Ok(Stream::Tls(Box::new(session)))
}

async fn handshake(
    shared: &SharedCluster,
    endpoint: &Endpoint,
    inside: Inside,
    stream: TcpStream,
    limit: Duration,
) -> Result<Session, ProxyError> {
    let failed = |error: io::Error| ProxyError::caused_by(ErrorKind::TlsFailed, error);
    let Some(connector) = shared.tls.as_ref().and_then(|cell| cell.current()) else {
        return Err(failed(io::Error::other("no authorities are loaded")));
    };
    let config = if inside == Inside::Http { &connector.http } else { &connector.bytes };
    let name = shared.cluster.tls.as_ref().and_then(|tls| tls.server_name.as_deref());
    let name = ServerName::try_from(name.unwrap_or(&endpoint.address.host).to_owned())
        .map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
    let connector = TlsConnector::from(std::sync::Arc::clone(config));
    let session = match tokio::time::timeout(limit, connector.connect(name, stream)).await {
        Ok(Ok(stream)) => Session::new(stream),
        Ok(Err(error)) => return Err(ProxyError::caused_by(kind_of(&error), error)),
        Err(_elapsed) => return Err(ProxyError::new(ErrorKind::TlsTimeout)),
    };
    let wants_http2 = inside == Inside::Http && shared.cluster.protocol == ClusterProtocol::Http2;
    if wants_http2 && session.alpn() != Some(ALPN_HTTP2) {
        return Err(failed(io::Error::other("the endpoint does not speak HTTP/2 under TLS (ALPN)")));
    }
    Ok(session)
}

/// What an error of a handshake means for those who read of it.
fn kind_of(error: &io::Error) -> ErrorKind {
    kind_of_tls(error).unwrap_or(ErrorKind::TlsFailed)
}

/// The kind of an error that TLS has caused.
pub(crate) fn kind_of_tls(error: &io::Error) -> Option<ErrorKind> {
    use CertificateError::{
        Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet, NotValidYetContext,
    };
    Some(match tls_error(error)? {
        Error::InvalidCertificate(Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. }) => {
            ErrorKind::TlsExpired
        }
        Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }) => ErrorKind::TlsWrongName,
        Error::InvalidCertificate(_) => ErrorKind::TlsUntrusted,
        Error::AlertReceived(_) => ErrorKind::TlsRefused,
        _ => ErrorKind::TlsFailed,
    })
}

/// The same of an error that went through the HTTP/2 codec, which keeps its kind and its text alone.
pub(crate) fn kind_of_copied(error: &io::Error) -> Option<ErrorKind> {
    // Sockets have no such kind.
    let is_of_tls = error.kind() == io::ErrorKind::InvalidData;
    let is_alert = || error.to_string().contains("received fatal alert");
    is_of_tls.then(|| if is_alert() { ErrorKind::TlsRefused } else { ErrorKind::TlsFailed })
}
