//! One exchange on an upstream connection: the request out, the answer in, both at once.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode, request, response};
use http_body::{Body, Frame, SizeHint};
use tokio::task::JoinHandle;
use tokio::time::Sleep;

use super::decoder::{BodyError, Decoder};
use super::encoder;
use super::input::Input;
use super::onward::Onward;
use super::output::Output;
use super::response_head::{self, AnswerTo, BadHead, ResponseHead};
use super::sending::{SendError, Sending};
use crate::error::{ErrorKind, ProxyError};
use crate::http::request_body::RequestBody;
use crate::net::stream::Stream;
use crate::turn::let_others;
use crate::upstream::caps::ConnectionPermit;

/// A connection to an upstream, between two exchanges or in one.
#[derive(Debug)]
pub(crate) struct Connection {
    io: Rc<RefCell<Stream>>,
    input: Input,
    permit: ConnectionPermit,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) error: ProxyError,
    /// Not a byte of an answer came: the upstream may have closed the connection while the request was on its way.
    pub(crate) is_unanswered: bool,
}

/// What comes behind the head of an answer.
#[derive(Debug)]
pub(crate) enum Answer {
    Response(Download),
    Switched(Onward),
}

impl Connection {
    pub(crate) fn new(stream: Stream) -> Self {
        Self { io: Rc::new(RefCell::new(stream)), input: Input::default(), permit: None }
    }

    /// This connection, with what it gives back when it ends.
    pub(crate) fn with_permit(self, permit: ConnectionPermit) -> Self {
        Self { permit, ..self }
    }

    /// Whether the upstream neither closed it nor sent what nobody asked for; costs no system call unless it did.
    #[inline(always)]
    pub(crate) fn is_quiet(&self) -> bool {
        Stream::is_quiet(&self.io) && self.is_between_exchanges()
    }

    /// Whether nothing was read that belongs to no answer yet.
    #[inline(always)]
    pub(crate) fn is_between_exchanges(&self) -> bool {
        self.input.is_empty()
    }

    /// Sends a prepared request and waits for the head of the answer, which goes to `answer`; from its first byte to its last
    /// at most for `header_timeout`. Dropping the future closes the connection.
    pub(crate) async fn send(
        mut self,
        parts: &request::Parts,
        body: RequestBody,
        header_timeout: Duration,
        answer: &mut response::Parts,
    ) -> Result<Answer, Failed> {
        let mut out = Output::new();
        let encoder = encoder::request_head(parts, !body.is_end_stream(), &mut out);
        let mut upload = Upload::Going(Sending::new(out, encoder, body));
        let to = if parts.method == Method::HEAD { AnswerTo::Head } else { AnswerTo::Other };
        let mut search = Search::within(header_timeout);
        let head = poll_fn(|cx| {
            upload.poll(&self.io, cx)?;
            self.poll_head(to, &mut search, cx).map_err(|failed| upload.explain(failed))
        });
        let ResponseHead { parts, body, keeps_alive } = head.await?;
        *answer = parts;
        if answer.status == StatusCode::SWITCHING_PROTOCOLS {
            let Self { io, input, permit } = self;
            return Ok(Answer::Switched(Onward { io, input, permit }));
        }
        let upload = Detached::spawn(upload, &self.io);
        Ok(Answer::Response(Download { connection: Some(self), decoder: body, keeps_alive, upload }))
    }

    /// The head of the final answer; interim ones are for the hop that asked, and Squall asks for none.
    fn poll_head(
        &mut self,
        to: AnswerTo,
        search: &mut Search,
        cx: &mut Context<'_>,
    ) -> Poll<Result<ResponseHead, Failed>> {
        loop {
            if search.is_worth_while(self.input.bytes()) {
                let head = response_head::take(&mut self.input, to);
                match head.map_err(malformed)? {
                    Some(head) if is_interim(head.parts.status) => {
                        search.found_interim().map_err(malformed)?;
                        continue;
                    }
                    Some(head) => return Poll::Ready(Ok(head)),
                    None => search.looked_at = self.input.len(),
                }
            }
            let is_unanswered = self.input.is_empty();
            let filled = self.input.poll_fill(&mut *self.io.borrow_mut(), cx, 0);
            if filled.is_pending() && !is_unanswered {
                return search.poll_late(cx).map(|()| Err(late()));
            }
            match ready!(filled) {
                Ok(1..) if search.is_others_turn(self.input.len()) => return let_others(cx),
                Ok(1..) => {}
                Ok(0) => return Poll::Ready(Err(Failed { error: ProxyError::new(ErrorKind::Closed), is_unanswered })),
                Err(error) => return Poll::Ready(Err(Failed { error: ProxyError::io(error), is_unanswered })),
            }
        }
    }
}

/// A server that tells of its progress does so some times.
const INTERIM_MAX: u32 = 100;

/// More than the heads that are sent in earnest; of others so much is read in one go.
const TURN_BYTES: usize = 32 * 1024;

/// The search for the head of the final answer.
#[derive(Debug)]
struct Search {
    /// So many bytes of the input are known to hold no complete head.
    looked_at: usize,
    n_interim: u32,
    /// How much of the head is read before others have their turn.
    read_on_at: usize,
    header_timeout: Duration,
    /// Runs once a head has to be waited for of which a part has come.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Search {
    fn within(header_timeout: Duration) -> Self {
        Self { looked_at: 0, n_interim: 0, read_on_at: TURN_BYTES, header_timeout, timer: None }
    }

