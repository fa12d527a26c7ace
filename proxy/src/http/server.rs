//! Serves HTTP on one downstream connection until it ends.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;

use super::exchange::exchange;
use super::gated_io::GatedIo;
use crate::connection::Downstream;
use crate::net::reset::Io;

/// Flow control of one stream; see [`CONNECTION_WINDOW`].
pub(crate) const STREAM_WINDOW: u32 = 256 * 1024;

/// Flow control of a connection: room for several stalled streams, so that one that is slow on purpose does not stop
/// its neighbours.
pub(crate) const CONNECTION_WINDOW: u32 = 16 * STREAM_WINDOW;

/// How long an idle keep-alive connection may still bring one request while draining; its answer then says `close`,
/// which a client understands, while a connection closed under its hands looks like a failure.
const DRAIN_GRACE: Duration = Duration::from_millis(500);

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

/// Serves HTTP/1.
pub(crate) async fn serve_http1(downstream: Rc<Downstream>, io: Io, head_bytes_max: usize) {
    let (wire, worker) = (Arc::clone(&downstream.wire), Rc::clone(&downstream.worker));
    let gated = GatedIo::new(io, Arc::clone(&wire), head_bytes_max);
    let service = service_fn(move |request| exchange(Rc::clone(&downstream), request));
    let mut connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        // The sweeper ends late heads and idle connections, without a timer for each request.
        .header_read_timeout(None)
        .keep_alive(true)
        .half_close(false)
        .max_headers(100)
        .max_buf_size(head_bytes_max.max(64 * 1024))
        .auto_date_header(true)
        .pipeline_flush(false)
        .serve_connection(gated, service)
        .with_upgrades();
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = worker.draining() => {
            let is_served = if wire.is_idle() {
                tokio::time::timeout(DRAIN_GRACE, &mut connection).await.ok()
            } else {
                None
            };
            match is_served {
                Some(ended) => ended,
                None => {
                    std::pin::Pin::new(&mut connection).graceful_shutdown();
                    (&mut connection).await
                }
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = &error as &dyn std::error::Error, "downstream connection ended");
    }
    if let Some(parts) = connection.into_parts() {
        parts.io.linger().await;
    }
}

/// Serves HTTP/2 with prior knowledge.
pub(crate) async fn serve_http2(downstream: Rc<Downstream>, io: Io) {
    let (wire, worker) = (Arc::clone(&downstream.wire), Rc::clone(&downstream.worker));
    let service = service_fn(move |request| exchange(Rc::clone(&downstream), request));
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
