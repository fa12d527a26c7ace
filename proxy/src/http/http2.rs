//! Serves HTTP/2 on one downstream connection until it ends.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;

use super::body::RequestBody;
use super::exchange::exchange;
use crate::connection::Downstream;
use crate::net::reset::Io;

/// Flow control of one stream; see [`CONNECTION_WINDOW`].
pub(crate) const STREAM_WINDOW: u32 = 256 * 1024;

/// Flow control of a connection: room for several stalled streams, so that one that is slow on purpose does not stop
/// its neighbours.
pub(crate) const CONNECTION_WINDOW: u32 = 16 * STREAM_WINDOW;

/// Spawns on the worker's own thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LocalExecutor;

impl<F> hyper::rt::Executor<F> for LocalExecutor
where
    F: Future<Output: 'static> + 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

/// Serves HTTP/2 with prior knowledge.
pub(crate) async fn serve(downstream: Rc<Downstream>, io: Io) {
    let (wire, worker) = (Rc::clone(&downstream.wire), Rc::clone(&downstream.worker));
    let service = service_fn(move |request: Request<Incoming>| {
        exchange(Rc::clone(&downstream), Ok(request.map(RequestBody::http2)))
    });
    let mut connection = hyper::server::conn::http2::Builder::new(LocalExecutor)
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .adaptive_window(false)
        .max_concurrent_streams(200)
        .max_header_list_size(64 * 1024)
        .max_send_buf_size(64 * 1024)
        // CVE-2023-44487 and its relatives: bound what a peer can make and take back.
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(1024)
        .keep_alive_interval(None)
        .auto_date_header(true)
        .serve_connection(io, service);
    let expired = poll_fn(|cx| {
        wire.register(cx.waker());
        if wire.is_expired() { Poll::Ready(()) } else { Poll::Pending }
    });
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = async { tokio::select! { () = worker.draining() => {}, () = expired => {} } } => {
            std::pin::Pin::new(&mut connection).graceful_shutdown();
            (&mut connection).await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = &error as &dyn std::error::Error, "downstream connection ended");
    }
}
