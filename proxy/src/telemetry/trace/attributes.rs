//! What spans say, by the semantic conventions of OpenTelemetry for HTTP and RPC spans.

use std::borrow::Cow;
use std::net::SocketAddr;

use http::uri::Authority;
use http::{Method, Version};
use opentelemetry::{KeyValue, Value};
use opentelemetry_semantic_conventions::attribute as name;
use squall_config::model::{Name, grpc_status_name};

use crate::telemetry::access_log::InjectedFault;
use crate::telemetry::notes::{Finished, Notes};
use crate::telemetry::shard::Origin;

/// A user agent is text of a stranger; nobody needs more of it.
const USER_AGENT_MAX: usize = 256;

/// What an error is called when a rule made it.
const INJECTED: &str = "fault_injected";
/// The exchange ended before it had an answer: downstream left.
const CANCELLED: &str = "cancelled";

/// Attributes of one span.
#[derive(Debug)]
pub(super) struct Attributes(pub(super) Vec<KeyValue>);

impl Attributes {
    /// With room for what most spans say.
    pub(super) fn new() -> Self {
        Self(Vec::with_capacity(20))
    }

    pub(super) fn add(&mut self, name: &'static str, value: impl Into<Value>) {
        self.0.push(KeyValue::new(name, value));
    }

    /// Method and, of a gRPC call, what is called. Neither span has the query, which may hold secrets.
    pub(super) fn request(&mut self, notes: &Notes) {
        match known(&notes.method) {
            Some(method) => self.add(name::HTTP_REQUEST_METHOD, method),
            None => {
                self.add(name::HTTP_REQUEST_METHOD, "_OTHER");
                self.add(name::HTTP_REQUEST_METHOD_ORIGINAL, notes.method.to_string());
            }
        }
        if let Some(method) = notes.grpc_method() {
            self.add(name::RPC_SYSTEM_NAME, "grpc");
            self.add(name::RPC_METHOD, method.to_owned());
        }
    }

    /// Whom the request is for.
    pub(super) fn server(&mut self, authority: &str, is_tls: bool) {
        let Ok(authority) = authority.parse::<Authority>() else { return };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        self.add(name::SERVER_ADDRESS, host.to_owned());
        self.add(name::SERVER_PORT, i64::from(authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 })));
    }

    pub(super) fn peer(&mut self, peer: SocketAddr) {
        self.add(name::NETWORK_PEER_ADDRESS, peer.ip().to_string());
        self.add(name::NETWORK_PEER_PORT, i64::from(peer.port()));
    }

    pub(super) fn protocol(&mut self, version: Version) {
        let text = match version {
            Version::HTTP_2 => "2",
            Version::HTTP_10 => "1.0",
            _ => "1.1",
        };
        self.add(name::NETWORK_PROTOCOL_VERSION, text);
    }

    pub(super) fn user_agent(&mut self, notes: &Notes) {
        if let Some(agent) = notes.user_agent.as_ref().and_then(|value| value.to_str().ok()) {
            let end = agent.floor_char_boundary(USER_AGENT_MAX);
            self.add(name::USER_AGENT_ORIGINAL, agent[..end].to_owned());
        }
    }

    pub(super) fn grpc_status(&mut self, status: u8) {
        let text = grpc_status_name(status).map_or_else(|| status.to_string().into(), Cow::Borrowed);
        self.add(name::RPC_RESPONSE_STATUS_CODE, text);
    }

    pub(super) fn error(&mut self, kind: Cow<'static, str>) {
        self.add(name::ERROR_TYPE, kind);
    }

    /// What rules did to the exchange, or would have done.
    pub(super) fn faults(&mut self, finished: &Finished<'_>) {
        if let [first, rest @ ..] = &finished.notes.shadows[..] {
            let join = |all: String, rule: &Name| format!("{all},{rule}");
            self.add("fault.shadow.rule", rest.iter().fold(first.to_string(), join));
        }
        let [first, rest @ ..] = finished.faults else { return };
        self.add("fault.injected", true);
        // One text, so that it can be searched for; more than one rule is rare.
        let join = |of: fn(&InjectedFault) -> &str| {
            rest.iter().fold(of(first).to_owned(), |all, fault| {
                if all.split(',').any(|one| one == of(fault)) { all } else { format!("{all},{}", of(fault)) }
            })
        };
        self.add("fault.rule", join(|fault| &fault.rule));
        self.add("fault.kind", join(|fault| fault.kind));
        let latencies = || finished.faults.iter().filter_map(|fault| fault.latency.as_ref());
        if latencies().next().is_some() {
            let requested: f64 = latencies().map(|latency| latency.requested.as_secs_f64()).sum();
            let measured: f64 = latencies().map(|latency| latency.measured().as_secs_f64()).sum();
            self.add("fault.latency.requested", requested);
            self.add("fault.latency.measured", measured);
        }
    }
}

/// The method, when it is one of HTTP's; others could be anything.
pub(super) fn known(method: &Method) -> Option<&'static str> {
    const KNOWN: [&str; 10] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "CONNECT", "TRACE", "QUERY"];
    KNOWN.into_iter().find(|known| *known == method.as_str())
}

/// Why the server span is one of an error: an answer of 5xx, a gRPC status that speaks of the server, or none at all.
pub(super) fn server_error(finished: &Finished<'_>) -> Option<Cow<'static, str>> {
    let grpc = finished.notes.grpc_status.filter(|status| matches!(status, 2 | 4 | 12 | 13 | 14 | 15));
    let is_error = finished.status.is_none_or(|status| status >= 500) || grpc.is_some();
    is_error.then(|| reason(finished, grpc, finished.status))
}

/// Why the client span is one of an error: what the upstream said, or that it said nothing.
pub(super) fn client_error(finished: &Finished<'_>, status: Option<u16>) -> Option<Cow<'static, str>> {
    let grpc = finished.upstream_grpc_status().filter(|status| *status != 0);
    match status {
        Some(status) if status >= 400 => Some(status.to_string().into()),
        Some(_) => grpc.map(grpc_name).or(finished.error.map(Cow::Borrowed)),
        None => Some(finished.error.unwrap_or(CANCELLED).into()),
    }
}

fn reason(finished: &Finished<'_>, grpc: Option<u8>, status: Option<u16>) -> Cow<'static, str> {
    match (finished.origin, finished.error, grpc, status) {
        (Origin::Injected, ..) => INJECTED.into(),
        (_, Some(error), ..) => error.into(),
        (_, _, Some(grpc), _) => grpc_name(grpc),
        (_, _, _, Some(status)) => status.to_string().into(),
        (_, None, None, None) => CANCELLED.into(),
    }
}

fn grpc_name(status: u8) -> Cow<'static, str> {
    grpc_status_name(status).map_or_else(|| status.to_string().into(), Cow::Borrowed)
}
