//! Serves HTTP/2 on one downstream connection until it ends.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use bytes::Bytes;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::header::DATE;
use http::{Request, Response};
use http_body::Body;
use squall_fault::grpc::is_grpc;
use tokio::task::spawn_local;
use tokio::time::Sleep;

use super::body::IncomingBody;
use super::conduct::Conduct;
use super::going_away::GoingAway;
use super::sending::{Sending, Stopped};
use super::socket::Socket;
use super::{CONNECTION_WINDOW, HEADER_LIST_MAX, SEND_BUFFER_MAX, STREAM_WINDOW};
use crate::downstream::{Downstream, Origin};
use crate::http::date;
use crate::http::exchange::exchange;
use crate::http::interrupt::Interrupt;
use crate::http::patience::{DRAIN_GRACE, Patience};
use crate::http::request::Incoming;
use crate::http::request_body::{RequestBody, Upload};
use crate::http::response_body::ResponseBody;
use crate::net::reset::Io;
use crate::telemetry::shard::Cut;
use crate::turn::let_others;
use crate::worker::Worker;

/// Serves requests until the connection ends.
pub(crate) async fn serve(downstream: Rc<Downstream>, going_away: GoingAway, io: Io) {
    let mut settings = Builder::new();
    settings
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(200)
        .max_header_list_size(HEADER_LIST_MAX)
        .max_send_buffer_size(SEND_BUFFER_MAX)
        // CVE-2023-44487 and its relatives: bound what a peer can make and take back.
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(Some(1024));
    let conduct = Rc::<Conduct>::default();
    // Boxed, because it is soon over, and a connection would hold its size beside its own.
    let handshake = Box::pin(settings.handshake(Socket::to_client(io, Rc::clone(&conduct))));
    let mut connection = match begun(&downstream, handshake).await {
        Some(Ok(connection)) => connection,
        Some(Err(error)) => return tracing::debug!(%error, "downstream connection ended before it began"),
        None => return,
    };
    // The task of a connection is always the same.
    poll_fn(|cx| {
        going_away.register(cx.waker());
        Poll::Ready(())
    })
    .await;
    let mut closing = Closing::default();
    let mut turn = Turn::default();
    loop {
        let accepted = poll_fn(|cx| {
            turn.poll(&conduct, cx, |cx| {
                if conduct.floods.take() {
                    downstream.is_flooding();
                }
                poll_accept(&mut connection, &downstream, &going_away, &mut closing, cx)
            })
        });
        let Some(accepted) = accepted.await else { return };
        let (request, mut respond) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => return tracing::debug!(%error, "downstream connection ended"),
        };
        // Not so much as begun: whoever takes streams back without end gets no exchange for each.
        if conduct.takes_back.get() && is_taken_back(&mut respond) {
            continue;
        }
        match downstream.worker.helper() {
            // Boxed, because the runtime moves what it is given several times over.
            None => drop(spawn_local(Box::pin(serve_stream(Rc::clone(&downstream), incoming(request), respond)))),
            Some(helper) => {
                let guest = Guest { connection: downstream.origin(&going_away), request, respond };
                downstream.worker.hand_over(helper, Box::new(move |worker| guest.serve(worker)));
            }
        }
    }
}

/// What `handshake` comes to; `None` when the client does not begin HTTP/2 within `header_timeout`, or soon when the worker drains.
async fn begun<C>(downstream: &Downstream, mut handshake: Pin<Box<impl Future<Output = C>>>) -> Option<C> {
    let wire = &downstream.wire;
    let mut grace: Option<Pin<Box<Sleep>>> = None;
    wire.set_in_head(true);
    let begun = poll_fn(|cx| {
        if let Poll::Ready(begun) = handshake.as_mut().poll(cx) {
            return Poll::Ready(Some(begun));
        }
        wire.register(cx.waker());
        if wire.is_expired() {
            downstream.current_listener().shard.count_cut(Cut::SlowHead);
            return Poll::Ready(None);
        }
        if !downstream.worker.is_draining() {
            return Poll::Pending;
        }
        let grace = grace.get_or_insert_with(|| Box::pin(tokio::time::sleep(DRAIN_GRACE)));
        grace.as_mut().poll(cx).map(|()| None)
    });
    let begun = begun.await;
    wire.set_in_head(false);
    wire.set_idle_since(Instant::now());
    begun
}

