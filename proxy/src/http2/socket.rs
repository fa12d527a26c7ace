//! A socket as the codec should see it: one that writes little by little, is no flood, and closes so that a GOAWAY arrives.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::conduct::Conduct;
use super::flood::{Flood, Frames};
use crate::net::linger::Linger;
use crate::turn::let_others;

/// Makes the codec copy short data behind its frame header, so that many frames leave in one write.
///
/// The codec asks one time, when it is made, whether writes can be vectored. If so, data of 256 bytes is written by a
/// system call of its own; if not, it is copied up to 1,024 bytes, which is cheaper by far. So the first answer is no.
/// The later ones are about long data, and true.
///
/// Reading fails once the peer floods it, or is over, as far as the codec can see, where a client is to be told of it. Before
/// that, many frames reach the codec in pieces, between which other connections of the worker have their turn: it takes in all
/// that it gets in one go.
///
/// Closing it takes as long as the client needs to read what was said last, within limits.
#[derive(Debug)]
pub(crate) struct Socket<T> {
    io: T,
    was_asked: Cell<bool>,
    frames: Frames,
    /// What was read and is for later turns.
    held: Bytes,
    client: Option<Rc<Conduct>>,
    is_flooded: bool,
    has_ended: bool,
    linger: Option<Linger>,
}

impl<T> Socket<T> {
    /// Towards a client, who gets a GOAWAY with ENHANCE_YOUR_CALM for a flood.
    pub(crate) fn to_client(io: T, client: Rc<Conduct>) -> Self {
        Self { client: Some(client), frames: Frames::of_client(), ..Self::to_upstream(io) }
    }

    /// Towards an upstream.
    pub(crate) fn to_upstream(io: T) -> Self {
        Self {
            io,
            was_asked: Cell::new(false),
            frames: Frames::of_server(),
            held: Bytes::new(),
            client: None,
            is_flooded: false,
            has_ended: false,
            linger: None,
        }
    }

    /// Waits for others. A connection of a client is asked for more until its task waits, however many streams come of it; so that
    /// one is told that its turn is over.
    #[cold]
    fn end_turn(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(client) = &self.client {
            client.is_others_turn.set(true);
        }
        let_others(cx)
    }

    #[inline(always)]
    fn note_resets(&self) {
        if let Some(client) = self.client.as_ref().filter(|_| self.frames.has_resets()) {
            client.takes_back.set(true);
        }
    }

    /// The next turn of what was read in an earlier one.
    #[cold]
    fn read_held(&mut self, cx: &Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let most = self.held.len().min(buf.remaining());
        let seen = self.frames.see(&self.held[..most]);
        self.note_resets();
        match seen {
            Ok(n) => {
                buf.put_slice(&self.held.split_to(n));
                Poll::Ready(Ok(()))
            }
            Err(Flood) => self.flooded(cx),
        }
    }

    /// What a flood comes to.
    #[cold]
    fn flooded(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        (self.is_flooded, self.held) = (true, Bytes::new());
        match &self.client {
            // Nothing more is read; the connection's task says so to the client.
            Some(client) => {
                client.floods.set(true);
                cx.waker().wake_by_ref();
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
        if this.is_flooded || this.client.as_ref().is_some_and(|client| client.is_others_turn.get()) {
            return Poll::Pending;
        }
        if this.frames.is_others_turn() {
            return this.end_turn(cx);
        }
        if !this.held.is_empty() {
            return this.read_held(cx, buf);
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
        let came = &buf.filled()[before..];
        this.has_ended |= came.is_empty();
        let seen = this.frames.see(came);
        this.note_resets();
        match seen {
            Ok(n) if n == came.len() => Poll::Ready(Ok(())),
            Ok(n) => {
                this.held = Bytes::copy_from_slice(&came[n..]);
                buf.set_filled(before + n);
                Poll::Ready(Ok(()))
            }
            Err(Flood) => this.flooded(cx),
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Socket<T> {
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
        let this = &mut *self;
        if this.client.is_none() || this.has_ended {
            return Pin::new(&mut this.io).poll_shutdown(cx);
        }
        this.linger.get_or_insert_default().poll(&mut this.io, cx).map(Ok)
    }
}
