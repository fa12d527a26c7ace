//! Serves HTTP/1 on one downstream connection until it ends: requests in, answers out, one after the other.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http::{Response, StatusCode};
use tokio::io::AsyncWrite;
use tokio::time::Sleep;

use super::encoder::{self, Framing};
use super::output::Output;
use super::request_head::{self, RequestHead, Terms};
use super::sending::{SendError, Sending};
use super::socket::Socket;
use crate::downstream::Downstream;
use crate::http::exchange::exchange;
use crate::http::interrupt::{ConnectionEnd, Interrupt};
use crate::http::patience::{DRAIN_GRACE, Patience};
use crate::http::refusal::Refusal;
use crate::http::request::Incoming;
use crate::http::request_body::{RequestBody, discard_frames};
use crate::http::response_body::ResponseBody;
use crate::http::tunnel::Tunnel;
use crate::net::linger::Linger;
use crate::net::reset::Io;
use crate::net::stream::Stream;
use crate::telemetry::shard::Cut;

/// What becomes of the connection after an exchange.
enum Next {
    Request,
    Tunnel(Tunnel),
    /// It is closed so that the answer arrives.
    Close,
    /// It ends here: the client left, or must see that something broke.
    Drop,
}

/// An answer on its way, and what becomes of the connection after it.
struct Begun {
    sending: Sending<ResponseBody>,
    keeps_alive: bool,
    tunnel: Option<Tunnel>,
}

/// A connection on which HTTP has ended, and what it goes on as.
pub(crate) struct Turned {
    pub(crate) downstream: Downstream,
    pub(crate) stream: Stream,
    /// What the client sent behind its last request.
    pub(crate) early: Bytes,
    pub(crate) tunnel: Tunnel,
}

/// Serves requests until the connection ends, or HTTP on it. Boxed, so that none carries the size of what few go on as.
pub(crate) async fn serve(downstream: Rc<Downstream>, io: Io, head_bytes_max: usize) -> Option<Box<Turned>> {
    let connection = Connection { socket: Rc::new(Socket::new(io)), downstream, head_bytes_max };
    while let Some(request) = connection.next_request().await {
        // Boxed, so that an idle connection does not carry the size of an exchange: one allocation for each request
        // instead of some kilobytes for each connection.
        match Box::pin(connection.serve_one(request)).await {
            Next::Request => {}
            Next::Tunnel(tunnel) => return connection.into_turned(tunnel),
            Next::Close => {
                Box::pin(connection.linger()).await;
                return None;
            }
            Next::Drop => return None,
        }
    }
    None
}

struct Connection {
    socket: Rc<Socket>,
    downstream: Rc<Downstream>,
    head_bytes_max: usize,
}

impl Connection {
    /// Waits for the next request; `None` at the end of the connection.
    async fn next_request(&self) -> Option<Result<RequestHead, Refusal>> {
        let (mut searched, mut grace) = (0, None);
        poll_fn(|cx| self.poll_request(cx, &mut searched, &mut grace)).await
    }

    fn poll_request(
        &self,
        cx: &mut Context<'_>,
        searched: &mut usize,
        grace: &mut Option<Pin<Box<Sleep>>>,
    ) -> Poll<Option<Result<RequestHead, Refusal>>> {
        let wire = &self.downstream.wire;
        let mut input = self.socket.input.borrow_mut();
        loop {
            let head =
                if input.is_empty() { Ok(None) } else { request_head::take(&mut input, searched, self.head_bytes_max) };
            let is_incomplete = matches!(head, Ok(None));
            wire.set_in_head(is_incomplete && !input.is_empty());
            if !is_incomplete {
                return Poll::Ready(head.transpose());
            }
            // What cannot become whole is answered, for a client that only half-closed still reads.
            if wire.is_expired() || input.has_ended() {
                return Poll::Ready((!input.is_empty()).then(|| Err(self.incomplete())));
            }
            match input.poll_fill(&mut *self.socket.io.borrow_mut(), cx, 0) {
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(None),
                Poll::Pending => break,
            }
        }
        wire.register(cx.waker());
        if !self.downstream.worker.is_draining() {
            return Poll::Pending;
        }
        // The answer to a request that comes now says `close`, which a client understands.
        let grace = grace.get_or_insert_with(|| Box::pin(tokio::time::sleep(DRAIN_GRACE)));
        grace.as_mut().poll(cx).map(|()| None)
    }

    /// What is wrong with a head of which no more is waited for.
    fn incomplete(&self) -> Refusal {
        if !self.downstream.wire.is_expired() {
            return Refusal::MalformedRequest;
        }
        self.downstream.current_listener().shard.count_cut(Cut::SlowHead);
        Refusal::HeadTimeout
    }

