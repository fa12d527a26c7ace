//! A connection under TLS, after its handshake.

use std::cell::Cell;
use std::io::{self, IoSlice, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use rustls::{ConnectionCommon, SideData};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

/// A session and its socket. Dropped, it says that it ends (`close_notify`, RFC 8446 §6.1) as far as the socket takes
/// that at once, unless it is to end in a reset.
#[derive(Debug)]
pub(crate) struct Session {
    stream: TlsStream<TcpStream>,
    ends_with_alert: Cell<bool>,
}

impl Session {
    pub(crate) fn new(stream: impl Into<TlsStream<TcpStream>>) -> Self {
        Self { stream: stream.into(), ends_with_alert: Cell::new(true) }
    }

    pub(crate) fn tcp(&self) -> &TcpStream {
        self.stream.get_ref().0
    }

    /// What both sides agreed to speak inside.
    pub(crate) fn alpn(&self) -> Option<&[u8]> {
        self.stream.get_ref().1.alpn_protocol()
    }

    /// The name that a client asked for.
    pub(crate) fn server_name(&self) -> Option<&str> {
        match &self.stream {
            TlsStream::Server(stream) => stream.get_ref().1.server_name(),
            TlsStream::Client(_) => None,
        }
    }

    /// Its end says nothing.
    pub(crate) fn end_without_alert(&self) {
        self.ends_with_alert.set(false);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if !self.ends_with_alert.get() {
            return;
        }
        match &mut self.stream {
            TlsStream::Client(stream) => {
                let (socket, session) = stream.get_mut();
                say_end(socket, session);
            }
            TlsStream::Server(stream) => {
                let (socket, session) = stream.get_mut();
                say_end(socket, session);
            }
        }
    }
}

fn say_end<S: SideData>(socket: &TcpStream, session: &mut ConnectionCommon<S>) {
    session.send_close_notify();
    // A socket that takes no more has a peer that does not read.
    while session.wants_write() && session.write_tls(&mut Now(socket)).is_ok_and(|written| written > 0) {}
}

/// Writes what the socket takes at once.
struct Now<'a>(&'a TcpStream);

impl Write for Now<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.try_write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

// Cold and never inlined: the plain path would carry all of TLS along.
impl AsyncRead for Session {
    #[cold]
    #[inline(never)]
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Session {
    #[cold]
    #[inline(never)]
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    #[cold]
    #[inline(never)]
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    #[cold]
    #[inline(never)]
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    #[cold]
    #[inline(never)]
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
