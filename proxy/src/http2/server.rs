//! Serves HTTP/2 on one downstream connection until it ends.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::header::DATE;
use http::{Request, Response};
use http_body::Body;
use tokio::task::spawn_local;

use super::body::IncomingBody;
use super::going_away::GoingAway;
use super::sending::{Sending, Stopped};
use super::socket::Socket;
use super::{CONNECTION_WINDOW, HEADER_LIST_MAX, SEND_BUFFER_MAX, STREAM_WINDOW};
use crate::connection::{Downstream, Origin};
use crate::http::body::{RequestBody, ResponseBody};
use crate::http::date;
use crate::http::exchange::exchange;
use crate::http::interrupt::Interrupt;
use crate::http::request::Incoming;
use crate::net::reset::Io;
use crate::worker::Worker;

/// Serves requests until the connection ends.
pub(crate) async fn serve(downstream: Rc<Downstream>, io: Io) {
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
    let mut connection = match settings.handshake(Socket::new(io)).await {
        Ok(connection) => connection,
        Err(error) => return tracing::debug!(%error, "downstream connection ended before it began"),
    };
    let Some(going_away) = downstream.going_away.clone() else { return };
    // The task of a connection is always the same.
    poll_fn(|cx| {
        going_away.register(cx.waker());
        Poll::Ready(())
    })
    .await;
    let mut is_closing = false;
    while let Some(accepted) = poll_fn(|cx| poll_accept(&mut connection, &downstream, &mut is_closing, cx)).await {
        match accepted {
            Ok((request, respond)) => match downstream.worker.helper() {
                // Boxed, because the runtime moves what it is given several times over.
                None => drop(spawn_local(Box::pin(serve_stream(Rc::clone(&downstream), incoming(request), respond)))),
                Some(helper) => {
                    let guest = Guest { connection: downstream.origin(), request, respond };
                    downstream.worker.hand_over(helper, Box::new(guest));
                }
            },
            Err(error) => return tracing::debug!(%error, "downstream connection ended"),
        }
    }
}

type Accepted = Result<(Request<RecvStream>, SendResponse<Bytes>), h2::Error>;

/// The next request; what the connection sends and receives goes on with it. Asks for no more once the connection is
/// over a time limit or the process drains: the streams that are open come to their end.
fn poll_accept(
    connection: &mut Connection<Socket<Io>, Bytes>,
    downstream: &Downstream,
    is_closing: &mut bool,
    cx: &mut Context<'_>,
) -> Poll<Option<Accepted>> {
    downstream.wire.register(cx.waker());
    if !*is_closing && (downstream.wire.is_expired() || downstream.worker.is_draining()) {
        *is_closing = true;
        connection.graceful_shutdown();
    }
    match downstream.going_away.as_ref().and_then(GoingAway::take) {
        None => {}
        Some(Reason::NO_ERROR) => connection.graceful_shutdown(),
        Some(reason) => connection.abrupt_shutdown(reason),
    }
    connection.poll_accept(cx)
}

/// A stream that another worker serves than the one that has its connection. Meanwhile it does not keep that connection
/// from being idle: one that is idle for too long says that it goes away, and ends after its last stream.
#[derive(Debug)]
pub(crate) struct Guest {
    connection: Origin,
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
}

impl Guest {
    pub(crate) fn serve(mut self, worker: &Rc<Worker>) {
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
    let answer = {
        let mut exchange = pin!(exchange(downstream, Ok(request)));
        let answer = poll_fn(|cx| match exchange.as_mut().poll(cx) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            // Nobody is left to read an answer.
            Poll::Pending => respond.poll_reset(cx).map(|_| None),
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
    if let Err(Stopped::Body(error)) = poll_fn(|cx| sending.poll(cx)).await {
        match error.downcast::<Interrupt>().map_or(Some(Reason::INTERNAL_ERROR), |interrupt| interrupt.reason()) {
            Some(reason) => sending.reset(reason),
            None => sending.end_early(),
        }
    }
}

/// Begins an answer with its head; `None` when that is all of it, or nobody wants it. A plain function, because each
/// asynchronous one would move the body twice.
fn begin(response: Response<ResponseBody>, respond: &mut SendResponse<Bytes>) -> Option<Sending<ResponseBody>> {
    let (mut head, body) = response.into_parts();
    if !head.headers.contains_key(DATE) {
        head.headers.insert(DATE, date::now());
    }
    let is_end = body.is_end_stream();
    let stream = respond.send_response(Response::from_parts(head, ()), is_end).ok()?;
    (!is_end).then(|| Sending::new(stream, body))
}
