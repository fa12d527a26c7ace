//! A downstream connection that can end in a TCP reset, and replay what was read of it.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::stream::Stream;

/// Armed at the moment a fault wants a reset: the connection then ends in RST when its [`Io`] is dropped.
///
/// All access is from one worker.
#[derive(Clone, Debug, Default)]
pub(crate) struct ResetFlag(Rc<Cell<bool>>);

impl ResetFlag {
    /// The connection ends in a reset.
    pub(crate) fn arm(&self) {
        self.0.set(true);
    }

    /// Whether the connection ends in a reset.
    pub(crate) fn is_armed(&self) -> bool {
        self.0.get()
    }
}

/// A connection as the HTTP servers and the relay use it.
///
/// Dropped while its [`ResetFlag`] is armed, it sends RST with nothing before it: zero linger, and no shutdown, which
/// would send FIN first. Unsent data is discarded by the kernel then.
#[derive(Debug)]
pub(crate) struct Io {
    /// `None` only in [`Io::into_parts`], on the way to `drop`.
    stream: Option<Stream>,
    prefix: Bytes,
    reset: ResetFlag,
}

impl Io {
    /// Wraps a stream of which nothing has been read.
    #[cfg(test)]
    pub(crate) fn new(stream: tokio::net::TcpStream) -> Self {
        Self::with_prefix(Stream::Plain(stream), Bytes::new())
    }

    /// Wraps a stream whose first bytes were read already (protocol detection): reading yields them first.
    pub(crate) fn with_prefix(stream: Stream, prefix: Bytes) -> Self {
        Self { stream: Some(stream), prefix, reset: ResetFlag::default() }
    }

    /// The flag that makes the end of this connection a reset.
    pub(crate) fn reset_flag(&self) -> ResetFlag {
        self.reset.clone()
    }

    /// Takes the stream back, with the bytes that were not replayed yet. The reset flag loses its effect.
    pub(crate) fn into_parts(mut self) -> (Stream, Bytes) {
        let stream = self.stream.take().expect("invariant: only into_parts, which consumes, takes the stream");
        (stream, std::mem::take(&mut self.prefix))
    }

    /// The socket.
    pub(crate) fn tcp(&self) -> &TcpStream {
        self.stream.as_ref().expect("invariant: only into_parts, which consumes, takes the stream").tcp()
    }

    fn stream(&mut self) -> Pin<&mut Stream> {
        Pin::new(self.stream.as_mut().expect("invariant: only into_parts, which consumes, takes the stream"))
    }
}

impl Drop for Io {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.as_ref().filter(|_| self.reset.is_armed()) {
            stream.end_in_reset();
        }
    }
}

impl AsyncRead for Io {
    #[inline(always)]
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.prefix.is_empty() {
            ready!(self.stream().poll_read(cx, buf))?;
        } else {
            let replayed = self.prefix.len().min(buf.remaining());
            buf.put_slice(&self.prefix[..replayed]);
            self.prefix.advance(replayed);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Io {
    #[inline(always)]
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(self.stream().poll_write(cx, buf))?;
        Poll::Ready(Ok(written))
    }

    #[inline(always)]
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(self.stream().poll_write_vectored(cx, bufs))?;
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        true // of any Stream
    }

    #[inline(always)]
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.reset.is_armed() {
            return Poll::Ready(Ok(())); // a FIN must not precede the reset
        }
        self.stream().poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::net::for_tests::pair;

    #[tokio::test]
    async fn an_armed_stream_ends_in_a_reset_even_after_shutdown() {
        let (mut client, server) = pair().await;
        let mut io = Io::new(server);
        io.reset_flag().arm();
        io.shutdown().await.unwrap();
        drop(io);
        let error = client.read(&mut [0; 8]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn an_unarmed_stream_ends_in_fin() {
        let (mut client, server) = pair().await;
        drop(Io::new(server));
        assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn prefix_comes_first_and_bytes_are_counted() {
        let (mut client, server) = pair().await;
        client.write_all(b"world").await.unwrap();
        let mut io = Io::with_prefix(Stream::Plain(server), Bytes::from_static(b"hello "));
        let mut text = [0; 11];
        io.read_exact(&mut text).await.unwrap();
        assert_eq!(&text, b"hello world");
        io.write_all(b"bye").await.unwrap();
    }

    #[tokio::test]
    async fn parts_give_back_what_was_not_replayed() {
        let (_client, server) = pair().await;
        let mut io = Io::with_prefix(Stream::Plain(server), Bytes::from_static(b"abc"));
        io.reset_flag().arm();
        assert_eq!(io.read_u8().await.unwrap(), b'a');
        let (_stream, rest) = io.into_parts();
        assert_eq!(rest, "bc");
    }
}