/// How many streams a connection may begin before others have their turn. Each is an exchange, of some ten microseconds, which
/// would all be before whatever comes for others meanwhile.
const STREAMS_IN_TURN: u32 = 8;

/// The turn of a connection's task: from one time that it waits to the next.
#[derive(Default)]
struct Turn {
    n_streams: u32,
    has_waited: bool,
}

impl Turn {
    fn poll(
        &mut self,
        conduct: &Conduct,
        cx: &mut Context<'_>,
        accept: impl FnOnce(&mut Context<'_>) -> Poll<Option<Accepted>>,
    ) -> Poll<Option<Accepted>> {
        if std::mem::take(&mut self.has_waited) {
            self.n_streams = 0;
            conduct.is_others_turn.set(false);
        }
        let accepted = if self.n_streams < STREAMS_IN_TURN { accept(cx) } else { let_others(cx) };
        self.n_streams += 1;
        self.has_waited = accepted.is_pending();
        accepted
    }
}

/// Whether the client has taken a stream back before it began.
fn is_taken_back(respond: &mut SendResponse<Bytes>) -> bool {
    respond.poll_reset(&mut Context::from_waker(Waker::noop())).is_ready()
}

type Accepted = Result<(Request<RecvStream>, SendResponse<Bytes>), h2::Error>;

/// Whether a connection asks for no more, and since when.
#[derive(Default)]
struct Closing {
    has_begun: bool,
    /// Over a time limit: until its streams should have come to their end.
    grace: Option<Pin<Box<Sleep>>>,
}

impl Closing {
    fn begin(&mut self, connection: &mut Connection<Socket<Io>, Bytes>, downstream: &Downstream) {
        self.has_begun = true;
        connection.graceful_shutdown();
        if downstream.wire.is_expired() {
            let limit = downstream.current_listener().compiled.listener.stall_timeout;
            self.grace = limit.map(|limit| Box::pin(tokio::time::sleep(limit)));
        }
    }

