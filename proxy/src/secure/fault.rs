//! A handshake that a rule may let go wrong: decided once, when it is clear which name the client asks for.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use rustls::server::Acceptor;
use squall_config::model::TlsFault;
use squall_fault::budget::Permit;
use squall_fault::decide::decide_handshake;
use squall_fault::snapshot::CompiledRule;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};

use super::client::Client;
use crate::hold::{Until, hold};
use crate::net::session::Session;
use crate::telemetry::shard::FaultKey;
use crate::tls::accept::{Failed, Handshake, finish};
use crate::tls::throwaway;
use crate::view::ListenerView;

/// A fatal alert, handshake_failure, as a record in the clear (RFC 8446 §5.1, §6).
const HANDSHAKE_FAILURE: [u8; 7] = [21, 3, 3, 0, 2, 2, 40];

/// A fault that was decided, and that the budget lets happen.
struct Picked {
    fault: TlsFault,
    permit: Permit,
}

/// As [`crate::tls::accept::accept`], on a listener that has rules for handshakes.
///
/// # Errors
/// How it ended, which may be what a rule wanted.
pub(super) async fn accept(client: Client<'_>, stream: TcpStream, right: Arc<ServerConfig>) -> Result<Session, Failed> {
    let limit = client.time_limit();
    let hello = LazyConfigAcceptor::new(Acceptor::default(), stream);
    let start = match tokio::time::timeout(limit, hello).await {
        Ok(Ok(start)) => start,
        Ok(Err(error)) => return Err(Failed::of(error)),
        Err(_elapsed) => return Err(Failed::silent(Handshake::TimedOut, io::ErrorKind::TimedOut.into())),
    };
    let asked = start.client_hello().server_name().map(str::to_owned);
    let route = client.listener.route(asked.as_deref());
    let config = match decide(client, route) {
        None => right,
        Some(picked) => picked.apply(client, &start, right, asked).await?,
    };
    finish(start.into_stream(config).into_fallible(), limit).await
}

/// Decides, and counts what is going to be applied.
fn decide(client: Client<'_>, route: &ListenerView) -> Option<Picked> {
    let snapshot = &route.snapshot;
    let in_shadow = |compiled: &CompiledRule| {
        let (rule, listener) = (&compiled.rule.name, &route.key.listener);
        tracing::debug!(%rule, %listener, source = %client.source, "a rule in shadow mode would have let a TLS handshake go wrong");
    };
    let (index, fault) = decide_handshake(snapshot, &route.compiled, client.source, in_shadow)?;
    let rule = snapshot.rule(index);
    let Some(permit) = client.worker.budget().reserve(&rule.state) else {
        rule.state.skipped_budget.fetch_add(1, Relaxed);
        return None;
    };
    if !client.worker.budget().admit(Instant::now()) {
        rule.state.skipped_traffic_share.fetch_add(1, Relaxed);
        return None;
    }
    rule.state.injected.fetch_add(1, Relaxed);
    let key = FaultKey { rule: rule.rule.name.clone(), kind: "tls", listener: route.key.clone() };
    client.worker.shard().fault(&key).injected.add(1);
    Some(Picked { fault, permit })
}

impl Picked {
    /// Does what comes before the server's answer; what the handshake goes on with.
    async fn apply(
        &self,
        client: Client<'_>,
        start: &StartHandshake<TcpStream>,
        right: Arc<ServerConfig>,
        asked: Option<String>,
    ) -> Result<Arc<ServerConfig>, Failed> {
        match self.fault {
            TlsFault::Stall => self.wait(client, &start.io, Until::Forever).await.map(|()| right),
            TlsFault::Slow(slow) => {
                self.wait(client, &start.io, Until::At(Instant::now() + slow)).await.map(|()| right)
            }
            TlsFault::Alert => {
                // Into an empty socket: it takes it at once.
                let _sent = start.io.try_write(&HANDSHAKE_FAILURE);
                Err(Failed::silent(Handshake::Injected, io::Error::other("a rule ended the handshake with an alert")))
            }
            TlsFault::Certificate(wrong, slow) => {
                if slow > Duration::ZERO {
                    self.wait(client, &start.io, Until::At(Instant::now() + slow)).await?;
                }
                let own = || start.io.local_addr().map_or_else(|_| "localhost".to_owned(), |own| own.ip().to_string());
                Ok(throwaway::instead_of(&right, wrong, &asked.unwrap_or_else(own)).unwrap_or(right))
            }
        }
    }

    /// Holds the handshake while the rule is on, unless the client leaves.
    async fn wait(&self, client: Client<'_>, socket: &TcpStream, until: Until) -> Result<(), Failed> {
        let state = self.permit.state();
        let held = hold(client.worker.control(), |snapshot| snapshot.is_active(state).then_some(until));
        let left = async {
            // "Read side closed": the ClientHello was read, and the client has nothing to say before it is answered.
            let _state = socket.ready(Interest::PRIORITY).await;
        };
        tokio::select! {
            _released = held => Ok(()),
            () = left => Err(Failed::silent(Handshake::Closed, io::ErrorKind::UnexpectedEof.into())),
        }
    }
}
