//! The life of one HTTP exchange, top to bottom.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::rc::Rc;
use std::time::Instant;

use futures_util::FutureExt;
use http::header::{EXPECT, TRANSFER_ENCODING};
use http::{Method, Response, StatusCode};
use http_body::Body as _;

use super::answer::Problem;
use super::connect::connect;
use super::fault::delay::Times;
use super::fault::instead::Instead;
use super::fault::{Faults, Place};
use super::hop_by_hop;
use super::interrupt::Interrupt;
use super::record::Record;
use super::refusal::Refusal;
use super::request::{self, Incoming};
use super::request_body::{RequestBody, discard};
use super::response::{self, AnswerBody, Answered};
use super::response_body::ResponseBody;
use super::tunnel::Opening;
use crate::downstream::Downstream;
use crate::error::{ErrorKind, ProxyError};
use crate::hold::InTime;
use crate::telemetry::shard::Origin;
use crate::upstream::cluster::ClusterState;
use crate::upstream::connect::Upstream;

/// How an exchange ends otherwise than by the upstream's answer.
enum Ended {
    Refused(Refusal),
    Failed(ProxyError),
    Aborted(Box<Answered>),
    /// A rule held it until the cluster's `response_timeout`.
    Withheld,
    Interrupted(Interrupt),
}

