//! A connection to an API: plain, under TLS, or through a Unix socket.

use std::sync::Arc;

use anyhow::Context;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::base::Base;

/// Both directions of a connection.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Connects, under TLS when it is given. The error says what is wrong, and what to do about it where that is known.
pub(super) async fn connect(base: &Base, tls: Option<Arc<ClientConfig>>) -> anyhow::Result<Box<dyn Stream>> {
    match (base, tls) {
        (Base::Unix(path), _) => Ok(Box::new(UnixStream::connect(path).await?)),
        (Base::Http(authority) | Base::Https(authority), None) => Ok(Box::new(TcpStream::connect(authority).await?)),
        (Base::Http(authority) | Base::Https(authority), Some(config)) => {
            let parsed: http::uri::Authority = authority.parse()?;
            let host = parsed.host().trim_start_matches('[').trim_end_matches(']').to_owned();
            let name = ServerName::try_from(host).context("not a name that a certificate could be for")?;
            let socket = TcpStream::connect(authority).await?;
            let stream = TlsConnector::from(config).connect(name, socket).await;
            let stream = stream.context("no TLS; does --ca name the authority, and does the API speak TLS?")?;
            Ok(Box::new(stream))
        }
    }
}
