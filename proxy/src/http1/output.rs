//! Bytes on their way into a socket.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

/// Data shorter than this is copied behind the head, so that one write sends both.
const COPY_BYTES_MAX: usize = 4 * 1024;
/// Encoding pauses for a write when so much waits.
const FULL_BYTES: usize = 16 * 1024;
/// Buffers that a worker keeps for its next messages.
const SPARE_MAX: usize = 32;

thread_local! {
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// What was encoded and not written yet. Its buffer is lent by the worker and goes back when this is dropped.
#[derive(Debug)]
pub(crate) struct Output {
    buffer: Vec<u8>,
    written: usize,
    n_writes: u64,
    /// Long data behind the buffer, not copied.
    data: Bytes,
}

impl Output {
    pub(crate) fn new() -> Self {
        let buffer = SPARE.with_borrow_mut(Vec::pop).unwrap_or_else(|| Vec::with_capacity(1024));
        Self { buffer, written: 0, n_writes: 0, data: Bytes::new() }
    }

    /// Appends framing. Not to be called while [`Output::is_full`].
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        debug_assert!(self.data.is_empty(), "data behind which nothing may come before it is written");
        &mut self.buffer
    }

    /// Appends data. Not to be called while [`Output::is_full`].
    pub(crate) fn push(&mut self, data: Bytes) {
        if data.len() < COPY_BYTES_MAX {
            self.buffer().extend_from_slice(&data);
        } else {
            debug_assert!(self.data.is_empty());
            self.data = data;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.written == self.buffer.len() && self.data.is_empty()
    }

    /// How often the socket has taken something.
    pub(crate) fn n_writes(&self) -> u64 {
        self.n_writes
    }

    /// Whether it should be written before anything is added.
    pub(crate) fn is_full(&self) -> bool {
        !self.data.is_empty() || self.buffer.len() >= FULL_BYTES
    }

    /// Writes all of it; how much that was.
    pub(crate) fn poll_write<W: AsyncWrite + Unpin>(
        &mut self,
        io: &mut W,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let head = &self.buffer[self.written..];
            let n = if self.data.is_empty() {
                ready!(Pin::new(&mut *io).poll_write(cx, head))?
            } else {
                let slices = [IoSlice::new(head), IoSlice::new(&self.data)];
                let begin = usize::from(head.is_empty());
                ready!(Pin::new(&mut *io).poll_write_vectored(cx, &slices[begin..]))?
            };
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let of_buffer = n.min(head.len());
            self.written += of_buffer;
            self.n_writes += 1;
            self.data.advance(n - of_buffer);
        }
        self.buffer.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        // `try_with`: the thread may be ending.
        let _ended = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < SPARE_MAX && buffer.capacity() <= 2 * FULL_BYTES {
                spare.push(buffer);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn short_and_long_data_leave_in_order_through_a_narrow_pipe() {
        let long: Vec<u8> = (0..COPY_BYTES_MAX + 1).map(|i| i.to_le_bytes()[0]).collect();
        let (mut io, mut peer) = tokio::io::duplex(7);
        let write = async {
            let mut output = Output::new();
            output.buffer().extend_from_slice(b"head ");
            output.push(Bytes::from_static(b"short "));
            assert!(!output.is_full());
            output.push(Bytes::copy_from_slice(&long));
            assert!(output.is_full());
            poll_fn(|cx| output.poll_write(&mut io, cx)).await.unwrap();
            assert!(output.is_empty() && !output.is_full());
            drop(io);
        };
        let mut all = Vec::new();
        let (_, read) = tokio::join!(write, peer.read_to_end(&mut all));
        read.unwrap();
        assert_eq!(all, [b"head short ", &long[..]].concat());
    }
}