    /// Ready when nobody is left who could end the streams but a client that takes none of their answers.
    fn poll_over(&mut self, downstream: &Downstream, going_away: &GoingAway, cx: &mut Context<'_>) -> Poll<()> {
        let Some(grace) = &mut self.grace else { return Poll::Pending };
        ready!(grace.as_mut().poll(cx));
        if going_away.has_guests() || !downstream.wire.is_idle() { Poll::Pending } else { Poll::Ready(()) }
    }
}

/// The next request; what the connection sends and receives goes on with it. Asks for no more once the connection is
/// over a time limit or the process drains: the streams that are open come to their end.
fn poll_accept(
    connection: &mut Connection<Socket<Io>, Bytes>,
    downstream: &Downstream,
    going_away: &GoingAway,
    closing: &mut Closing,
    cx: &mut Context<'_>,
) -> Poll<Option<Accepted>> {
    downstream.wire.register(cx.waker());
    if !closing.has_begun && (downstream.wire.is_expired() || downstream.worker.is_draining()) {
        closing.begin(connection, downstream);
    }
    if closing.poll_over(downstream, going_away, cx).is_ready() {
        return Poll::Ready(None);
    }
    match going_away.take(cx) {
        None => {}
        Some(Reason::NO_ERROR) => connection.graceful_shutdown(),
        Some(reason) => connection.abrupt_shutdown(reason),
    }
    connection.poll_accept(cx)
}

/// A stream that another worker serves than the one that has its connection. Meanwhile it does not keep that connection
/// from being idle: one that is idle for too long says that it goes away, and ends after its last stream.
struct Guest {
    connection: Origin,
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
}

impl Guest {
    fn serve(mut self, worker: &Rc<Worker>) {
        let Origin { listener, server_name, .. } = &self.connection;
        match worker.view().route(listener.as_str(), server_name.as_deref()) {
            Some(listener) => {
                let downstream = Downstream::of_guest(worker, listener, self.connection);
                spawn_local(Box::pin(serve_stream(downstream, incoming(self.request), self.respond)));
            }
            // Its listener was removed in this moment: nothing was done, the client may try again.
            None => self.respond.send_reset(Reason::REFUSED_STREAM),
        }
    }
}

/// The request of a stream.
#[inline(always)]
fn incoming(request: Request<RecvStream>) -> Incoming {
    let (head, stream) = request.into_parts();
    Incoming { head: Box::new(head), body: RequestBody::http2(IncomingBody::new(stream, None)) }
}

/// One stream, from the head of its request to the end of its answer.
async fn serve_stream(downstream: Rc<Downstream>, request: Incoming, mut respond: SendResponse<Bytes>) {
    let (upload, mut patience) = (owed(&request), Patience::default());
    let answer = {
        let mut exchange = pin!(exchange(Rc::clone(&downstream), Ok(request)));
        let answer = poll_fn(|cx| {
            loop {
                if let Poll::Ready(answer) = exchange.as_mut().poll(cx) {
                    return Poll::Ready(Some(answer));
                }
                if downstream.has_stalled(upload.as_deref(), &mut patience, cx) {
                    continue;
                }
                // Nobody is left to read an answer.
                return respond.poll_reset(cx).map(|_| None);
            }
        });
        answer.await
    };
    let mut sending = match answer {
        Some(Ok(response)) => match begin(response, &mut respond) {
            Some(sending) => sending,
            None => return,
        },
        Some(Err(interrupt)) => return respond.send_reset(interrupt.reason().unwrap_or(Reason::INTERNAL_ERROR)),
        None => return,
    };
    let mut patience = Patience::default();
    let sent = poll_fn(|cx| {
        if let Poll::Ready(sent) = sending.poll(cx) {
            return Poll::Ready(sent);
        }
        if downstream.takes_no_more(sending.waits_after(), &mut patience, cx) {
            sending.reset(Reason::CANCEL);
            return Poll::Ready(Err(Stopped::Receiver));
        }
        Poll::Pending
    });
    match sent.await {
        Ok(()) => {}
        Err(Stopped::Receiver) => sending.body_mut().abandon(),
        Err(Stopped::Body(error)) => {
            match error.downcast::<Interrupt>().map_or(Some(Reason::INTERNAL_ERROR), |interrupt| interrupt.reason()) {
                Some(reason) => sending.reset(reason),
                None => sending.end_early(),
            }
        }
    }
}

/// The body of a request that its client is supposed to go on with. A stream of gRPC may be idle, before its first answer too: the
/// client sends its next message when it has one.
fn owed(request: &Incoming) -> Option<Rc<Upload>> {
    request.body.upload().filter(|_| !is_grpc(&request.head.headers)).cloned()
}

/// Begins an answer with its head; `None` when that is all of it, or nobody wants it. A plain function, because each
/// asynchronous one would move the body twice.
fn begin(response: Response<ResponseBody>, respond: &mut SendResponse<Bytes>) -> Option<Sending<ResponseBody>> {
    let (mut head, mut body) = response.into_parts();
    if !head.headers.contains_key(DATE) {
        head.headers.insert(DATE, date::now());
    }
    let is_end = body.is_end_stream();
    match respond.send_response(Response::from_parts(head, ()), is_end) {
        Ok(stream) => (!is_end).then(|| Sending::new(stream, body)),
        Err(_) => {
            body.abandon();
            None
        }
    }
}
