//! The life of one HTTP exchange, top to bottom.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::rc::Rc;
use std::time::Instant;

use futures_util::FutureExt;
use http::header::TRANSFER_ENCODING;
use http::{Method, Response, StatusCode, response};
use http_body::Body as _;

use super::answer::{Answer, Problem};
use super::body::{RequestBody, ResponseBody, Source, discard};
use super::connect::connect;
use super::fault::body::BodyFaults;
use super::fault::delay::Times;
use super::fault::{Faults, Instead, Place};
use super::hop_by_hop::{self, Present};
use super::interrupt::Interrupt;
use super::opening::{Opening, request_meta};
use super::record::Record;
use super::refusal::Refusal;
use super::request::Incoming;
use super::{request, response as head};
use crate::downstream::Downstream;
use crate::error::{ErrorKind, ProxyError};
use crate::hold::InTime;
use crate::http1::tunnel::Tunnel;
use crate::telemetry::shard::Origin;
use crate::upstream;

/// How an exchange ends otherwise than by the upstream's answer.
enum Ended {
    Refused(Refusal),
    Failed(ProxyError),
    Aborted(Box<Answer>, Option<Box<BodyFaults>>),
    /// A rule held it until the cluster's `response_timeout`.
    Withheld,
    Interrupted(Interrupt),
}

/// The upstream's answer on its way.
struct Answered {
    head: response::Parts,
    source: Source,
    faults: Option<Box<BodyFaults>>,
}

