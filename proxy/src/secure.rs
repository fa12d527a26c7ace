//! The TLS that a client speaks, done or looked at before the first byte of the application; [`fault`] where rules let it go
//! wrong.

mod client;
mod fault;

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use rustls::ServerConfig;
use squall_config::model::ListenerTls;
use tokio::net::TcpStream;

use crate::net::session::Session;
use crate::net::stream::Stream;
use crate::tls::accept::{Failed, Handshake, accept, current};
use crate::tls::hello;

pub(crate) use client::Client;

/// A connection whose server name is known, if it has one that matters.
pub(crate) struct Secured {
    pub(crate) stream: Stream,
    /// Read already.
    pub(crate) seen: BytesMut,
    pub(crate) server_name: Option<Arc<str>>,
}

impl Client<'_> {
    /// What TLS the listener has; `None` when there is nothing to go on with.
    pub(crate) async fn secure(self, stream: TcpStream) -> Option<Secured> {
        match &self.listener.compiled.listener.tls {
            None => Some(Secured { stream: Stream::Plain(stream), seen: BytesMut::new(), server_name: None }),
            // Boxed, so that connections without TLS do not carry its size.
            Some(kind) => Box::pin(self.look_at_tls(kind, stream)).await,
        }
    }

    async fn look_at_tls(self, kind: &ListenerTls, mut stream: TcpStream) -> Option<Secured> {
        let mut seen = BytesMut::new();
        let secured = async {
            match (kind, &self.listener.tls) {
                (ListenerTls::Terminate(_), Some(own)) => {
                    let session = self.handshake(stream, current(own)?).await?;
                    let routes = &self.listener.compiled.routes;
                    let server_name = session.server_name().filter(|_| !routes.is_empty()).map(Arc::from);
                    Ok(Secured { stream: Stream::Tls(Box::new(session)), seen, server_name })
                }
                _ => {
                    let server_name = Box::pin(hello::server_name(&mut stream, &mut seen, self.time_limit())).await?;
                    Ok(Secured { stream: Stream::Plain(stream), seen, server_name })
                }
            }
        };
        self.unless_failed(secured).await
    }

    /// The TLS of a client that was told that it has a tunnel to `host`: Squall poses as that.
    pub(crate) async fn intercept(self, stream: Stream, early: Bytes, host: &str) -> Option<Secured> {
        let secured = async {
            let failed = |why: &str| Failed::silent(Handshake::Failed, io::Error::other(why));
            let stream = match stream {
                Stream::Plain(stream) if early.is_empty() => stream,
                Stream::Plain(_) => return Err(failed("the client went on before CONNECT was answered")),
                Stream::Tls(_) => return Err(failed("the client speaks TLS inside of TLS")),
            };
            let minter = self.listener.authority.as_ref().and_then(|authority| authority.current());
            let config = minter.and_then(|minter| minter.server(host));
            let config = config.ok_or_else(|| failed("no certificate can be made for the destination"))?;
            let session = self.handshake(stream, config).await?;
            Ok(Secured { stream: Stream::Tls(Box::new(session)), seen: BytesMut::new(), server_name: None })
        };
        self.unless_failed(secured).await
    }

    /// A handshake, which rules may have a part in.
    async fn handshake(self, stream: TcpStream, config: Arc<ServerConfig>) -> Result<Session, Failed> {
        // Boxed, because a handshake is large and soon over.
        let session = if self.listener.compiled.has_tls_rules() {
            Box::pin(fault::accept(self, stream, config)).await?
        } else {
            Box::pin(accept(stream, config, self.time_limit())).await?
        };
        self.listener.shard.count_handshake(Handshake::Done);
        Ok(session)
    }

    /// Counts and tells what failed.
    async fn unless_failed(self, secured: impl Future<Output = Result<Secured, Failed>>) -> Option<Secured> {
        let failed = tokio::select! {
            secured = secured => match secured {
                Ok(secured) => return Some(secured),
                Err(failed) => failed,
            },
            () = self.worker.draining() => return None,
        };
        self.listener.shard.count_handshake(failed.end);
        let listener = &self.listener.key.listener;
        tracing::debug!(error = %failed.error, %listener, result = failed.end.label(), "TLS handshake failed");
        Box::pin(failed.close()).await;
        None
    }
}
