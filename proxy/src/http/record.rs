//! The end of every exchange, whatever happened: counted once, logged once.

use std::rc::Rc;
use std::time::{Duration, Instant};

use http::{HeaderMap, request, response};
use squall_fault::grpc;

use super::body::Upload;
use super::fault::Faults;
use super::request::{authority, text};
use crate::connection::Downstream;
use crate::error::{ErrorKind, ProxyError};
use crate::telemetry::access_log::{Line, now_text, trace_id};
use crate::telemetry::shard::Origin;
use crate::upstream::cluster::{Assignment, EndpointState};
use crate::upstream::shared::{Fared, SharedEndpoint};
use crate::view::ListenerView;

/// What the access log wants to know of a request; kept only when there is a log.
#[derive(Debug)]
struct LogHead {
    method: String,
    authority: String,
    path: String,
    trace_id: Option<String>,
    endpoint: String,
    grpc_timeout: Option<Duration>,
    grpc_status: Option<u8>,
}

/// Follows one exchange from its head to its end. Dropping it is the end.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) downstream: Rc<Downstream>,
    pub(crate) listener: Rc<ListenerView>,
    pub(crate) started: Instant,
    /// Decided faults; held here so that they are active until the end.
    pub(crate) faults: Option<Box<Faults>>,
    pub(crate) upload: Option<Rc<Upload>>,
    /// The endpoint, which has this exchange until the end.
    assignment: Option<Assignment>,
    status: Option<u16>,
    origin: Origin,
    error: Option<&'static str>,
    response_bytes: u64,
    log: Option<Box<LogHead>>,
}

impl Record {
    pub(crate) fn begin(downstream: &Rc<Downstream>) -> Self {
        downstream.wire.begin();
        Self {
            downstream: Rc::clone(downstream),
            listener: downstream.current_listener(),
            started: Instant::now(),
            faults: None,
            upload: None,
            assignment: None,
            status: None,
            origin: Origin::Proxy,
            error: None,
            response_bytes: 0,
            log: None,
        }
    }

    /// Gives the request to an endpoint, unless that has too many.
    pub(crate) fn assign(&mut self, parts: &request::Parts, endpoint: &Rc<EndpointState>) -> Result<(), ProxyError> {
        self.note_request(parts, &endpoint.shared);
        self.assignment = Some(Assignment::of_exchange(Rc::clone(endpoint))?);
        Ok(())
    }

    /// Keeps what the access log needs, when there is one.
    fn note_request(&mut self, parts: &request::Parts, endpoint: &SharedEndpoint) {
        if !self.downstream.worker.has_access_log() {
            return;
        }
        self.log = Some(Box::new(LogHead {
            method: parts.method.to_string(),
            authority: authority(parts).to_owned(),
            path: parts.uri.path().to_owned(),
            trace_id: text(&parts.headers, "traceparent").and_then(trace_id).map(str::to_owned),
            endpoint: endpoint.label(),
            grpc_timeout: grpc::timeout(&parts.headers),
            grpc_status: None,
        }));
    }

    /// Notes the gRPC status in the head of an answer, or behind its body.
    pub(crate) fn note_grpc_status(&mut self, fields: &HeaderMap) {
        if let Some(log) = &mut self.log
            && let Some(status) = text(fields, "grpc-status").and_then(|status| status.parse().ok())
        {
            log.grpc_status = Some(status);
        }
    }

    /// Notes the head of the answer.
    pub(crate) fn answer(&mut self, head: &response::Parts, origin: Origin) {
        self.status = Some(head.status.as_u16());
        self.origin = origin;
        if let Some(assignment) = self.assignment.as_ref().filter(|_| origin != Origin::Proxy) {
            assignment.answered(head.status, &head.headers);
        }
    }

    /// Notes that a rule held the answer back until it was too late.
    pub(crate) fn withhold(&mut self) {
        if let Some(assignment) = &self.assignment {
            assignment.failed(ErrorKind::ResponseTimeout);
        }
    }

    /// Notes that a rule ended the exchange without an answer.
    pub(crate) fn interrupt_by_rule(&mut self) {
        self.origin = Origin::Injected;
        if let Some(assignment) = &self.assignment {
            assignment.judge(Fared::Badly);
        }
    }

    /// Notes a failure that nobody injected.
    pub(crate) fn fail(&mut self, kind: ErrorKind) {
        self.error = Some(kind.label());
        if let Some(assignment) = &self.assignment {
            assignment.failed(kind);
        }
    }

    /// Notes that the request was not one.
    pub(crate) fn refuse(&mut self, label: &'static str) {
        self.error = Some(label);
        if let Some(assignment) = &self.assignment {
            assignment.spare();
        }
    }

    pub(crate) fn count_response_bytes(&mut self, n: u64) {
        self.response_bytes += n;
    }

    fn request_bytes(&self) -> u64 {
        self.upload.as_ref().map_or(0, |upload| upload.bytes.get())
    }

    fn log(&self, duration: Duration) {
        let Some(log) = &self.log else { return };
        let (applied, latency) = self.faults.as_ref().map_or((&[][..], Duration::ZERO), |f| (f.applied(), f.latency()));
        let key = &self.listener.key;
        self.downstream.worker.write_access_log(&Line {
            time: now_text(),
            listener: key.listener.as_str(),
            cluster: key.cluster.as_str(),
            direction: key.direction.as_str(),
            source: self.downstream.ends.source.to_string(),
            endpoint: Some(log.endpoint.clone()),
            trace_id: log.trace_id.as_deref(),
            method: Some(&log.method),
            authority: Some(&log.authority),
            path: Some(&log.path),
            grpc_timeout_seconds: log.grpc_timeout.map(|timeout| timeout.as_secs_f64()),
            grpc_status: log.grpc_status,
            status: self.status,
            origin: self.origin.as_str(),
            error: self.error,
            duration_seconds: duration.as_secs_f64(),
            injected_latency_seconds: latency.as_secs_f64(),
            request_bytes: self.request_bytes(),
            response_bytes: self.response_bytes,
            faults: applied,
        });
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let now = Instant::now();
        let duration = now.saturating_duration_since(self.started);
        self.listener.shard.count_request(self.origin, self.status, duration);
        self.listener.shard.bytes_request.add(self.request_bytes());
        self.listener.shard.bytes_response.add(self.response_bytes);
        self.downstream.wire.end(now);
        self.log(duration);
    }
}
