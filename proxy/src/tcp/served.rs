//! A connection that a worker has relayed: to which endpoint, in whose count, and how that endpoint fared.

use std::cell::Cell;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::end::{RelayEnd, RelayOutcome, Side};
use super::record::ConnectionRecord;
use super::relay::RelayContext;
use super::relayed::Relayed;
use crate::downstream::{Downstream, Opened};
use crate::error::ProxyError;
use crate::http::tunnel::Opening;
use crate::http1::onward::Onward;
use crate::net::reset::Io;
use crate::net::stream::Stream;
use crate::tenure::Tenure;
use crate::tls::connect::Inside;
use crate::upstream::cluster::Assignment;
use crate::upstream::connect::Upstream;
use crate::upstream::forward::Forward;
use crate::upstream::shared::{Fared, SharedEndpoint};
use crate::view::ListenerView;

/// Has a connection relayed to the endpoint whose turn it is.
pub(crate) async fn relay(opened: Opened) {
    let Opened { worker, listener, io, ends, server_name, destination, open: _counted, .. } = opened;
    let now = Instant::now();
    let original = |forward: &Rc<Forward>| forward.toward_original(destination.as_deref(), now);
    let Ok(toward) = listener.forward.as_ref().map(original).transpose() else { return };
    let cluster = toward.as_ref().unwrap_or(&listener.cluster);
    let mut endpoint = cluster.pick(now);
    if endpoint.is_unresolved() {
        endpoint = Box::pin(cluster.pick_resolved(now)).await;
    }
    let assignment = Assignment::of_connection(endpoint);
    let (endpoint, permit) = (&assignment.endpoint, Cell::new(None));
    // Pinned here, so that all that passes it on does not carry its size.
    let dial = pin!(async {
        permit.set(cluster.admit_now()?);
        Upstream { cluster, endpoint, carried: &ends }.open(Inside::Bytes).await
    });
    listener.shard.relays.add(1);
    let relayed = relayed(&listener, ends.source, server_name, &endpoint.shared);
    let record = ConnectionRecord::begin(&worker, &listener, ends.source);
    let outcome = carry(record, relayed, io, Bytes::new(), dial).await;
    judge(&assignment, &outcome);
}

/// How the endpoint fared with a connection: a single byte from there is an answer.
fn judge(assignment: &Assignment, outcome: &RelayOutcome<ProxyError>) {
    match &outcome.end {
        _ if outcome.passed.response > 0 => assignment.judge(Fared::Well),
        RelayEnd::ConnectFailed(error) => assignment.failed(error.kind),
        RelayEnd::Injected { .. } | RelayEnd::Abandoned | RelayEnd::Broken { by: Side::Upstream, .. } => {
            assignment.judge(Fared::Badly);
        }
        RelayEnd::Finished | RelayEnd::Broken { .. } | RelayEnd::Idle | RelayEnd::Cut | RelayEnd::ListenerEnded => {
            assignment.spare();
        }
    }
}

/// Relays what flows after a switch of protocols. The connection stays counted, so that a drain waits for it.
pub(crate) async fn relay_tunnel(downstream: Downstream, io: Io, onward: Onward, opening: Box<Opening>) {
    let Onward { io: upstream, input, permit: _permit } = onward;
    let Some(upstream) = Rc::into_inner(upstream) else {
        debug_assert!(false, "a tunnel whose exchange is not over");
        return;
    };
    let dial = std::future::ready(Ok(upstream.into_inner()));
    let listener = Rc::clone(&opening.listener);
    // It goes on being open there; how the endpoint fared was told by its answer.
    let assignment = Assignment::of_connection(Rc::clone(&opening.endpoint));
    assignment.spare();
    let relayed = Relayed {
        opening: Some(opening),
        ..relayed(&listener, downstream.ends.source, downstream.server_name.clone(), &assignment.endpoint.shared)
    };
    let record = ConnectionRecord::begin(&downstream.worker, &listener, downstream.ends.source);
    let _ended = carry(record, relayed, io, input.bytes().clone(), dial).await;
}

fn relayed(
    listener: &ListenerView,
    source: SocketAddr,
    server_name: Option<Arc<str>>,
    endpoint: &Arc<SharedEndpoint>,
) -> Relayed {
    let (listener, tenure, endpoint) = (Arc::clone(&listener.compiled), Tenure::of(listener), Arc::clone(endpoint));
    Relayed { listener, tenure, source, opening: None, server_name, endpoint }
}

/// Has it carried between `io` and what `dial` connects to, of which `early` was read before.
async fn carry(
    record: Rc<ConnectionRecord>,
    relayed: Relayed,
    io: Io,
    early: Bytes,
    dial: impl Future<Output = Result<Stream, ProxyError>>,
) -> RelayOutcome<ProxyError> {
    let endpoint = Arc::clone(&relayed.endpoint);
    let context = RelayContext {
        relayed,
        control: record.worker.control(),
        budget: record.worker.budget().clone(),
        record: Rc::<ConnectionRecord>::clone(&record),
        early,
        dial,
    };
    let outcome = super::relay::relay(context, io).await;
    record.finish(&endpoint, &outcome);
    outcome
}
