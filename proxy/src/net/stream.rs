//! A connection to a peer, plain or under TLS.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::session::Session;
use super::socket;

/// What is read and written is what the application says, whatever is around it.
///
/// An enum and not a trait object, so that the plain path costs what a [`TcpStream`] costs.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TcpStream),
    /// Boxed, so that plain connections do not carry its size.
    Tls(Box<Session>),
}

impl Stream {
    /// The socket below; for what is a matter of sockets, not for bytes.
    pub(crate) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(session) => session.tcp(),
        }
    }

    /// The socket, if its bytes are those of the application.
    pub(crate) fn plain(&self) -> Option<&TcpStream> {
        match self {
            Self::Plain(stream) => Some(stream),
            Self::Tls(_) => None,
        }
    }

    /// Makes its end a reset with nothing before it: zero linger, no TLS alert.
    pub(crate) fn end_in_reset(&self) {
        socket::reset_at_end(self.tcp());
        if let Self::Tls(session) = self {
            session.end_without_alert();
        }
    }

    /// Whether the peer neither closed it nor sent what nobody asked for; costs no system call unless it did.
    #[inline(always)]
    pub(crate) fn is_quiet(stream: &RefCell<Self>) -> bool {
        if let Self::Plain(stream) = &*stream.borrow() {
            return stream.try_read(&mut [0]).is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock);
        }
        // What came may be a session ticket, which only TLS itself can tell from data.
        let (mut byte, mut cx) = ([0], Context::from_waker(Waker::noop()));
        Pin::new(&mut *stream.borrow_mut()).poll_read(&mut cx, &mut ReadBuf::new(&mut byte)).is_pending()
    }
}

impl AsyncRead for Stream {
    #[inline(always)]
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(session) => Pin::new(&mut **session).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    #[inline(always)]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(session) => Pin::new(&mut **session).poll_write(cx, buf),
        }
    }

    #[inline(always)]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(session) => Pin::new(&mut **session).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true // of both
    }

    /// Under TLS what was written may wait in the session for room in the socket; whoever writes has to flush.
    #[inline(always)]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(_) => Poll::Ready(Ok(())), // a socket holds nothing back
            Self::Tls(session) => Pin::new(&mut **session).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(session) => Pin::new(&mut **session).poll_shutdown(cx),
        }
    }
}
