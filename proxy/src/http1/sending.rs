//! A message on its way out: its head, then its body, in as few writes as it takes.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Body;
use tokio::io::AsyncWrite;

use super::encoder::{Encoder, WrongLength};
use super::output::Output;
use crate::http::body::BoxError;

/// Why a message was not sent to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// The body failed.
    #[error("the body ended early")]
    Body(#[source] BoxError),
    #[error(transparent)]
    WrongLength(#[from] WrongLength),
    #[error("writing failed")]
    Io(#[source] io::Error),
}

/// A message whose head is in the output already.
#[derive(Debug)]
pub(crate) struct Sending<B> {
    out: Output,
    encoder: Encoder,
    /// `None` once it came to its end: what is counted at the end of a body is counted before its last byte leaves, so
    /// that whoever has read a message finds it in the metrics.
    body: Option<B>,
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin> Sending<B> {
    pub(crate) fn new(out: Output, encoder: Encoder, body: B) -> Self {
        Self { out, encoder, body: Some(body) }
    }

    /// Sends on; ready when everything is with the kernel.
    pub(crate) fn poll<W: AsyncWrite + Unpin>(
        &mut self,
        io: &RefCell<W>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), SendError>> {
        loop {
            self.gather(cx)?;
            if self.out.is_empty() {
                return if self.body.is_none() { Poll::Ready(Ok(())) } else { Poll::Pending };
            }
            ready!(self.out.poll_write(&mut *io.borrow_mut(), cx)).map_err(SendError::Io)?;
            if self.body.is_none() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Encodes what is there of the body, so that one write takes it along.
    fn gather(&mut self, cx: &mut Context<'_>) -> Result<(), SendError> {
        while let Some(body) = self.body.as_mut().filter(|_| !self.out.is_full()) {
            match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Pending => break,
                Poll::Ready(Some(frame)) => {
                    let frame = frame.map_err(|error| SendError::Body(error.into()))?;
                    self.encoder.push(frame, &mut self.out)?;
                    if self.encoder.is_complete() && body.is_end_stream() {
                        self.body = None;
                    }
                }
                Poll::Ready(None) => {
                    self.encoder.end(&mut self.out)?;
                    self.body = None;
                }
            }
        }
        Ok(())
    }

    /// Whether the end of the connection is the only end that the receiver can see.
    pub(crate) fn ends_with_connection(&self) -> bool {
        self.encoder == Encoder::UntilEnd
    }
}
