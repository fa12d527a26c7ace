//! What a client asks for before anything is encrypted, for connections that are passed on as they are.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpStream;

use super::accept::{Failed, Handshake};

/// A ClientHello may take several records of 16 KiB; nobody sends more than one.
const HELLO_BYTES_MAX: usize = 64 * 1024;

/// Reads a ClientHello into `seen`, at most for `limit`; the server name in it, when there is one.
///
/// # Errors
/// What came in its place.
pub(crate) async fn server_name(
    stream: &mut TcpStream,
    seen: &mut BytesMut,
    limit: Duration,
) -> Result<Option<Arc<str>>, Failed> {
    match tokio::time::timeout(limit, read(stream, seen)).await {
        Ok(result) => result,
        Err(_elapsed) => Err(Failed::silent(Handshake::TimedOut, io::ErrorKind::TimedOut.into())),
    }
}

/// [`server_name`] without a limit; `seen` may be the beginning of the ClientHello.
pub(crate) async fn read<R: AsyncRead + Unpin>(
    stream: &mut R,
    seen: &mut BytesMut,
) -> Result<Option<Arc<str>>, Failed> {
    let (mut acceptor, mut known) = (Acceptor::default(), 0);
    loop {
        let mut fresh = &seen[known..];
        while !fresh.is_empty() {
            acceptor.read_tls(&mut fresh).map_err(|error| Failed::silent(Handshake::Failed, error))?;
            match acceptor.accept() {
                Ok(Some(hello)) => return Ok(hello.client_hello().server_name().map(Arc::from)),
                Ok(None) => {}
                Err((error, _alert)) => return Err(Failed::silent(Handshake::Failed, io::Error::other(error))),
            }
        }
        if seen.len() >= HELLO_BYTES_MAX {
            return Err(Failed::silent(Handshake::Failed, io::Error::other("the ClientHello is too long")));
        }
        known = seen.len();
        let read = stream.read_buf(seen).await.map_err(|error| Failed::silent(Handshake::Closed, error))?;
        if read == 0 {
            return Err(Failed::silent(Handshake::Closed, io::ErrorKind::UnexpectedEof.into()));
        }
    }
}
