//! What was read from a socket and is not consumed yet.

use std::cell::RefCell;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

/// Heads, and all that is expected to be no longer than this, are read into the worker's one buffer and copied out in
/// their true size: a copy of some hundred bytes costs less than a buffer for each connection.
const SCRATCH_BYTES: usize = 16 * 1024;

/// Long bodies are read straight into memory of their own, at most so much at once.
const BLOCK_BYTES: usize = 64 * 1024;

thread_local! {
    /// Between two polls nothing stays in it.
    static SCRATCH: RefCell<Box<[u8; SCRATCH_BYTES]>> = RefCell::new(Box::new([0; SCRATCH_BYTES]));
}

/// Input of one side of a connection. Empty, it holds no memory.
#[derive(Debug, Default)]
pub(crate) struct Input {
    held: Bytes,
    has_ended: bool,
}

impl Input {
    /// Reads once; how much came, 0 at the end of the stream. `wanted` is how much would be welcome, which decides the
    /// size of the buffer.
    pub(crate) fn poll_fill<R: AsyncRead + Unpin>(
        &mut self,
        io: &mut R,
        cx: &mut Context<'_>,
        wanted: u64,
    ) -> Poll<io::Result<usize>> {
        let n = if wanted > SCRATCH_BYTES as u64 && self.held.is_empty() {
            ready!(self.poll_block(io, cx, wanted))?
        } else {
            ready!(self.poll_scratch(io, cx))?
        };
        self.has_ended |= n == 0;
        Poll::Ready(Ok(n))
    }

    fn poll_scratch<R: AsyncRead + Unpin>(&mut self, io: &mut R, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buf = ReadBuf::new(&mut scratch[..]);
            ready!(Pin::new(io).poll_read(cx, &mut buf))?;
            self.push(buf.filled());
            Poll::Ready(Ok(buf.filled().len()))
        })
    }

    fn poll_block<R: AsyncRead + Unpin>(
        &mut self,
        io: &mut R,
        cx: &mut Context<'_>,
        wanted: u64,
    ) -> Poll<io::Result<usize>> {
        let size = usize::try_from(wanted).map_or(BLOCK_BYTES, |wanted| wanted.min(BLOCK_BYTES));
        let mut block = BytesMut::with_capacity(size);
        // The future holds nothing between two polls.
        let n = ready!(pin!(io.read_buf(&mut block)).poll(cx))?;
        self.held = block.freeze();
        Poll::Ready(Ok(n))
    }

    /// Appends what came.
    fn push(&mut self, bytes: &[u8]) {
        if self.held.is_empty() {
            self.held = Bytes::copy_from_slice(bytes);
            return;
        }
        // Nobody else has a part of it: it grows where it is.
        let mut all = std::mem::take(&mut self.held).try_into_mut().unwrap_or_else(|shared| shared[..].into());
        all.extend_from_slice(bytes);
        self.held = all.freeze();
    }

    /// What is held.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.held
    }

    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Whether the end of the stream was read.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Consumes the first `n` bytes.
    pub(crate) fn take(&mut self, n: usize) -> Bytes {
        if n == self.held.len() { std::mem::take(&mut self.held) } else { self.held.split_to(n) }
    }

    #[cfg(any(test, feature = "bench"))]
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self { held: Bytes::copy_from_slice(bytes), has_ended: false }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test]
    async fn pieces_add_up_and_the_end_is_seen() {
        let (mut io, mut peer) = tokio::io::duplex(64);
        let mut input = Input::default();
        for piece in ["GET ", "/ "] {
            tokio::io::AsyncWriteExt::write_all(&mut peer, piece.as_bytes()).await.unwrap();
            assert_eq!(poll_fn(|cx| input.poll_fill(&mut io, cx, 0)).await.unwrap(), piece.len());
        }
        assert_eq!(input.take(4), "GET ");
        // A part of it is elsewhere now; more input leaves that part alone.
        let slash = input.bytes().slice(..1);
        tokio::io::AsyncWriteExt::write_all(&mut peer, b"x").await.unwrap();
        poll_fn(|cx| input.poll_fill(&mut io, cx, 1_000_000)).await.unwrap();
        assert_eq!((&slash[..], &input.take(3)[..]), (&b"/"[..], &b"/ x"[..]));
        drop(peer);
        assert_eq!(poll_fn(|cx| input.poll_fill(&mut io, cx, 1_000_000)).await.unwrap(), 0);
        assert!(input.has_ended() && input.is_empty());
    }
}
