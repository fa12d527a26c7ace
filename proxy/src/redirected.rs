//! Connections that were redirected here on their way to somewhere else, and go on to there.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use squall_config::model::ListenerProtocol;
use squall_fault::snapshot::Sought;
use tokio::net::TcpStream;

use crate::net::dialled::AddressPair;
use crate::net::original_dst::original_dst;
use crate::net::own::OwnAddresses;
use crate::net::proxy_protocol::Ends;
use crate::net::stream::Stream;
use crate::protocol::Protocol;
use crate::secure::Secured;
use crate::tls::hello;
use crate::view::ListenerView;

/// A record of TLS that carries a handshake (RFC 8446 §5.1) begins with it.
const TLS_HANDSHAKE: u8 = 22;

/// Where the connection was going, and from now on the destination among its `ends`; `None` on a listener that connections
/// are not redirected to.
///
/// # Errors
/// When the connection is already gone.
pub(crate) fn destination(
    listener: &ListenerView,
    own: &OwnAddresses,
    stream: &TcpStream,
    ends: &mut Ends,
) -> io::Result<Option<SocketAddr>> {
    let listener = &listener.compiled.listener;
    let Some(original) = &listener.original_dst else { return Ok(None) };
    let mut destination = original_dst(stream, original.is_transparent)?;
    if own.dialled.is_back(AddressPair { source: stream.peer_addr()?, destination }) {
        tracing::error!(listener = %listener.name, %destination,
            "refused a connection that Squall itself has made: what it sends is redirected to it; run it as the user of \
             squall net-init --proxy-uid, and the application as another one");
        // Where it came to: nothing goes on from there.
        destination = stream.local_addr()?;
    } else if own.are_reached_by(destination) {
        // Nobody redirected it. Then whoever stands in front may say where it was going.
        let told = ends.destination.filter(|_| listener.accepts_proxy_protocol);
        destination = told.unwrap_or(destination);
        if own.are_reached_by(destination) {
            tracing::warn!(listener = %listener.name, source = %ends.source.ip(), %destination,
                "refused a connection whose destination is Squall itself; was it redirected?");
        }
    }
    ends.destination = Some(destination);
    Ok(Some(destination))
}

/// Whether what comes on it is bytes, without a look at them.
pub(crate) fn is_opaque(listener: &ListenerView, destination: Option<SocketAddr>) -> bool {
    let original = listener.compiled.listener.original_dst.as_ref();
    destination.zip(original).is_some_and(|(to, original)| original.opaque_ports.contains(&to.port()))
}

/// What a redirected connection speaks. To a forward proxy that the application knows of, it says things that only such a one
/// understands: CONNECT, or a target with a host in it. They pass as they are.
pub(crate) fn protocol(listener: &ListenerView, detected: Protocol, seen: &[u8]) -> Protocol {
    let is_auto = listener.compiled.listener.protocol == ListenerProtocol::Auto;
    let target = memchr::memchr(b' ', seen).and_then(|space| seen.get(space + 1));
    let is_for_proxy = seen.starts_with(b"CONNECT ") || target.is_some_and(|first| !b"/*".contains(first));
    if is_auto && detected == Protocol::Http1 && is_for_proxy { Protocol::Tcp } else { detected }
}

/// What a redirected connection of bytes belongs to: by the name that was asked for, or the one in a ClientHello that begins with
/// what was read. What is read for it is added there. Each request of HTTP belongs to what it says itself.
pub(crate) async fn belonging(
    listener: &Rc<ListenerView>,
    destination: SocketAddr,
    secured: &mut Secured,
) -> Rc<ListenerView> {
    let Secured { stream, seen, server_name } = secured;
    if server_name.is_none() && seen.first() == Some(&TLS_HANDSHAKE) && listener.compiled.goes_by_names() {
        let limit = listener.compiled.listener.detect_timeout;
        *server_name = asked_for(stream, seen, limit).await;
    }
    let (ip, port) = (Some(destination.ip()), Some(destination.port()));
    let sought = Sought { server_name: server_name.as_deref(), ip, port, authority: None };
    Rc::clone(listener.belonging(sought))
}

/// The server name in a ClientHello; `None` when there is none, or what comes is something else.
async fn asked_for(stream: &mut Stream, seen: &mut BytesMut, limit: Duration) -> Option<Arc<str>> {
    tokio::time::timeout(limit, hello::read(stream, seen)).await.ok()?.ok()?
}
