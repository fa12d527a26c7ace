//! The downstream end of a connection, as its server and the body of the current request share it.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::io::AsyncWrite;

use super::decoder::{BodyError, Decoder};
use super::input::Input;
use crate::net::reset::Io;

/// How much is read ahead of whoever consumes it, to see whether the client is still there.
const READ_AHEAD_MAX: usize = 64 * 1024;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A socket with what was read from it.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) io: RefCell<Io>,
    pub(crate) input: RefCell<Input>,
    incoming: RefCell<Incoming>,
    /// The body waits for input; a socket wakes one reader.
    is_body_waiting: Cell<bool>,
    /// The server, to be told when the body waits no longer.
    server: RefCell<Option<Waker>>,
}

/// The body of the current request.
#[derive(Debug)]
struct Incoming {
    decoder: Decoder,
    /// What is still to be sent of the 100 that the client waits for.
    due: &'static [u8],
    /// The 100 may wait for room in the socket.
    is_unflushed: bool,
    has_failed: bool,
}

impl Socket {
    pub(crate) fn new(io: Io) -> Self {
        Self {
            io: RefCell::new(io),
            input: RefCell::default(),
            incoming: RefCell::new(Incoming {
                decoder: Decoder::Done,
                due: &[],
                is_unflushed: false,
                has_failed: false,
            }),
            is_body_waiting: Cell::new(false),
            server: RefCell::default(),
        }
    }

    /// Makes this the body of the current request; `None` when there is none.
    pub(crate) fn begin_body(self: &Rc<Self>, decoder: Decoder, expects_continue: bool) -> Option<IncomingBody> {
        if decoder.is_done() {
            return None;
        }
        let due = if expects_continue { CONTINUE } else { &[] };
        *self.incoming.borrow_mut() = Incoming { decoder, due, is_unflushed: false, has_failed: false };
        Some(IncomingBody { socket: Rc::clone(self) })
    }

    /// Whether the body of the current request was read to its end.
    pub(crate) fn is_body_done(&self) -> bool {
        self.incoming.borrow().decoder.is_done()
    }

    /// Whether the rest of the body cannot be waited for: it broke, or its client waits for a 100.
    pub(crate) fn is_body_beyond_reading(&self) -> bool {
        let incoming = self.incoming.borrow();
        incoming.has_failed || !incoming.due.is_empty()
    }

    /// Ready when the client has left: nobody will read an answer.
    ///
    /// A client that closes its sending side counts as one that left; many cannot be told from one that did.
    pub(crate) fn poll_left(&self, cx: &mut Context<'_>) -> Poll<()> {
        let is_body_done = self.is_body_done();
        if !is_body_done {
            let mut server = self.server.borrow_mut();
            if !server.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                *server = Some(cx.waker().clone());
            }
            if self.is_body_waiting.get() {
                return Poll::Pending;
            }
        }
        let mut input = self.input.borrow_mut();
        loop {
            if input.has_ended() {
                // More requests before the end are a script's, which still reads.
                let is_pipelined = self.incoming.borrow().decoder.exact().is_some_and(|left| input.len() as u64 > left);
                return if is_pipelined { Poll::Pending } else { Poll::Ready(()) };
            }
            if input.len() >= READ_AHEAD_MAX || ready!(input.poll_fill(&mut *self.io.borrow_mut(), cx, 0)).is_err() {
                return if input.len() >= READ_AHEAD_MAX { Poll::Pending } else { Poll::Ready(()) };
            }
        }
    }

    /// The next frame of the body.
    pub(crate) fn poll_body(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut incoming = self.incoming.borrow_mut();
        if incoming.has_failed {
            return Poll::Ready(None);
        }
        let mut io = self.io.borrow_mut();
        // The body is wanted: the client may send it.
        while !incoming.due.is_empty() {
            let n = ready!(Pin::new(&mut *io).poll_write(cx, incoming.due))?;
            incoming.due = &incoming.due[n..];
            incoming.is_unflushed = true;
        }
        if incoming.is_unflushed {
            ready!(Pin::new(&mut *io).poll_flush(cx))?;
            incoming.is_unflushed = false;
        }
        let frame = incoming.decoder.poll_frame(&mut self.input.borrow_mut(), &mut *io, cx);
        incoming.has_failed = matches!(frame, Poll::Ready(Some(Err(_))));
        self.is_body_waiting.set(frame.is_pending());
        if incoming.decoder.is_done() {
            self.wake_server(cx);
        }
        frame
    }

    /// The server watches the socket again, unless it is the server that runs.
    fn wake_server(&self, cx: &Context<'_>) {
        if let Some(server) = self.server.borrow_mut().take_if(|server| !server.will_wake(cx.waker())) {
            server.wake();
        }
    }
}

/// The body of a request, for whoever sends it upstream. Dropped unfinished, it leaves the rest to the server.
#[derive(Debug)]
pub(crate) struct IncomingBody {
    socket: Rc<Socket>,
}

impl Body for IncomingBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.socket.poll_body(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.socket.is_body_done()
    }

    fn size_hint(&self) -> SizeHint {
        self.socket.incoming.borrow().decoder.exact().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for IncomingBody {
    fn drop(&mut self) {
        self.socket.is_body_waiting.set(false);
        if let Some(server) = self.socket.server.borrow_mut().take() {
            server.wake();
        }
    }
}
