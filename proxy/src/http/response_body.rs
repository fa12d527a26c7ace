//! The body of a response on its way downstream: counted, altered by faults, and the end of every exchange.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use squall_config::Chain;

use super::fault::body::{BodyFaults, Stopped};
use super::hop_by_hop::without_forbidden_trailers;
use super::interrupt::Interrupt;
use super::record::Record;
use super::response::AnswerBody;
use super::tunnel::Tunnel;
use crate::error::ErrorKind;

/// The body of a response on its way downstream. Dropping it ends the exchange, complete or not.
#[derive(Debug)]
pub(crate) struct ResponseBody {
    body: AnswerBody,
    faults: Option<Box<BodyFaults>>,
    record: Record,
}

impl ResponseBody {
    pub(crate) fn new(body: AnswerBody, faults: Option<Box<BodyFaults>>, record: Record) -> Self {
        Self { body, faults, record }
    }

    fn poll_altered(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Interrupt>>> {
        let body = &mut self.body;
        let stopped = match &mut self.faults {
            None => match ready!(body.poll_upstream(cx)) {
                Some(Err(error)) => Stopped::Body(error),
                frame => return Poll::Ready(frame.and_then(Result::ok).map(|f| Ok(without_forbidden_trailers(f)))),
            },
            Some(faults) => match ready!(faults.poll(cx, |cx| body.poll_upstream(cx))) {
                Some(Err(stopped)) => stopped,
                frame => return Poll::Ready(frame.and_then(Result::ok).map(|f| Ok(without_forbidden_trailers(f)))),
            },
        };
        Poll::Ready(Some(Err(match stopped {
            Stopped::Injected(interrupt) => interrupt,
            Stopped::Body(error) => {
                tracing::debug!(error = %Chain(error.as_ref()), "upstream body ended early");
                self.record.fail(ErrorKind::Truncated);
                Interrupt::cut_short()
            }
        })))
    }

    /// Notes that downstream went away before the end.
    #[cold]
    pub(crate) fn abandon(&mut self) {
        self.record.abandon();
    }

    /// The upstream's end of a tunnel, where the answer is one to a protocol switch.
    pub(crate) fn take_tunnel(&mut self) -> Option<Tunnel> {
        match std::mem::replace(&mut self.body, AnswerBody::Empty) {
            AnswerBody::Tunnel(tunnel) => Some(tunnel),
            body => {
                self.body = body;
                None
            }
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Interrupt;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Interrupt>>> {
        let frame = ready!(self.poll_altered(cx)?);
        let bytes = frame.as_ref().and_then(Frame::data_ref).map_or(0, |data| data.len() as u64);
        self.record.count_response_bytes(bytes);
        if let Some(trailers) = frame.as_ref().and_then(Frame::trailers_ref) {
            self.record.note_trailers(trailers);
        }
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        let has_ended = match &self.body {
            AnswerBody::Empty | AnswerBody::Switched(_) | AnswerBody::Tunnel(_) => true,
            AnswerBody::Full(bytes) => bytes.is_empty(),
            AnswerBody::Http1(body) => body.download.is_end_stream(),
            AnswerBody::Http2(body) => body.is_end_stream(),
        };
        has_ended && self.faults.as_ref().is_none_or(|faults| faults.is_over())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            AnswerBody::Empty | AnswerBody::Switched(_) | AnswerBody::Tunnel(_) => SizeHint::with_exact(0),
            AnswerBody::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            AnswerBody::Http1(body) => body.download.size_hint(),
            AnswerBody::Http2(body) => body.size_hint(),
        }
    }
}
