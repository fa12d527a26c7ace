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
use crate::downstream::{Downstream, Opened};
use crate::error::ProxyError;
use crate::http::opening::Opening;
use crate::http1::tunnel::Onward;
use crate::net::reset::Io;
use crate::net::stream::Stream;
use crate::tenure::Tenure;
use crate::tls::connect::Inside;
use crate::upstream::cluster::Assignment;
use crate::upstream::connect::open;
use crate::upstream::shared::{Fared, SharedEndpoint};
use crate::view::ListenerView;
use crate::worker::Worker;

/// Has a connection relayed to the endpoint whose turn it is.
pub(crate) async fn relay(opened: Opened) {
    let Opened { worker, listener, io, ends, server_name, destination, open: _counted, .. } = opened;
    let now = Instant::now();
    let Ok(toward) = listener.cluster.toward_original(destination.as_ref(), now) else { return };
    let cluster = toward.as_ref().unwrap_or(&listener.cluster);
    let mut endpoint = cluster.pick(now);
    if endpoint.is_unresolved() {
        // Boxed, because it happens once.
        endpoint = Box::pin(cluster.pick_resolved(now)).await;
    }
    let assignment = Assignment::of_connection(endpoint);
    let (endpoint, permit) = (&assignment.endpoint, Cell::new(None));
    // Pinned here, so that all that passes it on does not carry its size.
    let dial = pin!(async {
        permit.set(cluster.admit_now()?);
        let dialled = open(cluster.shared(), endpoint.endpoint(), Inside::Bytes, Some(&ends)).await;
        cluster.shard.count_connection(dialled.as_ref().err().map(|e| e.kind));
        dialled
    });
    let (opening, early) = (None, Bytes::new());
    let endpoint = &endpoint.shared;
    let source = ends.source;
    let relayed = Relayed { worker: &worker, listener: &listener, source, server_name, opening, endpoint, early };
    let outcome = relayed.relay(io, dial).await;
    judge(&assignment, &outcome);
}

/// How the endpoint fared with a connection: a single byte from there is an answer.
fn judge(assignment: &Assignment, outcome: &RelayOutcome<ProxyError>) {
    match &outcome.end {
        _ if outcome.response_bytes > 0 => assignment.judge(Fared::Well),
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
pub(crate) async fn relay_tunnel(downstream: Downstream, io: Io, onward: Onward) {
    let Onward { io: upstream, input, permit: _permit, opening } = onward;
    let (Some(upstream), Some(opening)) = (Rc::into_inner(upstream), opening) else {
        debug_assert!(false, "a tunnel whose exchange is not over");
        return;
    };
    let dial = std::future::ready(Ok(upstream.into_inner()));
    let listener = Rc::clone(&opening.listener);
    // It goes on being open there; how the endpoint fared was told by its answer.
    let assignment = Assignment::of_connection(Rc::clone(&opening.endpoint));
    assignment.spare();
    let relayed = Relayed {
        worker: &downstream.worker,
        listener: &listener,
        source: downstream.ends.source,
        server_name: downstream.server_name.clone(),
        endpoint: &assignment.endpoint.shared,
        opening: Some(opening),
        early: input.bytes().clone(),
    };
    let _ended = relayed.relay(io, dial).await;
}

/// A connection whose bytes are relayed.
struct Relayed<'a> {
    worker: &'a Rc<Worker>,
    listener: &'a Rc<ListenerView>,
    source: SocketAddr,
    server_name: Option<Arc<str>>,
    opening: Option<Box<Opening>>,
    endpoint: &'a Arc<SharedEndpoint>,
    /// What was read from the endpoint before.
    early: Bytes,
}

impl Relayed<'_> {
    async fn relay(self, io: Io, dial: impl Future<Output = Result<Stream, ProxyError>>) -> RelayOutcome<ProxyError> {
        let Self { worker, listener, source, server_name, opening, endpoint, early } = self;
        if opening.is_none() {
            listener.shard.relays.add(1);
        }
        let record = Rc::new(ConnectionRecord::begin(worker, listener, source));
        let context = RelayContext {
            listener: Arc::clone(&listener.compiled),
            tenure: Tenure::of(listener),
            source,
            server_name,
            opening,
            endpoint: Arc::clone(endpoint),
            changes: worker.changes(),
            life: worker.life(),
            budget: worker.budget().clone(),
            early,
            dial,
            record: Rc::<ConnectionRecord>::clone(&record),
        };
        let outcome = super::relay::relay(context, io).await;
        record.finish(endpoint, &outcome);
        outcome
    }
}
