//! A socket as the codec should see it: one that writes little by little, and no flood.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::flood::Frames;
use crate::connection::Downstream;

/// Makes the codec copy short data behind its frame header, so that many frames leave in one write.
///
/// The codec asks one time, when it is made, whether writes can be vectored. If so, data of 256 bytes is written by a
/// system call of its own; if not, it is copied up to 1,024 bytes, which is cheaper by far. So the first answer is no.
/// The later ones are about long data, and true.
///
/// Reading fails once the peer floods it, or is over, as far as the codec can see, where a client is to be told of it.
#[derive(Debug)]
pub(crate) struct Socket<T> {
    io: T,
    was_asked: Cell<bool>,
    frames: Frames,
    client: Option<Rc<Downstream>>,
    is_flooded: bool,
}

impl<T> Socket<T> {
    /// Towards a client, who gets a GOAWAY with ENHANCE_YOUR_CALM for a flood.
    pub(crate) fn to_client(io: T, client: Rc<Downstream>) -> Self {
        let (was_asked, frames) = (Cell::new(false), Frames::of_client());
        Self { io, was_asked, frames, client: Some(client), is_flooded: false }
    }

    /// Towards an upstream.
    pub(crate) fn to_upstream(io: T) -> Self {
        Self { io, was_asked: Cell::new(false), frames: Frames::of_server(), client: None, is_flooded: false }
    }

    /// What a flood comes to.
    #[cold]
    fn flooded(&mut self) -> Poll<io::Result<()>> {
        self.is_flooded = true;
        match &self.client {
            // It wakes the connection, which reads no more.
            Some(client) => {
                client.is_flooding();
                Poll::Pending
            }
            None => Poll::Ready(Err(io::Error::other("the peer floods the connection with frames that mean nothing"))),
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Socket<T> {
    #[inline(always)]
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.is_flooded {
            return Poll::Pending;
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
        if this.frames.is_flood(&buf.filled()[before..]) {
            return this.flooded();
        }
        Poll::Ready(Ok(()))
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
