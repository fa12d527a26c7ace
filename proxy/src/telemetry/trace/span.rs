//! What is exported of an exchange that is over.

use std::borrow::Cow;
use std::time::{Instant, SystemTime};

use opentelemetry::trace::{Event, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use opentelemetry_semantic_conventions::attribute as name;

use super::active::{Trace, UpstreamCall};
use super::attributes::{Attributes, client_error, known, server_error};
use crate::telemetry::notes::Finished;

/// The span towards the upstream, where there was one, and that towards downstream.
pub(crate) fn spans(finished: &Finished<'_>, trace: &Trace) -> impl Iterator<Item = SpanData> {
    let clock = Clock { system: SystemTime::now(), steady: finished.ended };
    let client = trace.upstream.as_ref().map(|call| client(finished, trace, call, clock));
    client.into_iter().chain([server(finished, trace, clock)])
}

/// What the steady clock shows, in time of day: a step of the latter in the middle of an exchange makes no difference.
#[derive(Clone, Copy)]
struct Clock {
    system: SystemTime,
    steady: Instant,
}

impl Clock {
    fn at(self, instant: Instant) -> SystemTime {
        self.system - self.steady.saturating_duration_since(instant)
    }
}

fn server(finished: &Finished<'_>, trace: &Trace, clock: Clock) -> SpanData {
    let Finished { notes, key, .. } = finished;
    let mut attributes = Attributes::new();
    attributes.request(notes);
    attributes.add(name::URL_SCHEME, scheme(finished.is_tls));
    attributes.add(name::URL_PATH, notes.path.clone());
    attributes.server(&notes.authority, finished.is_tls);
    attributes.add(name::CLIENT_ADDRESS, finished.source.ip().to_string());
    attributes.peer(finished.source);
    attributes.protocol(notes.version);
    attributes.user_agent(notes);
    attributes.add("squall.listener", key.listener.to_string());
    attributes.add("squall.cluster", key.cluster.to_string());
    attributes.add("squall.direction", key.direction.as_str());
    attributes.add("squall.origin", finished.origin.as_str());
    if let Some(status) = finished.status {
        attributes.add(name::HTTP_RESPONSE_STATUS_CODE, i64::from(status));
    }
    if let Some(status) = notes.grpc_status {
        attributes.grpc_status(status);
    }
    attributes.faults(finished);
    let error = server_error(finished);
    let mut span = span(finished, trace, trace.server, trace.caller, SpanKind::Server);
    (span.start_time, span.end_time) = (clock.at(finished.started), clock.system);
    span.events = events(finished, clock);
    span.parent_span_is_remote = trace.caller.is_some();
    with(span, attributes, error)
}

fn client(finished: &Finished<'_>, trace: &Trace, call: &UpstreamCall, clock: Clock) -> SpanData {
    let notes = finished.notes;
    let mut attributes = Attributes::new();
    attributes.request(notes);
    attributes.add(name::URL_FULL, format!("{}://{}{}", scheme(call.is_tls), notes.authority, notes.path));
    attributes.server(&notes.authority, call.is_tls);
    if let Some(peer) = notes.endpoint.endpoint.socket() {
        attributes.peer(peer);
    }
    attributes.protocol(call.version);
    attributes.add("squall.cluster", finished.key.cluster.to_string());
    let status = call.answered.map(|(_, status)| status.as_u16());
    if let Some(status) = status {
        attributes.add(name::HTTP_RESPONSE_STATUS_CODE, i64::from(status));
    }
    if let Some(status) = finished.upstream_grpc_status() {
        attributes.grpc_status(status);
    }
    let error = client_error(finished, status);
    let mut span = span(finished, trace, call.span, Some(trace.server), SpanKind::Client);
    // What faults add behind the head of the answer is not the upstream's: there the span ends.
    let answered = call.answered.filter(|_| !finished.faults.is_empty()).map(|(at, _)| at);
    (span.start_time, span.end_time) = (clock.at(call.sent), clock.at(answered.unwrap_or(finished.ended)));
    with(span, attributes, error)
}

fn scheme(is_tls: bool) -> &'static str {
    if is_tls { "https" } else { "http" }
}

fn span(finished: &Finished<'_>, trace: &Trace, id: u64, parent: Option<u64>, kind: SpanKind) -> SpanData {
    let (trace_id, id) = (TraceId::from(trace.id), SpanId::from(id));
    SpanData {
        span_context: SpanContext::new(trace_id, id, TraceFlags::SAMPLED, false, TraceState::NONE),
        parent_span_id: parent.map_or(SpanId::INVALID, SpanId::from),
        parent_span_is_remote: false,
        span_kind: kind,
        name: span_name(finished),
        start_time: SystemTime::UNIX_EPOCH,
        end_time: SystemTime::UNIX_EPOCH,
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: InstrumentationScope::builder("squall").with_version(env!("CARGO_PKG_VERSION")).build(),
    }
}

/// As few as there are methods: a path could be anything, and Squall knows no routes.
fn span_name(finished: &Finished<'_>) -> Cow<'static, str> {
    match finished.notes.grpc_method() {
        Some(method) => method.to_owned().into(),
        None => known(&finished.notes.method).unwrap_or("HTTP").into(),
    }
}

fn with(mut span: SpanData, mut attributes: Attributes, error: Option<Cow<'static, str>>) -> SpanData {
    if let Some(kind) = error {
        // The description says nothing that the attributes do not (HTTP conventions, "Status").
        span.status = Status::error("");
        attributes.error(kind);
    }
    span.attributes = attributes.0;
    span
}

/// One for each applied fault, when it was.
fn events(finished: &Finished<'_>, clock: Clock) -> SpanEvents {
    let mut events = SpanEvents::default();
    events.events = finished
        .faults
        .iter()
        .map(|fault| {
            let mut says =
                vec![KeyValue::new("fault.rule", fault.rule.clone()), KeyValue::new("fault.kind", fault.kind)];
            if let Some(latency) = &fault.latency {
                says.push(KeyValue::new("fault.latency.requested", latency.requested.as_secs_f64()));
                says.push(KeyValue::new("fault.latency.measured", latency.measured().as_secs_f64()));
            }
            Event::new("fault.applied", clock.at(fault.at), says, 0)
        })
        .collect();
    events
}

#[cfg(test)]
#[path = "span_tests.rs"]
pub(super) mod tests;
