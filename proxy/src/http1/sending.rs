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
use crate::error::BoxError;
use crate::http::interrupt::Interrupt;

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

impl SendError {
    /// Whether a rule wants this to look like the end of the body.
    pub(crate) fn is_meant_as_end(&self) -> bool {
        let Self::Body(error) = self else { return false };
        error.downcast_ref::<Interrupt>().is_some_and(|interrupt| interrupt.reason().is_none())
    }

    /// The interruption that it was.
    pub(crate) fn into_interrupt(self) -> Option<Interrupt> {
        let Self::Body(error) = self else { return None };
        error.downcast::<Interrupt>().ok().map(|interrupt| *interrupt)
    }
}

/// A message whose head is in the output already.
#[derive(Debug)]
pub(crate) struct Sending<B> {
    out: Output,
    encoder: Encoder,
    /// `None` once it came to its end: what is counted at the end of a body is counted before its last byte leaves, so
    /// that whoever has read a message finds it in the metrics.
    body: Option<B>,
    /// Why it ended early, told once what came before is with the kernel.
    failed: Option<SendError>,
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin> Sending<B> {
    pub(crate) fn new(out: Output, encoder: Encoder, body: B) -> Self {
        Self { out, encoder, body: Some(body), failed: None }
    }

    /// Sends on; ready when everything is with the kernel.
    pub(crate) fn poll<W: AsyncWrite + Unpin>(
        &mut self,
        io: &RefCell<W>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), SendError>> {
        loop {
            if let Err(error) = self.gather(cx) {
                (self.failed, self.body) = (Some(error), None);
            }
            let mut io = io.borrow_mut();
            let is_idle = self.out.is_empty();
            ready!(self.out.poll_write(&mut *io, cx)).map_err(SendError::Io)?;
            if is_idle || self.body.is_none() {
                // Under TLS some of it may wait for room in the socket.
                ready!(Pin::new(&mut *io).poll_flush(cx)).map_err(SendError::Io)?;
                return if self.body.is_none() { Poll::Ready(self.result()) } else { Poll::Pending };
            }
        }
    }

    fn result(&mut self) -> Result<(), SendError> {
        self.failed.take().map_or(Ok(()), Err)
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

    /// How many writes there have been, while it is the receiver that is waited for.
    pub(crate) fn waits_after(&self) -> Option<u64> {
        (!self.out.is_empty()).then(|| self.out.n_writes())
    }

    /// What of the body is still to come, until it came to its end.
    pub(crate) fn body_mut(&mut self) -> Option<&mut B> {
        self.body.as_mut()
    }

    /// Whether the end of the connection is the only end that the receiver can see.
    pub(crate) fn ends_with_connection(&self) -> bool {
        self.encoder == Encoder::UntilEnd
    }
}
