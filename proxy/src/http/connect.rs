//! CONNECT: a connection to where the client says, and its bytes both ways (RFC 9110 §9.3.6).

use std::cell::RefCell;
use std::rc::Rc;

use http::request;

use super::tunnel::{Opening, Tunnel};
use crate::error::ProxyError;
use crate::http1::input::Input;
use crate::http1::onward::Onward;
use crate::net::stream::Stream;
use crate::upstream::cluster::{ClusterState, EndpointState};
use crate::upstream::connect::dial;
use crate::view::ListenerView;

/// Connects, unless what is in the tunnel is opened here.
pub(crate) async fn connect(
    head: Box<request::Parts>,
    listener: &Rc<ListenerView>,
    cluster: &ClusterState,
    endpoint: Rc<EndpointState>,
) -> Result<Tunnel, ProxyError> {
    let destination = &endpoint.endpoint().address;
    let intercept = listener.compiled.listener.intercept.as_ref();
    if intercept.is_some_and(|intercept| intercept.covers(&destination.host)) {
        return Ok(Tunnel::Intercepted(destination.clone()));
    }
    // A configuration with such a header has no destinations that requests choose, and nothing else is connected to.
    debug_assert!(cluster.cluster.proxy_protocol.is_none(), "a tunnel owes its endpoint a PROXY protocol header");
    let permit = cluster.admit_now()?;
    let dialled = dial(cluster.shared(), endpoint.endpoint()).await;
    cluster.shard.count_connection(dialled.as_ref().err().map(|error| error.kind));
    let onward = Onward { io: Rc::new(RefCell::new(Stream::Plain(dialled?))), input: Input::default(), permit };
    Ok(Tunnel::Relayed(onward, Box::new(Opening::of_connect(head, listener, endpoint))))
}
