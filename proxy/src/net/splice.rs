//! Moves bytes from socket to socket inside the kernel, through a pipe (splice(2)).

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// What a pipe is asked to hold; the system may grant less.
const PIPE_BYTES: usize = 256 * 1024;
/// Empty pipes that a worker keeps; each is two descriptors.
const SPARE_MAX: usize = 16;

thread_local! {
    static SPARE: RefCell<Vec<Ends>> = const { RefCell::new(Vec::new()) };
}

#[derive(Debug)]
struct Ends {
    read: OwnedFd,
    write: OwnedFd,
}

impl Ends {
    fn create() -> io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC)?;
        // Refused beyond the user's share of pipe memory: then it stays as large as it is.
        let _granted = fcntl_setpipe_size(&write, PIPE_BYTES);
        Ok(Self { read, write })
    }
}

/// A pipe for one direction of a relay. Lent by the worker; it goes back when it is dropped empty.
#[derive(Debug)]
pub(crate) struct Pipe {
    /// `None` only on the way to `drop`.
    ends: Option<Ends>,
    held: usize,
}

impl Pipe {
    /// # Errors
    /// When there are no descriptors left.
    pub(crate) fn take() -> io::Result<Self> {
        let spare = SPARE.with_borrow_mut(Vec::pop);
        let ends = spare.map_or_else(Ends::create, Ok)?;
        Ok(Self { ends: Some(ends), held: 0 })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Takes what the socket has, at most `most` bytes; 0 is the end of the stream. Only for an empty pipe: then
    /// "would block" can mean the socket alone.
    pub(crate) fn poll_fill(&mut self, from: &TcpStream, most: usize, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        debug_assert!(self.is_empty(), "a pipe that may be full");
        let ends = self.ends();
        let n = ready!(poll_splice(
            |cx| from.poll_read_ready(cx),
            cx,
            || {
                from.try_io(Interest::READABLE, || {
                    Ok(splice(from, None, &ends.write, None, most.min(PIPE_BYTES), flags())?)
                })
            }
        ))?;
        self.held += n;
        Poll::Ready(Ok(n))
    }

    /// Gives to the socket what it takes of what is held, at most `most` bytes; how much that was.
    pub(crate) fn poll_drain(&mut self, to: &TcpStream, most: usize, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let (ends, held) = (self.ends(), self.held.min(most));
        let n = ready!(poll_splice(
            |cx| to.poll_write_ready(cx),
            cx,
            || { to.try_io(Interest::WRITABLE, || Ok(splice(&ends.read, None, to, None, held, flags())?)) }
        ))?;
        debug_assert!(n <= self.held, "more than was put in");
        self.held = self.held.saturating_sub(n);
        if n == 0 { Poll::Ready(Err(io::ErrorKind::WriteZero.into())) } else { Poll::Ready(Ok(n)) }
    }

    fn ends(&self) -> &Ends {
        self.ends.as_ref().expect("invariant: only drop takes the ends")
    }
}

fn flags() -> SpliceFlags {
    SpliceFlags::NONBLOCK | SpliceFlags::MOVE
}

/// Tries whenever the socket is said to be ready, until it really is.
fn poll_splice(
    poll_ready: impl Fn(&mut Context<'_>) -> Poll<io::Result<()>>,
    cx: &mut Context<'_>,
    splice: impl Fn() -> io::Result<usize>,
) -> Poll<io::Result<usize>> {
    loop {
        ready!(poll_ready(cx))?;
        match splice() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            done => return Poll::Ready(done),
        }
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let Some(ends) = self.ends.take().filter(|_| self.held == 0) else { return };
        // `try_with`: the thread may be ending.
        let _ended = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < SPARE_MAX {
                spare.push(ends);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::net::for_tests::pair;

    #[tokio::test]
    async fn bytes_pass_in_order_and_so_does_the_end() {
        const BYTES: usize = 3_000_000;
        let ((mut client, from), (to, mut server)) = (pair().await, pair().await);
        let sent: Vec<u8> = (0..BYTES).map(|i| (i % 251).to_le_bytes()[0]).collect();
        let send = async {
            client.write_all(&sent).await.unwrap();
            drop(client);
        };
        let relay = async {
            let mut pipe = Pipe::take().unwrap();
            while poll_fn(|cx| pipe.poll_fill(&from, usize::MAX, cx)).await.unwrap() > 0 {
                while !pipe.is_empty() {
                    poll_fn(|cx| pipe.poll_drain(&to, usize::MAX, cx)).await.unwrap();
                }
            }
            drop(pipe);
            assert_eq!(SPARE.with_borrow(Vec::len), 1, "an empty pipe is kept");
            drop(to);
        };
        let mut received = Vec::new();
        let (_, (), read) = tokio::join!(send, relay, server.read_to_end(&mut received));
        read.unwrap();
        assert!(received == sent, "{} bytes came", received.len());
    }

    #[tokio::test]
    async fn a_pipe_that_holds_something_is_not_lent_again() {
        let (mut client, from) = pair().await;
        client.write_all(b"secret of another connection").await.unwrap();
        let mut pipe = Pipe::take().unwrap();
        assert_eq!(poll_fn(|cx| pipe.poll_fill(&from, 6, cx)).await.unwrap(), 6);
        drop(pipe);
        assert_eq!(SPARE.with_borrow(Vec::len), 0);
    }
}
