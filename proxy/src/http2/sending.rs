//! A body on its way out, as fast as the receiver's windows allow.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http::HeaderMap;
use http_body::{Body, Frame};
use tokio::task::JoinHandle;

use crate::error::BoxError;

/// The end of a body that is handed over without asking for room: what a stream may hold in memory at most.
const LAST_MAX: usize = 16 * 1024;

/// A message whose head is on its way already.
#[derive(Debug)]
pub(crate) struct Sending<B> {
    stream: SendStream<Bytes>,
    body: B,
    /// Data that found no room yet.
    waiting: Bytes,
    /// How often there was room.
    n_sent: u64,
}

/// How a message that was not sent to its end came to it.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// The body failed; the stream is still open.
    Body(BoxError),
    /// The receiver wants no more, or the connection ended.
    Receiver,
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin> Sending<B> {
    pub(crate) fn new(stream: SendStream<Bytes>, body: B) -> Self {
        Self { stream, body, waiting: Bytes::new(), n_sent: 0 }
    }

    /// Sends on; ready when all of it is with the connection.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Stopped>> {
        loop {
            if !self.waiting.is_empty() {
                ready!(self.poll_waiting(cx))?;
                if self.waiting.is_empty() && self.body.is_end_stream() {
                    return Poll::Ready(Ok(()));
                }
                continue;
            }
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
                // A receiver that wants no more is heard of while there is nothing to send, too.
                return self.stream.poll_reset(cx).map(|_| Err(Stopped::Receiver));
            };
            match frame.transpose().map_err(|error| Stopped::Body(error.into()))?.map(Frame::into_data) {
                None => return Poll::Ready(self.end(None)),
                Some(Err(frame)) => return Poll::Ready(self.end(frame.into_trailers().ok())),
                // Short and the last: the connection may keep it until there is room.
                Some(Ok(data)) if data.len() <= LAST_MAX && self.body.is_end_stream() => {
                    return Poll::Ready(self.stream.send_data(data, true).map_err(|_| Stopped::Receiver));
                }
                Some(Ok(data)) => self.waiting = data,
            }
        }
    }

    /// Sends as much as there is room for.
    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Stopped>> {
        self.stream.reserve_capacity(self.waiting.len());
        let mut room = self.stream.capacity();
        while room == 0 {
            match ready!(self.stream.poll_capacity(cx)) {
                Some(Ok(capacity)) => room = capacity,
                Some(Err(_)) | None => return Poll::Ready(Err(Stopped::Receiver)),
            }
        }
        let data = self.waiting.split_to(room.min(self.waiting.len()));
        self.n_sent += 1;
        let is_last = self.waiting.is_empty() && self.body.is_end_stream();
        Poll::Ready(self.stream.send_data(data, is_last).map_err(|_| Stopped::Receiver))
    }

    /// How often there was room, while it is the receiver that is waited for.
    pub(crate) fn waits_after(&self) -> Option<u64> {
        (!self.waiting.is_empty()).then_some(self.n_sent)
    }

    /// The body, whatever of it is still to come.
    pub(crate) fn body_mut(&mut self) -> &mut B {
        &mut self.body
    }

    fn end(&mut self, trailers: Option<HeaderMap>) -> Result<(), Stopped> {
        let ended = match trailers {
            Some(trailers) => self.stream.send_trailers(trailers),
            None => self.stream.send_data(Bytes::new(), true),
        };
        ended.map_err(|_| Stopped::Receiver)
    }

    /// Ends the stream as if the body were complete.
    pub(crate) fn end_early(&mut self) {
        // Fails when the receiver has gone: an end all the same.
        let _gone = self.end(None);
    }

    /// Ends the stream where it stands.
    pub(crate) fn reset(&mut self, reason: Reason) {
        self.stream.send_reset(reason);
    }
}

/// A task that ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Detached(JoinHandle<()>);

impl Detached {
    pub(crate) fn spawn(task: impl Future<Output = ()> + 'static) -> Self {
        Self(tokio::task::spawn_local(task))
    }
}

impl Drop for Detached {
    fn drop(&mut self) {
        self.0.abort();
    }
}