impl From<Refusal> for Ended {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<ProxyError> for Ended {
    fn from(error: ProxyError) -> Self {
        Self::Failed(error)
    }
}

/// Serves one request, or answers one that cannot be served. An error ends the connection (HTTP/1) or the stream
/// (HTTP/2) without an answer.
///
/// A panic ends this exchange alone.
pub(crate) async fn exchange(
    downstream: Rc<Downstream>,
    request: Result<Incoming, Refusal>,
) -> Result<Response<ResponseBody>, Interrupt> {
    let mut record = Record::begin(&downstream, request.as_ref().ok().map(|request| &*request.head));
    // Filled in where it comes about: to return it through each future would move it each time.
    let mut answered = Answered::empty();
    let ended = {
        let running = pin!(run(&downstream, request, &mut record, &mut answered));
        AssertUnwindSafe(running).catch_unwind().await
    };
    match ended {
        Ok(Ok(())) => record.answer(&answered.head, Origin::Upstream),
        Ok(Err(ended)) => answered = instead(ended, &downstream, &mut record)?,
        Err(_panic) => {
            answered = instead(Ended::Failed(ProxyError::new(ErrorKind::Panic)), &downstream, &mut record)?;
        }
    }
    let Answered { mut head, body, faults } = answered;
    record.note_head(&head);
    if let Some(faults) = &record.faults {
        faults.mark(&downstream, &mut head.headers);
    }
    if downstream.worker.is_draining() && head.status != StatusCode::SWITCHING_PROTOCOLS {
        downstream.close_after(&mut head.headers);
    }
    Ok(Response::from_parts(head, ResponseBody::new(body, faults, record)))
}

/// What is answered when the upstream did not.
fn instead(ended: Ended, downstream: &Downstream, record: &mut Record) -> Result<Answered, Interrupt> {
    let (answered, origin) = match ended {
        Ended::Aborted(mut answered) => {
            if downstream.is_http2() {
                // What a rule's own headers may say of the connection does not exist there (RFC 9113 §8.2.2).
                hop_by_hop::remove(&mut answered.head.headers);
                answered.head.headers.remove(TRANSFER_ENCODING);
            }
            (*answered, Origin::Injected)
        }
        Ended::Withheld => {
            record.withhold();
            (Problem::withheld().answer(record.is_grpc), Origin::Injected)
        }
        Ended::Refused(refusal) => {
            record.refuse(refusal.label());
            let mut answered = Problem::refused(refusal).answer(record.is_grpc);
            downstream.close_after(&mut answered.head.headers);
            (answered, Origin::Proxy)
        }
        Ended::Failed(error) => {
            tracing::debug!(error = &error as &dyn std::error::Error, "exchange failed");
            record.fail(error.kind);
            (Problem::failed(error.kind).answer(record.is_grpc), Origin::Proxy)
        }
        Ended::Interrupted(interrupt) => {
            record.interrupt_by_rule();
            return Err(interrupt);
        }
    };
    record.answer(&answered.head, origin);
    Ok(answered)
}

async fn run(
    downstream: &Rc<Downstream>,
    request: Result<Incoming, Refusal>,
    record: &mut Record,
    answered: &mut Answered,
) -> Result<(), Ended> {
    // The snapshot: one view of the configuration, from here to the end.
    let listener = Rc::clone(&record.listener);
    let place = Place { downstream, listener: &listener };

    // The head: refused, or clear.
    let Incoming { head: mut parts, mut body } = request?;
    let elsewhere = elsewhere(place, &parts, record.started)?;
    let cluster = elsewhere.as_ref().unwrap_or(&listener.cluster);
    let mut endpoint = cluster.pick(record.started);
    if endpoint.is_unresolved() {
        endpoint = Box::pin(cluster.pick_resolved(record.started)).await;
    }
    if listener.forward.as_ref().is_some_and(|forward| forward.leads_back(&endpoint)) {
        return Err(Ended::Refused(Refusal::DestinationIsSquall));
    }
    record.assign(&parts, &endpoint)?;
    let deadline = cluster.cluster.response_timeout.map(|limit| record.started + limit);

    // The decision, once, before any I/O.
    if !listener.http_rules_are_empty() {
        record.decide(&request::meta(&parts, downstream.ends.source.ip(), endpoint.endpoint()));
    }

    // Faults before the upstream. Boxed, so that exchanges without faults do not carry its size.
    if let Some(faults) = &mut record.faults
        && let Err(ended) = Box::pin(before(faults, place, record.started, deadline)).await
    {
        let_go(&parts, body, &ended);
        return Err(ended);
    }

    // The upstream.
    if parts.method == Method::CONNECT {
        answered.body = AnswerBody::Tunnel(Box::pin(connect(parts, &listener, cluster, endpoint)).await?);
        return Ok(());
    }
    record.upload = body.upload().cloned();
    let upgrade = if body.is_end_stream() { request::offered_upgrade(&parts) } else { None };
    let opening = upgrade.as_ref().map(|_| parts.clone());
    let copy = record.alter_request(place, &mut parts, &mut body);
    request::rewrite(&mut parts, record.present, !body.is_end_stream(), upgrade, cluster.hop(&endpoint));
    record.send(&mut parts.headers, &cluster.cluster);
    let to = Upstream { cluster, endpoint: &endpoint, carried: &downstream.ends };
    if let Some(copy) = copy {
        Box::pin(copy.send(to, &parts, &mut body)).await;
    }
    let sent = if record.faults.is_some() { Instant::now() } else { record.started };
    let request = Incoming { head: parts, body };
    to.send(request, record.started, deadline, answered).await.map_err(|error| cause(record, error))?;
    record.answered(&answered.head);

    // The head of the answer, and faults behind the upstream.
    if let AnswerBody::Switched(_) = &answered.body {
        let head = opening.ok_or_else(|| ProxyError::new(ErrorKind::MalformedResponse))?;
        answered.open(Opening::new(head, &listener, endpoint));
    }
    response::prepare(&mut answered.head)?;
    if let Some(faults) = &mut record.faults {
        let times = Times { arrived: record.started, sent, since: Instant::now() };
        let held = Box::pin(faults.after_upstream(place, times, answered));
        InTime::new(deadline, held).await.ok_or(Ended::Withheld)?.map_err(Ended::Interrupted)?;
    }
    Ok(())
}

/// Refuses what cannot be forwarded; the upstream of what says itself where it goes, if it does.
fn elsewhere(
    place: Place<'_>,
    parts: &http::request::Parts,
    now: Instant,
) -> Result<Option<Rc<ClusterState>>, Refusal> {
    let (listener, bound) = (place.listener, place.downstream.destination.as_deref());
    request::check(parts, listener.forward.is_some() && bound.is_none())?;
    listener.toward(bound, parts, now)
}

/// The faults before the upstream; an error where they end the exchange.
async fn before(
    faults: &mut Faults,
    place: Place<'_>,
    started: Instant,
    deadline: Option<Instant>,
) -> Result<(), Ended> {
    let held = Box::pin(faults.before_upstream(place, started));
    match InTime::new(deadline, held).await.ok_or(Ended::Withheld)? {
        None => Ok(()),
        Some(Instead::Answer(answered)) => Err(Ended::Aborted(answered)),
        Some(Instead::Interrupt(interrupt)) => Err(Ended::Interrupted(interrupt)),
    }
}

/// Why the upstream did not answer: the body of the request may have been no good.
fn cause(record: &Record, error: ProxyError) -> Ended {
    let refusal = record.upload.as_ref().and_then(|upload| upload.refusal());
    refusal.map_or(Ended::Failed(error), Ended::Refused)
}

/// Drops the body of a request that a rule answered; one that the client has not begun to send is not asked for.
fn let_go(parts: &http::request::Parts, body: RequestBody, ended: &Ended) {
    if !matches!(ended, Ended::Interrupted(_)) && !parts.headers.contains_key(EXPECT) {
        discard(body);
    }
}