impl Answered {
    fn nothing() -> Self {
        Self { head: Response::new(()).into_parts().0, source: Source::Empty, faults: None }
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
    let mut answered = Answered::nothing();
    let ended = {
        let running = pin!(run(&downstream, request, &mut record, &mut answered));
        AssertUnwindSafe(running).catch_unwind().await
    };
    match ended {
        Ok(Ok(())) => record.answer(answered.head.status, &answered.head.headers, Origin::Upstream),
        Ok(Err(ended)) => answered = instead(ended, &downstream, &mut record)?,
        Err(_panic) => {
            answered = instead(Ended::Failed(ProxyError::new(ErrorKind::Panic)), &downstream, &mut record)?;
        }
    }
    let Answered { mut head, source, faults } = answered;
    record.note_head(&head);
    if let Some(faults) = &record.faults {
        faults.mark(&downstream, &mut head.headers);
    }
    if downstream.worker.is_draining() && head.status != StatusCode::SWITCHING_PROTOCOLS {
        downstream.close_after(&mut head.headers);
    }
    Ok(Response::from_parts(head, ResponseBody::new(source, faults, record)))
}

/// What is answered when the upstream did not.
fn instead(ended: Ended, downstream: &Downstream, record: &mut Record) -> Result<Answered, Interrupt> {
    let (head, body, faults) = match ended {
        Ended::Aborted(answer, faults) => {
            let (mut head, body) = *answer;
            if downstream.is_http2() {
                // What a rule's own headers may say of the connection does not exist there (RFC 9113 §8.2.2).
                hop_by_hop::remove(&mut head.headers);
                head.headers.remove(TRANSFER_ENCODING);
            }
            record.answer(head.status, &head.headers, Origin::Injected);
            (head, body, faults)
        }
        Ended::Withheld => {
            record.withhold();
            let (head, body) = own(&Problem::withheld(), Origin::Injected, record);
            (head, body, None)
        }
        Ended::Refused(refusal) => {
            record.refuse(refusal.label());
            let (mut head, body) = own(&Problem::refused(refusal), Origin::Proxy, record);
            downstream.close_after(&mut head.headers);
            (head, body, None)
        }
        Ended::Failed(error) => {
            tracing::debug!(error = &error as &dyn std::error::Error, "exchange failed");
            record.fail(error.kind);
            let (head, body) = own(&Problem::failed(error.kind), Origin::Proxy, record);
            (head, body, None)
        }
        Ended::Interrupted(interrupt) => {
            record.interrupt_by_rule();
            return Err(interrupt);
        }
    };
    Ok(Answered { head, source: Source::Full(body), faults })
}

/// Squall's own answer. It is counted with the status that says what was wrong, also where gRPC wants 200 in the head.
fn own(problem: &Problem, origin: Origin, record: &mut Record) -> Answer {
    let answer = problem.answer(record.is_grpc);
    record.answer(problem.status, &answer.0.headers, origin);
    answer
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
    let Incoming { head: mut parts, body } = request.map_err(Ended::Refused)?;
    let mut present = Present::among(&parts.headers);
    record.is_grpc = present.grpc;
    let bound = downstream.destination.as_ref();
    request::check(&parts, listener.cluster.forward.is_some() && bound.is_none()).map_err(Ended::Refused)?;
    let destination = listener.cluster.toward(bound, &parts, record.started).map_err(Ended::Refused)?;
    let cluster = destination.as_ref().unwrap_or(&listener.cluster);
    let mut endpoint = cluster.pick(record.started);
    if endpoint.is_unresolved() {
        // Boxed, because it happens once.
        endpoint = Box::pin(cluster.pick_resolved(record.started)).await;
    }
    if listener.cluster.forward.as_ref().is_some_and(|forward| forward.leads_back(&endpoint)) {
        return Err(Ended::Refused(Refusal::DestinationIsSquall));
    }
    record.assign(&parts, &endpoint).map_err(Ended::Failed)?;
    let deadline = cluster.cluster.response_timeout.map(|limit| record.started + limit);

    // The decision, once, before any I/O.
    if !listener.http_rules_are_empty() {
        let meta = request_meta(&parts, downstream.ends.source.ip(), endpoint.endpoint());
        record.decide(&meta);
    }
    let upgrade = if body.is_end_stream() { request::offered_upgrade(&parts) } else { None };

    // Faults before the upstream.
    if let Some(faults) = &mut record.faults {
        // Boxed, so that exchanges without faults do not carry its size.
        if let Some(ended) = Box::pin(before(faults, place, record.started, deadline)).await {
            let_go(&parts, body, &ended);
            return Err(ended);
        }
    }

    // The upstream.
    if parts.method == Method::CONNECT {
        let connected = Box::pin(connect(parts, &listener, cluster, endpoint)).await;
        (answered.head, answered.source) = connected.map_err(Ended::Failed)?;
        return Ok(());
    }
    record.upload = body.upload().cloned();
    let opening = upgrade.as_ref().map(|_| parts.clone());
    let (body, copy) = match &mut record.faults {
        None => (body, None),
        Some(faults) => faults.alter_request(place, (&mut parts, &mut present), body),
    };
    let host =
        if parts.version == http::Version::HTTP_10 { endpoint.endpoint().address.to_string() } else { String::new() };
    request::rewrite(&mut parts, present, !body.is_end_stream(), upgrade, cluster.hop(&host));
    record.send(&mut parts.headers, &cluster.cluster);
    let body = match copy {
        None => body,
        Some(copy) => Box::pin(copy.send((cluster, &endpoint), downstream.ends, &parts, body)).await,
    };
    let sent_at = if record.faults.is_some() { Instant::now() } else { record.started };
    let (request, times) = (Incoming { head: parts, body }, (record.started, deadline));
    let answer = (&mut answered.head, &mut answered.source);
    let sent = upstream::send((cluster, &endpoint), request, &downstream.ends, times, answer).await;
    sent.map_err(|error| unanswered(error, record))?;
    record.answered(&answered.head);

    // The head of the answer, and faults behind the upstream.
    if let Source::Tunnel(Tunnel::Relayed(onward)) = &mut answered.source {
        let head = opening.ok_or_else(|| Ended::Failed(ProxyError::new(ErrorKind::MalformedResponse)))?;
        onward.opening = Some(Box::new(Opening::new(head, &listener, endpoint)));
    }
    head::prepare(&mut answered.head).map_err(Ended::Failed)?;
    if let Some(faults) = &mut record.faults {
        let times = Times { arrived: record.started, sent: sent_at, since: Instant::now() };
        let held = Box::pin(faults.after_upstream(place, times, &mut answered.head, &mut answered.source));
        let applied = InTime::new(deadline, held).await.ok_or(Ended::Withheld)?;
        answered.faults = applied.map_err(Ended::Interrupted)?;
    }
    Ok(())
}

/// The faults before the upstream; how they end the exchange, if they do.
async fn before(faults: &mut Faults, place: Place<'_>, started: Instant, deadline: Option<Instant>) -> Option<Ended> {
    match InTime::new(deadline, Box::pin(faults.before_upstream(place, started))).await {
        None => Some(Ended::Withheld),
        Some(None) => None,
        Some(Some(Instead::Interrupt(interrupt))) => Some(Ended::Interrupted(interrupt)),
        Some(Some(Instead::Answer(answer))) => Some(Ended::Aborted(answer, faults.after_abort(place))),
    }
}

/// Why the upstream did not answer: the request's body was wrong, or the path failed.
fn unanswered(error: ProxyError, record: &Record) -> Ended {
    match record.upload.as_ref().and_then(|upload| upload.refusal()) {
        Some(refusal) => Ended::Refused(refusal),
        None => Ended::Failed(error),
    }
}

/// Drops the body of a request that a rule answered; one that the client has not begun to send is not asked for.
fn let_go(parts: &http::request::Parts, body: RequestBody, ended: &Ended) {
    if !matches!(ended, Ended::Interrupted(_)) && !parts.headers.contains_key(http::header::EXPECT) {
        discard(body);
    }
}