    /// Whether so much of a head has come since the last time that others are to have their turn.
    #[inline(always)]
    fn is_others_turn(&mut self, held: usize) -> bool {
        let is_theirs = held >= self.read_on_at;
        if is_theirs {
            self.read_on_at = held + TURN_BYTES;
        }
        is_theirs
    }

    /// Ready when the rest of a head does not come in time.
    #[cold]
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let limit = self.header_timeout;
        self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit))).as_mut().poll(cx)
    }

    /// Whether a look could find something. Each one parses from the start: a head that comes byte by byte is looked at once
    /// a line.
    #[inline(always)]
    fn is_worth_while(&self, input: &[u8]) -> bool {
        let new = &input[self.looked_at..];
        let is_first = self.looked_at == 0 && !new.is_empty();
        is_first || input.len() > response_head::HEAD_BYTES_MAX || memchr::memchr(b'\n', new).is_some()
    }

    fn found_interim(&mut self) -> Result<(), BadHead> {
        // What comes behind it may take its time.
        (self.looked_at, self.n_interim, self.timer) = (0, self.n_interim + 1, None);
        if self.n_interim > INTERIM_MAX { Err(BadHead::TooManyInterim) } else { Ok(()) }
    }
}

fn is_interim(status: StatusCode) -> bool {
    status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
}

fn late() -> Failed {
    Failed { error: ProxyError::new(ErrorKind::HeaderTimeout), is_unanswered: false }
}

fn malformed(error: BadHead) -> Failed {
    Failed { error: ProxyError::caused_by(ErrorKind::MalformedResponse, error), is_unanswered: false }
}

/// The request on its way.
#[derive(Debug)]
enum Upload {
    Going(Sending<RequestBody>),
    Done,
    /// The upstream takes no more; it may still have answered.
    Refused(io::Error),
}

impl Upload {
    /// Sends on. An error is one of the body: there is nothing to wait for.
    fn poll(&mut self, io: &RefCell<Stream>, cx: &mut Context<'_>) -> Result<(), Failed> {
        let Self::Going(sending) = self else { return Ok(()) };
        match sending.poll(io, cx) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => *self = Self::Done,
            Poll::Ready(Err(SendError::Io(error))) => *self = Self::Refused(error),
            Poll::Ready(Err(error)) => {
                let error = ProxyError::caused_by(ErrorKind::Closed, error);
                return Err(Failed { error, is_unanswered: false });
            }
        }
        Ok(())
    }

    /// A reset that sending met first is the cause of the end that reading met.
    fn explain(&mut self, failed: Failed) -> Failed {
        match std::mem::replace(self, Self::Done) {
            Self::Refused(error) if failed.error.kind == ErrorKind::Closed => {
                Failed { error: ProxyError::io(error), ..failed }
            }
            _ => failed,
        }
    }
}

/// The rest of a request that was answered early, sent beside the answer; ends with the download.
#[derive(Debug)]
struct Detached {
    upload: Rc<RefCell<Upload>>,
    task: JoinHandle<()>,
}

impl Detached {
    fn spawn(upload: Upload, io: &Rc<RefCell<Stream>>) -> Option<Self> {
        if matches!(upload, Upload::Done) {
            return None;
        }
        let (io, upload) = (Rc::clone(io), Rc::new(RefCell::new(upload)));
        let going = Rc::clone(&upload);
        let task = tokio::task::spawn_local(poll_fn(move |cx| {
            let mut upload = going.borrow_mut();
            if let Err(failed) = upload.poll(&io, cx) {
                *upload = Upload::Refused(io::Error::other(failed.error));
            }
            if matches!(*upload, Upload::Going(_)) { Poll::Pending } else { Poll::Ready(()) }
        }));
        Some(Self { upload, task })
    }

    /// Whether it came to its end, so that the connection is in step.
    fn is_done(&self) -> bool {
        matches!(*self.upload.borrow(), Upload::Done)
    }
}

impl Drop for Detached {
    fn drop(&mut self) {
        // The task would let go of the request's body only at its next turn.
        *self.upload.borrow_mut() = Upload::Done;
        self.task.abort();
    }
}

/// The body of an answer.
#[derive(Debug)]
pub(crate) struct Download {
    /// Gone once it was taken back.
    connection: Option<Connection>,
    decoder: Decoder,
    keeps_alive: bool,
    upload: Option<Detached>,
}

impl Download {
    /// The connection, once the exchange is complete on both sides and nothing is left over.
    pub(crate) fn take_connection(&mut self) -> Option<Connection> {
        let is_in_step =
            self.keeps_alive && self.decoder.is_done() && self.upload.as_ref().is_none_or(Detached::is_done);
        self.connection.take_if(|connection| is_in_step && connection.input.is_empty())
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = BodyError;

    #[inline(always)]
    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Self { connection, decoder, .. } = &mut *self;
        let Some(Connection { io, input, .. }) = connection else { return Poll::Ready(None) };
        decoder.poll_frame(input, &mut *io.borrow_mut(), cx)
    }

    fn is_end_stream(&self) -> bool {
        self.decoder.is_done()
    }

    fn size_hint(&self) -> SizeHint {
        self.decoder.exact().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
