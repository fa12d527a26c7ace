//! The upstream side: whose turn it is, a connection, one exchange on it.

mod balancer;
pub(crate) mod caps;
mod check;
pub(crate) mod cluster;
pub(crate) mod connect;
pub(crate) mod forward;
pub(crate) mod h1;
pub(crate) mod h2;
pub(crate) mod health;
pub(crate) mod pool;
pub(crate) mod registry;
mod resolve;
pub(crate) mod shared;
pub(crate) mod status;
pub(crate) mod upkeep;

use std::pin::pin;
use std::time::Instant;

use http::response;
use squall_config::model::ClusterProtocol;

use self::connect::Upstream;
use self::h1::Leased;
use crate::error::{ErrorKind, ProxyError};
use crate::http::request::Incoming;
use crate::http::response::{AnswerBody, Answered};
use crate::http1::client::Answer;
use crate::http2::body::IncomingBody;
use crate::tls::connect::Inside;

impl Upstream<'_> {
    /// Sends a prepared request and waits for the head of the response, at most until `deadline`. Dropping the future closes
    /// the connection (HTTP/1) or resets the stream (HTTP/2). The answer is filled in where the caller has it, because to
    /// return it would move it once for each future on the way.
    pub(crate) async fn send(
        self,
        request: Incoming,
        now: Instant,
        deadline: Option<Instant>,
        answered: &mut Answered,
    ) -> Result<(), ProxyError> {
        // Pinned here, so that it is stored once and not for each way of waiting.
        let sending = pin!(async {
            match self.cluster.cluster.protocol {
                ClusterProtocol::Http1 => match h1::send(self, request, now, &mut answered.head).await? {
                    Answer::Response(download) => {
                        let of = self.cluster.cluster.proxy_protocol.map(|_| self.carried.source);
                        answered.body = AnswerBody::Http1(Leased::new(download, self.endpoint, of));
                    }
                    Answer::Switched(onward) => answered.body = AnswerBody::Switched(onward),
                },
                ClusterProtocol::Http2 => {
                    // Boxed, so that exchanges over HTTP/1 do not carry its size.
                    let (head, body) = Box::pin(self.send_http2(request)).await?;
                    answered.head = head;
                    answered.body = AnswerBody::Http2(body);
                }
            }
            Ok(())
        });
        match deadline {
            None => sending.await,
            Some(deadline) => match tokio::time::timeout_at(deadline.into(), sending).await {
                Ok(result) => result,
                Err(_elapsed) => Err(ProxyError::new(ErrorKind::ResponseTimeout)),
            },
        }
    }

    /// Sends the request over this worker's one HTTP/2 connection to the endpoint; answers with the response head.
    async fn send_http2(self, request: Incoming) -> Result<(response::Parts, IncomingBody), ProxyError> {
        let connection = self.endpoint.http2.connection(async || {
            // Not waited for: other workers keep theirs for as long as it lasts.
            let permit = self.cluster.admit_now()?;
            let stream = Box::pin(self.open(Inside::Http)).await?;
            Ok((stream, permit))
        });
        connection.await?.send(request).await
    }
}
