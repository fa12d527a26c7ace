//! Bodies on their way: counted, cut by faults, and the end of every exchange.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use squall_fault::snapshot::RuleState;
use tokio::time::Sleep;

use super::hop_by_hop::remove_forbidden_trailers;
use super::interrupt::Interrupt;
use super::record::Record;
use crate::error::ErrorKind;
use crate::http1::socket::IncomingBody;
use crate::http1::tunnel::Tunnel;
use crate::http2;
use crate::net::reset::ResetFlag;
use crate::upstream::h1::Leased;

/// What an exchange wants to know of the request body that went upstream.
#[derive(Debug, Default)]
pub(crate) struct Upload {
    pub(crate) bytes: Cell<u64>,
    /// Downstream's body was malformed or ended early.
    pub(crate) has_failed: Cell<bool>,
}

/// Whatever went wrong with a body on its way.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of a request on its way upstream.
#[derive(Debug, Default)]
pub(crate) enum RequestBody {
    #[default]
    Empty,
    Http1(IncomingBody, Rc<Upload>),
    Http2(http2::body::IncomingBody, Rc<Upload>),
}

impl RequestBody {
    pub(crate) fn http1(body: Option<IncomingBody>) -> Self {
        body.map_or(Self::Empty, |body| Self::Http1(body, Rc::default()))
    }

    pub(crate) fn http2(body: http2::body::IncomingBody) -> Self {
        if body.is_end_stream() { Self::Empty } else { Self::Http2(body, Rc::default()) }
    }

    /// What is to be known of it afterwards; `None` when there is no body.
    pub(crate) fn upload(&self) -> Option<&Rc<Upload>> {
        match self {
            Self::Empty => None,
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
            Self::Http1(body, upload) => {
                (ready!(Pin::new(body).poll_frame(cx)).map(|f| f.map_err(BoxError::from)), upload)
            }
            Self::Http2(body, upload) => {
                (ready!(Pin::new(body).poll_frame(cx)).map(|f| f.map_err(BoxError::from)), upload)
            }
        };
        match &frame {
            Some(Ok(frame)) => upload.bytes.set(upload.bytes.get() + frame.data_ref().map_or(0, |d| d.len() as u64)),
            Some(Err(_)) => upload.has_failed.set(true),
            None => {}
        }
        Poll::Ready(frame.map(|f| f.map(without_forbidden_trailers)))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Http1(body, _) => body.is_end_stream(),
            Self::Http2(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Http1(body, _) => body.size_hint(),
            Self::Http2(body, _) => body.size_hint(),
        }
    }
}

fn without_forbidden_trailers(frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(mut trailers) => {
            remove_forbidden_trailers(&mut trailers);
            Frame::trailers(trailers)
        }
        Err(frame) => frame,
    }
}

/// Where a response body comes from.
#[derive(Debug)]
pub(crate) enum Source {
    Empty,
    Full(Bytes),
    Http1(Leased),
    Http2(http2::body::IncomingBody),
    /// No body: what follows is not HTTP.
    Tunnel(Tunnel),
}

impl Source {
    /// The next frame as it comes from the upstream.
    fn poll_upstream(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self {
            Self::Empty | Self::Tunnel(_) => Poll::Ready(None),
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Self::Http1(body) => Pin::new(&mut body.download).poll_frame(cx).map_err(BoxError::from),
            Self::Http2(body) => Pin::new(body).poll_frame(cx).map_err(BoxError::from),
        }
    }
}

/// Ends a response by a reset after some of its bytes, unless its rule ends before they have passed.
#[derive(Debug)]
pub(crate) struct Cut {
    /// The rule that asks for it.
    pub(crate) rule: Arc<RuleState>,
    /// Bytes that may still pass.
    pub(crate) left: u64,
    /// Armed before the end, where a reset is a matter of the connection (HTTP/1).
    pub(crate) reset: Option<ResetFlag>,
    /// Runs once the bytes have passed.
    pub(crate) flushing: Option<Pin<Box<Sleep>>>,
}

/// A reset throws away what the kernel has not sent; so much time is given to the bytes before it.
const FLUSH_TIME: Duration = Duration::from_millis(20);

/// The body of a response on its way downstream. Dropping it ends the exchange, complete or not.
#[derive(Debug)]
pub(crate) struct ResponseBody {
    source: Source,
    cut: Option<Cut>,
    record: Record,
}

