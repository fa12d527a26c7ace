//! The body of a request on its way upstream: counted, and altered by faults.

use std::cell::Cell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::fault::body::{BodyFaults, Stopped};
use super::hop_by_hop::without_forbidden_trailers;
use super::refusal::Refusal;
use crate::error::BoxError;
use crate::http1::socket::IncomingBody;
use crate::http2;

/// What an exchange wants to know of the request body that went upstream.
#[derive(Debug, Default)]
pub(crate) struct Upload {
    pub(crate) bytes: Cell<u64>,
    /// Downstream is waited for.
    is_waiting: Cell<bool>,
    /// What was wrong with downstream's body: it was malformed, ended early, or did not go on.
    refusal: Cell<Option<Refusal>>,
}

impl Upload {
    /// How many bytes have come from downstream, while it is waited for.
    pub(crate) fn waits_after(&self) -> Option<u64> {
        self.is_waiting.get().then(|| self.bytes.get())
    }

    /// Ends the body in an error: it has stalled.
    pub(crate) fn give_up(&self) {
        self.refusal.set(Some(Refusal::BodyTimeout));
    }

    /// What was wrong with the body.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.refusal.get()
    }
}

/// The body of a request on its way upstream.
#[derive(Debug, Default)]
pub(crate) enum RequestBody {
    #[default]
    Empty,
    Http1(IncomingBody, Rc<Upload>),
    Http2(http2::body::IncomingBody, Rc<Upload>),
    /// Not as it came.
    Altered(Box<Altered>),
}

/// Frames that were read already.
pub(crate) type Frames = VecDeque<Result<Frame<Bytes>, BoxError>>;

/// A request body that a fault has a part in.
#[derive(Debug)]
pub(crate) enum Altered {
    Full(Bytes),
    /// Frames that were read already, and what is behind them.
    Resumed(Frames, RequestBody),
    Faulted(Box<BodyFaults>, RequestBody),
}

impl RequestBody {
    pub(crate) fn http1(body: Option<IncomingBody>) -> Self {
        body.map_or(Self::Empty, |body| Self::Http1(body, Rc::default()))
    }

    pub(crate) fn http2(body: http2::body::IncomingBody) -> Self {
        if body.is_end_stream() { Self::Empty } else { Self::Http2(body, Rc::default()) }
    }

    /// A body of a rule.
    pub(crate) fn full(bytes: Bytes) -> Self {
        if bytes.is_empty() { Self::Empty } else { Self::Altered(Box::new(Altered::Full(bytes))) }
    }

    /// The body before some of its frames were read.
    pub(crate) fn resumed(self, frames: Frames) -> Self {
        if frames.is_empty() { self } else { Self::Altered(Box::new(Altered::Resumed(frames, self))) }
    }

    /// The body under faults.
    pub(crate) fn faulted(self, faults: Box<BodyFaults>) -> Self {
        if self.is_end_stream() { self } else { Self::Altered(Box::new(Altered::Faulted(faults, self))) }
    }

    /// What is to be known of it afterwards; `None` when there is no body.
    pub(crate) fn upload(&self) -> Option<&Rc<Upload>> {
        match self {
            Self::Empty | Self::Altered(_) => None,
            Self::Http1(_, upload) | Self::Http2(_, upload) => Some(upload),
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let (frame, upload) = match &mut *self {
            Self::Empty => return Poll::Ready(None),
            Self::Altered(altered) => return altered.poll_frame(cx),
            Self::Http1(body, upload) => {
                (Pin::new(body).poll_frame(cx).map(|f| f.map(|f| f.map_err(BoxError::from))), upload)
            }
            Self::Http2(body, upload) => {
                (Pin::new(body).poll_frame(cx).map(|f| f.map(|f| f.map_err(BoxError::from))), upload)
            }
        };
        upload.is_waiting.set(frame.is_pending());
        if let (Poll::Pending, Some(refusal)) = (&frame, upload.refusal.get()) {
            return Poll::Ready(Some(Err(refusal.detail().into())));
        }
        let frame = ready!(frame);
        match &frame {
            Some(Ok(frame)) => upload.bytes.set(upload.bytes.get() + frame.data_ref().map_or(0, |d| d.len() as u64)),
            Some(Err(_)) => upload.refusal.set(Some(Refusal::MalformedBody)),
            None => {}
        }
        Poll::Ready(frame.map(|f| f.map(without_forbidden_trailers)))
    }

    #[inline]
    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Http1(body, _) => body.is_end_stream(),
            Self::Http2(body, _) => body.is_end_stream(),
            Self::Altered(altered) => altered.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Http1(body, _) => body.size_hint(),
            Self::Http2(body, _) => body.size_hint(),
            Self::Altered(altered) => match &**altered {
                Altered::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
                Altered::Resumed(..) => SizeHint::default(),
                Altered::Faulted(_, body) => body.size_hint(),
            },
        }
    }
}

impl Altered {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self {
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Self::Resumed(frames, body) => match frames.pop_front() {
                Some(frame) => Poll::Ready(Some(frame)),
                None => Pin::new(body).poll_frame(cx),
            },
            Self::Faulted(faults, body) => {
                let frame = ready!(faults.poll(cx, |cx| Pin::new(&mut *body).poll_frame(cx)));
                Poll::Ready(frame.map(|frame| {
                    frame.map_err(|stopped| match stopped {
                        Stopped::Body(error) => error,
                        Stopped::Injected(interrupt) => interrupt.into(),
                    })
                }))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.is_empty(),
            Self::Resumed(frames, body) => frames.is_empty() && body.is_end_stream(),
            Self::Faulted(faults, body) => faults.is_over() || faults.holds_nothing() && body.is_end_stream(),
        }
    }
}

/// Reads and drops what is left of a request that a rule answered, so that the answer is not destroyed by a reset for
/// unread bytes; within limits, after which the stream is reset. On HTTP/1 the server does the same.
pub(crate) fn discard(body: RequestBody) {
    let mut body = match body {
        RequestBody::Http2(body, _) => body,
        RequestBody::Altered(altered) => match *altered {
            Altered::Resumed(_, body) | Altered::Faulted(_, body) => return discard(body),
            Altered::Full(_) => return,
        },
        RequestBody::Http1(..) | RequestBody::Empty => return,
    };
    tokio::task::spawn_local(async move { discard_frames(|cx| Pin::new(&mut body).poll_frame(cx)).await });
}

/// Reads and drops what is left of a body whose request is answered: for so long, and so many bytes of it.
pub(crate) async fn discard_frames<E>(mut next: impl FnMut(&mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, E>>>) {
    const TIME_MAX: Duration = Duration::from_secs(5);
    const BYTES_MAX: usize = 1024 * 1024;
    let mut left = BYTES_MAX;
    let read = poll_fn(|cx| {
        loop {
            let Some(Ok(frame)) = ready!(next(cx)) else { return Poll::Ready(()) };
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                return Poll::Ready(());
            }
        }
    });
    // Either end is fine: the body ended, or it had its time.
    let _ = tokio::time::timeout(TIME_MAX, read).await;
}
