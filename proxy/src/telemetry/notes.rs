//! What the access log, the trace and those who watch want to know of an exchange; kept only when one of them does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::USER_AGENT;
use http::{HeaderMap, HeaderValue, Method, Version, request};
use squall_config::model::{Cluster, ClusterProtocol, Name};
use squall_fault::grpc;
use squall_fault::trace_context::trace_id;

use super::access_log::{InjectedFault, Line};
use super::shard::{ListenerKey, Origin};
use super::trace::Traces;
use super::trace::active::Trace;
use crate::http::request::authority;
use crate::upstream::shared::SharedEndpoint;

/// Of the request, and of what became of it.
#[derive(Debug)]
pub(crate) struct Notes {
    pub(crate) method: Method,
    pub(crate) version: Version,
    pub(crate) authority: String,
    /// Without the query, which may hold secrets.
    pub(crate) path: String,
    pub(crate) user_agent: Option<HeaderValue>,
    pub(crate) endpoint: Arc<SharedEndpoint>,
    is_grpc: bool,
    grpc_timeout: Option<Duration>,
    pub(crate) grpc_status: Option<u8>,
    /// Rules in shadow mode that would have injected something.
    pub(crate) shadows: Vec<Name>,
    /// Of the trace, sampled or not, when there is one.
    trace_id: Option<u128>,
    /// When the exchange is sampled.
    pub(crate) trace: Option<Trace>,
}

impl Notes {
    /// Of a request as it came.
    pub(crate) fn of(parts: &request::Parts, endpoint: &Arc<SharedEndpoint>, trace: Option<Trace>) -> Box<Self> {
        Box::new(Self {
            method: parts.method.clone(),
            version: parts.version,
            authority: authority(parts).to_owned(),
            path: parts.uri.path().to_owned(),
            user_agent: parts.headers.get(USER_AGENT).cloned(),
            endpoint: Arc::clone(endpoint),
            is_grpc: grpc::is_grpc(&parts.headers),
            grpc_timeout: grpc::timeout(&parts.headers),
            grpc_status: None,
            shadows: Vec::new(),
            trace_id: trace.as_ref().map(|trace| trace.id).or_else(|| trace_id(&parts.headers)),
            trace,
        })
    }

    /// The trace that Squall gives the exchange, if it does.
    pub(crate) fn traced(&self) -> Option<u128> {
        self.trace.as_ref().map(|trace| trace.id)
    }

    /// The request is about to leave for a cluster: the span towards that begins.
    #[cold]
    pub(crate) fn send(&mut self, traces: Option<&Traces>, headers: &mut HeaderMap, cluster: &Cluster) {
        if let (Some(trace), Some(traces)) = (&mut self.trace, traces) {
            let version = match cluster.protocol {
                ClusterProtocol::Http1 => Version::HTTP_11,
                ClusterProtocol::Http2 => Version::HTTP_2,
            };
            trace.send(traces, headers, cluster.tls.is_some(), version);
        }
    }

    /// The head of the upstream's answer, as it came.
    #[cold]
    pub(crate) fn answered(&mut self, status: http::StatusCode) {
        if let Some(trace) = &mut self.trace {
            trace.answered(status);
        }
    }

    /// The gRPC status, in the head of an answer or behind its body.
    pub(crate) fn note_grpc_status(&mut self, fields: &HeaderMap) {
        if let Some(status) = grpc::status(fields) {
            self.grpc_status = Some(status);
        }
    }

    /// Service and method, when this is a gRPC call.
    pub(crate) fn grpc_method(&self) -> Option<&str> {
        self.path.strip_prefix('/').filter(|_| self.is_grpc)
    }
}

/// An exchange that is over.
#[derive(Debug)]
pub(crate) struct Finished<'a> {
    pub(crate) notes: &'a Notes,
    pub(crate) key: &'a ListenerKey,
    /// Downstream.
    pub(crate) source: SocketAddr,
    pub(crate) is_tls: bool,
    pub(crate) status: Option<u16>,
    pub(crate) origin: Origin,
    pub(crate) error: Option<&'static str>,
    pub(crate) faults: &'a [InjectedFault],
    pub(crate) latency: Duration,
    pub(crate) started: Instant,
    pub(crate) ended: Instant,
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
}

impl Finished<'_> {
    /// What the upstream said, unless faults had a hand in it.
    pub(crate) fn upstream_grpc_status(&self) -> Option<u8> {
        self.notes.grpc_status.filter(|_| self.origin == Origin::Upstream && self.faults.is_empty())
    }

    pub(crate) fn line(&self) -> Line<'_> {
        let notes = self.notes;
        Line {
            endpoint: Some(notes.endpoint.label()),
            trace_id: notes.trace_id.map(|id| format!("{id:032x}")),
            span_id: notes.trace.as_ref().map(|trace| format!("{:016x}", trace.server)),
            method: Some(notes.method.as_str()),
            authority: Some(&notes.authority),
            path: Some(&notes.path),
            grpc_timeout_seconds: notes.grpc_timeout.map(|timeout| timeout.as_secs_f64()),
            grpc_status: notes.grpc_status,
            status: self.status,
            origin: self.origin.as_str(),
            error: self.error,
            duration_seconds: (self.ended - self.started).as_secs_f64(),
            injected_latency_seconds: self.latency.as_secs_f64(),
            request_bytes: self.request_bytes,
            response_bytes: self.response_bytes,
            faults: self.faults,
            shadows: &notes.shadows,
            ..Line::of(self.key, self.source)
        }
    }
}
