//! One downstream connection: which protocol, then HTTP or a relay.

use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use squall_config::model::{HostPort, ListenerProtocol};
use tokio::net::TcpStream;

use crate::balance::Claim;
use crate::downstream::{Downstream, Opened};
use crate::http::tunnel::Tunnel;
use crate::http1::server::Turned;
use crate::net::proxy_protocol::{self, Ends};
use crate::net::reset::Io;
use crate::net::socket;
use crate::net::stream::Stream;
use crate::protocol::{Protocol, detect};
use crate::redirected;
use crate::secure::{Client, Secured};
use crate::tcp::served::{relay, relay_tunnel};
use crate::tls::{ALPN_HTTP1, ALPN_HTTP2};
use crate::upstream::forward::Destination;
use crate::view::ListenerView;
use crate::worker::Worker;
use crate::{http1, http2};

/// Serves a connection to its end, once it is open. One function for all of it, because each around it would be passed
/// through whenever the connection goes on; and its parts are boxed, so that a connection has the size of its own
/// protocol and not of the largest.
pub(crate) async fn serve(opening: Pin<Box<impl Future<Output = Option<Opened>>>>) {
    let Some(opened) = opening.await else { return };
    match opened.protocol {
        Protocol::Tcp => Box::pin(relay(opened)).await,
        Protocol::Http1 => Box::pin(serve_http1(opened)).await,
        Protocol::Http2 => Box::pin(serve_http2(opened)).await,
    }
}

/// What comes before the first byte of the application on a connection that was accepted.
pub(crate) async fn open(
    worker: Rc<Worker>,
    listener: Rc<ListenerView>,
    mut stream: TcpStream,
    source: SocketAddr,
    claim: Claim,
) -> Option<Opened> {
    let open = worker.open(&listener, claim);
    if let Err(error) = socket::prepare_accepted(&stream) {
        tracing::debug!(%error, "connection ended before it began");
        return None;
    }
    let mut ends = ends(&worker, &listener, &mut stream, source).await?;
    let destination = redirected::destination(&listener, worker.own_addresses(), &stream, &mut ends).ok()?;
    let client = Client { worker: &worker, listener: &listener, source: ends.source.ip() };
    let mut secured = client.secure(stream).await?;
    let mut listener = Rc::clone(listener.route(secured.server_name.as_deref()));
    let mut protocol = if redirected::is_opaque(&listener, destination) {
        Protocol::Tcp
    } else {
        protocol(&worker, &listener, &mut secured).await?
    };
    if let Some(to) = destination {
        protocol = redirected::protocol(&listener, protocol, &secured.seen);
        if protocol == Protocol::Tcp {
            listener = Box::pin(redirected::belonging(&listener, to, &mut secured)).await;
        }
    }
    let Secured { stream, seen, server_name } = secured;
    let io = Io::with_prefix(stream, seen.freeze());
    let destination = destination.map(|to| Arc::new(Destination::Original(to)));
    Some(Opened { worker, listener, protocol, io, ends, server_name, destination, open })
}

/// Opens the TLS in a connection that was told that it has a tunnel to `destination`; then it is open as after [`open`].
async fn intercept(downstream: Downstream, stream: Stream, early: Bytes, destination: HostPort) -> Option<Opened> {
    let (worker, listener, ends, open) = downstream.into_parts()?;
    let client = Client { worker: &worker, listener: &listener, source: ends.source.ip() };
    let mut secured = client.intercept(stream, early, &destination.host).await?;
    let protocol = protocol(&worker, &listener, &mut secured).await?;
    let Secured { stream, seen, server_name } = secured;
    let io = Io::with_prefix(stream, seen.freeze());
    let destination = Some(Arc::new(Destination::Named(destination)));
    Some(Opened { worker, listener, protocol, io, ends, server_name, destination, open })
}

/// What is spoken on a connection; `None` when nothing is, or when the worker drains before it is clear.
async fn protocol(worker: &Worker, listener: &ListenerView, secured: &mut Secured) -> Option<Protocol> {
    let Secured { stream, seen, .. } = secured;
    match listener.compiled.listener.protocol {
        ListenerProtocol::Tcp => Some(Protocol::Tcp),
        _ if agreed(stream).is_some() => agreed(stream),
        protocol => {
            let (first, rest) = time_limits(listener, protocol);
            tokio::select! {
                detected = detect(stream, seen, protocol, first, rest) => detected,
                () = worker.draining() => None,
            }
        }
    }
}

/// Where a connection came from, which a PROXY protocol header may say; `None` when it should and does not.
async fn ends(worker: &Worker, listener: &ListenerView, stream: &mut TcpStream, source: SocketAddr) -> Option<Ends> {
    let compiled = &listener.compiled;
    // A system call that only these need.
    let tells = |route: &ListenerView| route.cluster.cluster.proxy_protocol.is_some();
    let destination = if listener.any(tells) { stream.local_addr().ok() } else { None };
    let own = Ends { source, destination };
    if !compiled.listener.accepts_proxy_protocol {
        return Some(own);
    }
    let told = tokio::select! {
        told = Box::pin(proxy_protocol::read(stream, compiled.listener.header_timeout)) => told,
        () = worker.draining() => return None,
    };
    match told {
        Ok(told) => Some(told.unwrap_or(own)),
        Err(error) => {
            listener.shard.proxy_headers_refused.add(1);
            tracing::warn!(%error, listener = %listener.key.listener, %source, "refused a connection without a PROXY protocol header");
            None
        }
    }
}

/// The protocol that ALPN has settled.
fn agreed(stream: &Stream) -> Option<Protocol> {
    let Stream::Tls(session) = stream else { return None };
    match session.alpn()? {
        ALPN_HTTP2 => Some(Protocol::Http2),
        ALPN_HTTP1 => Some(Protocol::Http1),
        _ => None,
    }
}

/// How long to wait for the first byte, and from there for enough of them.
fn time_limits(listener: &ListenerView, protocol: ListenerProtocol) -> (Option<Duration>, Duration) {
    let listener = &listener.compiled.listener;
    match protocol {
        ListenerProtocol::Auto => (Some(listener.detect_timeout), listener.detect_timeout),
        _ => (listener.idle_timeout, listener.header_timeout),
    }
}

async fn serve_http1(opened: Opened) {
    let head_bytes_max = opened.listener.snapshot.config.limits.head_bytes_max;
    let (downstream, io) = opened.into_http1();
    if let Some(turned) = http1::server::serve(downstream, io, head_bytes_max).await {
        // Boxed, because few come so far.
        Box::pin(go_on(turned)).await;
    }
}

/// What follows HTTP/1 on a connection.
async fn go_on(turned: Box<Turned>) {
    let Turned { downstream, stream, early, tunnel } = *turned;
    match tunnel {
        Tunnel::Relayed(onward, opening) => {
            relay_tunnel(downstream, Io::with_prefix(stream, early), onward, opening).await;
        }
        Tunnel::Intercepted(destination) => {
            serve(Box::pin(intercept(downstream, stream, early, destination))).await;
        }
    }
}

async fn serve_http2(opened: Opened) {
    let (downstream, going_away, io) = opened.into_http2();
    http2::server::serve(downstream, going_away, io).await;
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