impl ResponseBody {
    pub(crate) fn new(source: Source, cut: Option<Cut>, record: Record) -> Self {
        Self { source, cut, record }
    }

    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Interrupt>>> {
        let frame = ready!(self.source.poll_upstream(cx));
        Poll::Ready(frame.map(|frame| match frame {
            Ok(frame) => Ok(without_forbidden_trailers(frame)),
            Err(error) => {
                tracing::debug!(%error, "upstream body ended early");
                self.record.fail(ErrorKind::Truncated);
                Err(Interrupt::cut_short())
            }
        }))
    }

    /// The upstream's end of a tunnel, where the answer is one to a protocol switch.
    pub(crate) fn take_tunnel(&mut self) -> Option<Tunnel> {
        match std::mem::replace(&mut self.source, Source::Empty) {
            Source::Tunnel(tunnel) => Some(tunnel),
            source => {
                self.source = source;
                None
            }
        }
    }

    /// A rule that ended, or halt, lets the rest of the body pass; what was thrown away cannot come back.
    fn forget_lapsed_cut(&mut self) {
        let snapshot = || self.record.downstream.worker.latest_snapshot();
        if self.cut.as_ref().is_some_and(|cut| cut.left > 0 && !snapshot().is_active(&cut.rule)) {
            self.cut = None;
        }
    }

    /// Once the allowed bytes have passed: waits for them to leave, then resets.
    fn poll_cut(&mut self, cx: &mut Context<'_>) -> Poll<Interrupt> {
        let Some(cut) = &mut self.cut else { return Poll::Pending };
        let flushing = cut.flushing.get_or_insert_with(|| Box::pin(tokio::time::sleep(FLUSH_TIME)));
        ready!(flushing.as_mut().poll(cx));
        if let Some(reset) = &cut.reset {
            reset.arm();
        }
        Poll::Ready(Interrupt::reset())
    }

    /// Lets through no more than the cut allows.
    fn shorten(&mut self, frame: Frame<Bytes>) -> Option<Frame<Bytes>> {
        let Some(cut) = &mut self.cut else { return Some(frame) };
        let mut data = frame.into_data().ok()?;
        let allowed = usize::try_from(cut.left).unwrap_or(usize::MAX).min(data.len());
        cut.left -= allowed as u64;
        data.truncate(allowed);
        (!data.is_empty()).then(|| Frame::data(data))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Interrupt;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Interrupt>>> {
        let this = &mut *self;
        this.forget_lapsed_cut();
        if this.cut.as_ref().is_some_and(|cut| cut.left == 0) {
            return this.poll_cut(cx).map(|interrupt| Some(Err(interrupt)));
        }
        let Some(frame) = ready!(this.poll_source(cx)?) else {
            // A body shorter than the cut allows ends by the reset as well.
            return match &this.cut {
                Some(_) => this.poll_cut(cx).map(|interrupt| Some(Err(interrupt))),
                None => Poll::Ready(None),
            };
        };
        let Some(frame) = this.shorten(frame) else {
            return this.poll_cut(cx).map(|interrupt| Some(Err(interrupt)));
        };
        this.record.count_response_bytes(frame.data_ref().map_or(0, |d| d.len() as u64));
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        let has_ended = match &self.source {
            Source::Empty | Source::Tunnel(_) => true,
            Source::Full(bytes) => bytes.is_empty(),
            Source::Http1(body) => body.download.is_end_stream(),
            Source::Http2(body) => body.is_end_stream(),
        };
        has_ended && self.cut.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Empty | Source::Tunnel(_) => SizeHint::with_exact(0),
            Source::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Source::Http1(body) => body.download.size_hint(),
            Source::Http2(body) => body.size_hint(),
        }
    }
}

/// Reads and drops what is left of a request that a rule answered, so that the answer is not destroyed by a reset for
/// unread bytes; within limits, after which the stream is reset. On HTTP/1 the server does the same.
pub(crate) fn discard(body: RequestBody) {
    const BYTES_MAX: u64 = 1024 * 1024;
    const TIME_MAX: Duration = Duration::from_secs(5);
    let RequestBody::Http2(mut body, _) = body else { return };
    tokio::task::spawn_local(async move {
        let read = async {
            let mut left = BYTES_MAX;
            while let Some(Ok(frame)) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
                left = left.saturating_sub(frame.data_ref().map_or(0, |d| d.len() as u64));
                if left == 0 {
                    return;
                }
            }
        };
        // Either end is fine: the body ended, or it had its time.
        let _ = tokio::time::timeout(TIME_MAX, read).await;
    });
}
