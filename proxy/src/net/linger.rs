//! The end of a connection whose last words should arrive.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use crate::turn::let_others;

/// How long the peer has to read what was said last, and to close.
const TIME_MAX: Duration = Duration::from_secs(1);
/// How much of what it still sends is read and dropped meanwhile; more waits in the kernel, and holds the peer up.
const BYTES_MAX: usize = 1024 * 1024;
/// How much of it is read in one go.
const TURN_BYTES: usize = 32 * 1024;

/// Sends FIN, then reads and drops what still comes, for a while: a connection that is closed with bytes unread ends in a reset
/// at once, which destroys what is on its way to the peer (RFC 9112 §9.6).
#[derive(Debug)]
pub(crate) struct Linger {
    is_shut: bool,
    bytes_left: usize,
    timer: Pin<Box<Sleep>>,
}

impl Default for Linger {
    fn default() -> Self {
        Self { is_shut: false, bytes_left: BYTES_MAX, timer: Box::pin(tokio::time::sleep(TIME_MAX)) }
    }
}

impl Linger {
    /// Ready when the peer has closed, or has had its time; the connection may be dropped then.
    pub(crate) fn poll<T: AsyncRead + AsyncWrite + Unpin>(&mut self, io: &mut T, cx: &mut Context<'_>) -> Poll<()> {
        if self.timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if !self.is_shut {
            if ready!(Pin::new(&mut *io).poll_shutdown(cx)).is_err() {
                return Poll::Ready(());
            }
            self.is_shut = true;
        }
        let pause_at = self.bytes_left.saturating_sub(TURN_BYTES);
        while self.bytes_left > pause_at {
            match ready!(read_and_drop(io, cx)) {
                Ok(n @ 1..) => self.bytes_left = self.bytes_left.saturating_sub(n),
                Ok(0) | Err(_) => return Poll::Ready(()),
            }
        }
        if self.bytes_left > 0 { let_others(cx) } else { Poll::Pending }
    }
}

/// Lingers to the end, on a connection that nobody else has a part in.
pub(crate) async fn linger<T: AsyncRead + AsyncWrite + Unpin>(io: &mut T) {
    let mut linger = Linger::default();
    poll_fn(|cx| linger.poll(io, cx)).await;
}

fn read_and_drop<T: AsyncRead + Unpin>(io: &mut T, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
    let mut block = [0; 16 * 1024];
    let mut dropped = ReadBuf::new(&mut block);
    ready!(Pin::new(io).poll_read(cx, &mut dropped))?;
    Poll::Ready(Ok(dropped.filled().len()))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::time::Instant;

    use super::*;
    use crate::net::for_tests::pair;

    async fn say_and_linger(mut server: TcpStream) -> Duration {
        server.write_all(b"last words").await.unwrap();
        let begun = Instant::now();
        linger(&mut server).await;
        begun.elapsed()
    }

    #[tokio::test]
    async fn last_words_arrive_although_more_is_on_its_way() {
        let (mut client, server) = pair().await;
        client.write_all(&[b'x'; 200_000]).await.unwrap();
        let server = tokio::spawn(say_and_linger(server));
        let mut said = Vec::new();
        client.read_to_end(&mut said).await.unwrap();
        assert_eq!(said, b"last words");
        drop(client);
        assert!(server.await.unwrap() < TIME_MAX, "until the peer closes, and no longer");
    }

    #[tokio::test]
    async fn a_peer_that_sends_without_end_is_held_up_and_has_its_time() {
        let (mut client, server) = pair().await;
        let server = tokio::spawn(say_and_linger(server));
        let (mut reader, mut writer) = client.split();
        let mut said = Vec::new();
        let pour = async { while writer.write_all(&[b'x'; 64 * 1024]).await.is_ok() {} };
        tokio::select! {
            read = reader.read_to_end(&mut said) => read.unwrap(),
            () = pour => panic!("the last words come before the reset"),
        };
        assert_eq!(said, b"last words");
        let took = server.await.unwrap();
        assert!(took >= TIME_MAX && took < TIME_MAX * 3, "{took:?}");
    }
}
