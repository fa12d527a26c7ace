//! A socket as the codec should see it.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Makes the codec copy short data behind its frame header, so that many frames leave in one write.
///
/// The codec asks one time, when it is made, whether writes can be vectored. If so, data of 256 bytes is written by a
/// system call of its own; if not, it is copied up to 1,024 bytes, which is cheaper by far. So the first answer is no.
/// The later ones are about long data, and true.
#[derive(Debug)]
pub(crate) struct Socket<T> {
    io: T,
    was_asked: Cell<bool>,
}

impl<T> Socket<T> {
    pub(crate) fn new(io: T) -> Self {
        Self { io, was_asked: Cell::new(false) }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Socket<T> {
    #[inline(always)]
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Socket<T> {
    #[inline(always)]
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.was_asked.replace(true)
    }

    #[inline(always)]
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