    /// One exchange, from the head of its request to the end of its answer.
    async fn serve_one(&self, request: Result<RequestHead, Refusal>) -> Next {
        let (request, terms) = match request {
            Ok(RequestHead { parts, body, terms }) => {
                let body = self.socket.begin_body(body, terms.expects_continue);
                (Ok(Incoming { head: parts, body: RequestBody::http1(body) }), terms)
            }
            Err(refusal) => (Err(refusal), Terms::default()),
        };
        let upload = request.as_ref().ok().and_then(|request| request.body.upload()).cloned();
        let answer = {
            let (mut exchange, mut patience) =
                (pin!(exchange(Rc::clone(&self.downstream), request)), Patience::default());
            let answer = poll_fn(|cx| {
                loop {
                    if let Poll::Ready(answer) = exchange.as_mut().poll(cx) {
                        return Poll::Ready(Some(answer));
                    }
                    if self.downstream.has_stalled(upload.as_deref(), &mut patience, cx) {
                        continue;
                    }
                    // Nobody is left to read an answer.
                    return self.socket.poll_left(cx).map(|()| None);
                }
            });
            answer.await
        };
        let response = match answer {
            Some(Ok(response)) => response,
            Some(Err(interrupt)) => return self.interrupted(interrupt).await,
            None => return Next::Drop,
        };
        let Begun { mut sending, keeps_alive, tunnel } = self.begin(response, terms);
        if let Err(error) = self.finish(&mut sending).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "answer ended early");
            return match error.into_interrupt() {
                Some(interrupt) => self.interrupted(interrupt).await,
                None => Next::Drop,
            };
        }
        // The end of the exchange, before the next one begins.
        drop(sending);
        match tunnel {
            Some(tunnel) => Next::Tunnel(tunnel),
            None if keeps_alive && self.discard_body().await => Next::Request,
            None => Next::Close,
        }
    }

    /// Ends the connection in the way that an interrupted exchange asks for.
    async fn interrupted(&self, interrupt: Interrupt) -> Next {
        let mut bytes = match interrupt.into_end() {
            ConnectionEnd::Drop => return Next::Drop,
            ConnectionEnd::Close(bytes) => bytes,
        };
        let io = &self.socket.io;
        while !bytes.is_empty() {
            match poll_fn(|cx| Pin::new(&mut *io.borrow_mut()).poll_write(cx, &bytes)).await {
                Ok(written @ 1..) => bytes.advance(written),
                Ok(0) | Err(_) => return Next::Drop,
            }
        }
        Next::Close
    }

    /// Begins an answer with its head. A plain function, because each asynchronous one would move the body twice.
    fn begin(&self, response: Response<ResponseBody>, mut terms: Terms) -> Begun {
        let (head, mut body) = response.into_parts();
        let may_switch = terms.is_connect || head.status == StatusCode::SWITCHING_PROTOCOLS;
        let tunnel = if may_switch { body.take_tunnel() } else { None };
        terms.keeps_alive &= !self.socket.is_body_beyond_reading();
        let mut out = Output::new();
        let exact = http_body::Body::size_hint(&body).exact();
        let Framing { encoder, keeps_alive } = encoder::response_head(&head, exact, terms, &mut out);
        Begun { sending: Sending::new(out, encoder, body), keeps_alive, tunnel }
    }

    /// Sends an answer to its end.
    async fn finish(&self, sending: &mut Sending<ResponseBody>) -> Result<(), SendError> {
        let mut patience = Patience::default();
        let sent = poll_fn(|cx| {
            if let Poll::Ready(sent) = sending.poll(&self.socket.io, cx) {
                return Poll::Ready(sent);
            }
            if self.downstream.takes_no_more(sending.waits_after(), &mut patience, cx) {
                self.downstream.arm_reset();
                return Poll::Ready(Err(SendError::Io(std::io::ErrorKind::TimedOut.into())));
            }
            self.socket.poll_left(cx).map(|()| Err(SendError::Io(std::io::ErrorKind::ConnectionAborted.into())))
        });
        let sent = sent.await;
        if let Err(error) = &sent {
            if let (SendError::Io(_), Some(body)) = (error, sending.body_mut()) {
                body.abandon();
            }
            if sending.ends_with_connection() && !error.is_meant_as_end() {
                // A clean end would look like the end of the body.
                self.downstream.arm_reset();
            }
        }
        sent
    }

    /// Reads what is left of a request that was answered early; whether it came to its end.
    async fn discard_body(&self) -> bool {
        if self.socket.is_body_done() {
            return true;
        }
        discard_frames(|cx| self.socket.poll_body(cx)).await;
        self.socket.is_body_done()
    }

    /// Closes the connection so that the answer arrives.
    async fn linger(&self) {
        let Socket { io, input, .. } = &*self.socket;
        if input.take().has_ended() || io.borrow().reset_flag().is_armed() {
            return;
        }
        let mut linger = Linger::default();
        poll_fn(|cx| linger.poll(&mut *io.borrow_mut(), cx)).await;
    }

    fn into_turned(self, tunnel: Tunnel) -> Option<Box<Turned>> {
        let Self { socket, downstream, .. } = self;
        // The exchange is over: nobody else has a part of either connection.
        let (Some(socket), Some(downstream)) = (Rc::into_inner(socket), Rc::into_inner(downstream)) else {
            debug_assert!(false, "a tunnel whose exchange is not over");
            return None;
        };
        let (stream, _replayed) = socket.io.into_inner().into_parts();
        let early = socket.input.into_inner().bytes().clone();
        Some(Box::new(Turned { downstream, stream, early, tunnel }))
    }
}
