//! The downstream connection as the HTTP/1 parser sees it: through the gate, with time limits.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};

use super::gate::Gate;
use super::refusal::Refusal;
use super::wire::{Decision, Wire};
use crate::net::reset::Io;

/// Read at most so much at once; the parser's own buffer is of this order.
const READ_BYTES: usize = 16 * 1024;

/// How long, and for how many bytes, a connection that Squall closes is read to its end, so that the kernel does not
/// answer late bytes with a reset that destroys the response on its way (RFC 9112 §9.6).
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 1024 * 1024;

thread_local! {
    /// One buffer for each worker: between two polls nothing stays in it.
    static SCRATCH: std::cell::RefCell<Box<[u8; READ_BYTES]>> = std::cell::RefCell::new(Box::new([0; READ_BYTES]));
}

/// An HTTP/1 server connection whose input passes a [`Gate`].
#[derive(Debug)]
pub(crate) struct GatedIo {
    io: Io,
    gate: Gate,
    wire: Arc<Wire>,
    /// Admitted bytes that did not fit into the reader's buffer, from `ready_at` on.
    ready: Vec<u8>,
    ready_at: usize,
    is_body_broken: bool,
    has_ended: bool,
}

impl GatedIo {
    pub(crate) fn new(io: Io, wire: Arc<Wire>, head_bytes_max: usize) -> Self {
        let gate = Gate::new(head_bytes_max);
        Self { io, gate, wire, ready: Vec::new(), ready_at: 0, is_body_broken: false, has_ended: false }
    }

    /// Ends a connection that the server side closes: sends FIN, then reads and drops what still comes, for a while.
    pub(crate) async fn linger(mut self) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        if self.has_ended || self.io.reset_flag().is_armed() || self.io.shutdown().await.is_err() {
            return;
        }
        let mut left = LINGER_BYTES_MAX;
        let mut sink = vec![0; 4096];
        let drain = async {
            while let Ok(n @ 1..) = self.io.read(&mut sink).await {
                left = left.saturating_sub(n);
                if left == 0 {
                    break;
                }
            }
        };
        // Either end is fine: the peer closed, or it had its time.
        let _ = tokio::time::timeout(LINGER, drain).await;
    }

    /// Hands out what is ready.
    fn take_ready(&mut self, buf: &mut ReadBufCursor<'_>) {
        let rest = &self.ready[self.ready_at..];
        let n = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..n]);
        self.ready_at += n;
        if self.ready_at == self.ready.len() {
            self.ready = Vec::new();
            self.ready_at = 0;
        }
    }

    /// Reads once and passes the input through the gate; `true` when there is nothing more to read.
    fn poll_admit(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        debug_assert!(self.ready.is_empty());
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buf = ReadBuf::new(&mut scratch[..]);
            ready!(Pin::new(&mut self.io).poll_read(cx, buf.unfilled()))?;
            if buf.filled().is_empty() {
                self.has_ended = true;
                if self.gate.is_in_head() {
                    // A client that half-closed in the middle of a head still reads.
                    self.ready = self.gate.refuse(Refusal::MalformedRequest);
                    return Poll::Ready(Ok(false));
                }
                return Poll::Ready(Ok(true));
            }
            let admitted = self.gate.admit(buf.filled());
            self.is_body_broken |= admitted.is_body_broken;
            self.ready.extend_from_slice(&admitted.bytes);
            self.wire.set_in_head(self.gate.is_in_head());
            if self.gate.is_undecided() {
                // A decision about an earlier offer says nothing about this one.
                self.wire.take_decision();
            }
            Poll::Ready(Ok(false))
        })
    }

    /// Applies what was decided outside: the upstream's answer to an upgrade, and the end of a time limit. `true` when
    /// the connection is to end.
    fn apply_decisions(&mut self, cx: &mut Context<'_>) -> bool {
        self.wire.register(cx.waker());
        if self.gate.is_undecided()
            && let Some(decision) = self.wire.take_decision()
        {
            self.ready = self.gate.decide(decision == Decision::Tunnel);
        }
        if !self.wire.is_expired() {
            return false;
        }
        if !self.gate.is_in_head() {
            return true;
        }
        self.ready = self.gate.refuse(Refusal::HeadTimeout);
        false
    }
}

impl Read for GatedIo {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if !this.ready.is_empty() {
                this.take_ready(&mut buf);
                return Poll::Ready(Ok(()));
            }
            if this.is_body_broken {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "malformed chunked body")));
            }
            if this.apply_decisions(cx) {
                return Poll::Ready(Ok(()));
            }
            if !this.ready.is_empty() {
                continue;
            }
            if this.gate.is_undecided() {
                return Poll::Pending;
            }
            let has_ended = ready!(this.poll_admit(cx))?;
            if has_ended {
                // An end after a refused request must not take the answer away from a client that only half-closed.
                return if this.gate.is_closed() { Poll::Pending } else { Poll::Ready(Ok(())) };
            }
        }
    }
}

impl Write for GatedIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Write::poll_write(Pin::new(&mut self.io), cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Write::poll_flush(Pin::new(&mut self.io), cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Write::poll_shutdown(Pin::new(&mut self.io), cx)
    }

    fn is_write_vectored(&self) -> bool {
        Write::is_write_vectored(&self.io)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Write::poll_write_vectored(Pin::new(&mut self.io), cx, bufs)
    }
}
