//! One exchange on an upstream connection that many share.

use std::future::poll_fn;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::Reason;
use h2::client::{Builder, ResponseFuture, SendRequest};
use http::{Request, response};
use http_body::Body;

use super::body::IncomingBody;
use super::sending::{Detached, Sending, Stopped};
use super::socket::Socket;
use super::{CONNECTION_WINDOW, HEADER_LIST_MAX, SEND_BUFFER_MAX, STREAM_WINDOW};
use crate::error::{ErrorKind, ProxyError};
use crate::http::request::Incoming;
use crate::http::request_body::RequestBody;
use crate::net::stream::Stream;

/// A connection to an upstream; its clones are the same connection.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    requests: SendRequest<Bytes>,
}

impl Connection {
    /// Begins HTTP/2 on a new stream.
    pub(crate) async fn begin(stream: Stream) -> Result<Self, ProxyError> {
        let mut settings = Builder::new();
        settings
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(HEADER_LIST_MAX)
            .max_send_buffer_size(SEND_BUFFER_MAX)
            .enable_push(false);
        let (requests, connection) =
            settings.handshake(Socket::to_upstream(stream)).await.map_err(ProxyError::http2)?;
        tokio::task::spawn_local(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "upstream connection ended");
            }
        });
        Ok(Self { requests })
    }

    /// Whether it takes requests; not once it has ended or the upstream said that it goes away.
    pub(crate) async fn is_open(&mut self) -> bool {
        poll_fn(|cx| self.requests.poll_ready(cx)).await.is_ok()
    }

    /// Sends a prepared request and waits for the head of the answer. Dropping the future resets the stream.
    pub(crate) async fn send(mut self, request: Incoming) -> Result<(response::Parts, IncomingBody), ProxyError> {
        let Incoming { head, body } = request;
        let is_end = body.is_end_stream();
        let sent = self.requests.send_request(Request::from_parts(*head, ()), is_end);
        let (mut response, stream) = sent.map_err(ProxyError::http2)?;
        let mut upload = if is_end { None } else { Some(Sending::new(stream, body)) };
        let (head, stream) = poll_fn(|cx| poll_answer(&mut response, &mut upload, cx)).await?.into_parts();
        // A request that was answered early is sent to its end beside the answer.
        let upload = upload.map(|mut upload| {
            Detached::spawn(async move {
                if let Err(Stopped::Body(error)) = poll_fn(|cx| upload.poll(cx)).await {
                    tracing::debug!(error, "upload ended early");
                    upload.reset(Reason::CANCEL);
                }
            })
        });
        Ok((head, IncomingBody::new(stream, upload)))
    }
}

/// Sends on until there is an answer.
fn poll_answer(
    response: &mut ResponseFuture,
    upload: &mut Option<Sending<RequestBody>>,
    cx: &mut Context<'_>,
) -> Poll<Result<http::Response<h2::RecvStream>, ProxyError>> {
    if let Some(sending) = upload {
        match sending.poll(cx) {
            Poll::Ready(Err(Stopped::Body(error))) => {
                sending.reset(Reason::CANCEL);
                return Poll::Ready(Err(ProxyError::caused_by(ErrorKind::Closed, error)));
            }
            // The upstream wants no more; it may still have answered.
            Poll::Ready(Ok(()) | Err(Stopped::Receiver)) => *upload = None,
            Poll::Pending => {}
        }
    }
    std::pin::Pin::new(response).poll(cx).map_err(ProxyError::http2)
}
