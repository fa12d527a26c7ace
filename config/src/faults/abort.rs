//! `abort`: an answer in the upstream's place.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use http::{HeaderName, HeaderValue, StatusCode};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::report::Report;
use crate::written::{Full, Scalar, Written};

/// An answer in the upstream's place: `status` with body and headers, or `grpc_status` with a message.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AbortSpec {
    /// HTTP status, 200 to 599.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 200, max = 599))]
    pub status: Option<Scalar>,
    /// Body of the answer. Default: a short text that names the rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Header fields added to the answer.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Scalar>,
    /// gRPC status: 0 to 16, or its name, such as UNAVAILABLE.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "grpc_status_schema")]
    pub grpc_status: Option<Scalar>,
    /// gRPC message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The upstream answers so many gRPC messages of a stream before it ends with the status. Default: it is not called.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub after_messages: Option<u32>,
}

impl Full for AbortSpec {
    const EXPECTED: &'static str =
        "an HTTP status such as 503, or an object such as {status: 503, body: down} or {grpc_status: 14}";

    fn short_schema() -> Schema {
        json_schema!({ "type": "integer", "minimum": 200, "maximum": 599 })
    }
}

/// An answer in the upstream's place.
#[derive(Clone, Debug, PartialEq)]
pub struct Abort {
    /// What is answered.
    pub answer: AbortAnswer,
}

/// Two ways to fail.
#[derive(Clone, Debug, PartialEq)]
pub enum AbortAnswer {
    /// A plain HTTP answer.
    Http {
        /// 200–599.
        status: StatusCode,
        /// `None` answers a short text that names the rule.
        body: Option<std::sync::Arc<[u8]>>,
        /// Added to the answer.
        headers: Vec<(HeaderName, HeaderValue)>,
    },
    /// HTTP 200 with the status in the head (trailers-only) when the request is gRPC, else the HTTP status that
    /// corresponds to it.
    Grpc {
        /// 0–16.
        status: u8,
        /// `grpc-message`, before percent-encoding.
        message: String,
        /// The status comes behind so many messages of the upstream's answer, as trailers; `None` does not call it.
        after_messages: Option<NonZeroU32>,
    },
}

impl Abort {
    /// Whether it answers without the upstream.
    pub(crate) fn answers_at_once(&self) -> bool {
        !matches!(self.answer, AbortAnswer::Grpc { after_messages: Some(_), .. })
    }
}

/// The names of the gRPC statuses, by number (gRPC, "Status codes and their use in gRPC").
const GRPC_STATUSES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The name of a gRPC status, as in UNAVAILABLE.
pub fn grpc_status_name(status: u8) -> Option<&'static str> {
    GRPC_STATUSES.get(usize::from(status)).copied()
}

fn grpc_status_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "anyOf": [{ "type": "integer", "minimum": 0, "maximum": 16 }, { "type": "string", "enum": GRPC_STATUSES }]
    })
}

/// Header fields that say where a message ends or what becomes of the connection: the proxy's own business.
const FRAMING: [&str; 8] =
    ["connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"];

pub(super) fn check(path: &str, spec: &Written<AbortSpec>, report: &mut Report) -> Option<Abort> {
    let spec = match spec {
        Written::Short(status) => {
            let status = http_status(path, status, report)?;
            return Some(Abort { answer: AbortAnswer::Http { status, body: None, headers: Vec::new() } });
        }
        Written::Full(spec) => spec,
    };
    let answer = match (&spec.status, &spec.grpc_status) {
        (Some(status), None) => http_answer(path, status, spec, report),
        (None, Some(status)) => grpc_answer(path, status, spec, report),
        (None, None) => {
            report.add(path, "it has no status", "write status: 503, or grpc_status: 14");
            None
        }
        (Some(_), Some(_)) => {
            report.add(path, "status and grpc_status exclude each other", "keep one");
            None
        }
    };
    answer.map(|answer| Abort { answer })
}

fn http_answer(path: &str, status: &Scalar, spec: &AbortSpec, report: &mut Report) -> Option<AbortAnswer> {
    if spec.message.is_some() {
        report.add(format!("{path}.message"), "message belongs to grpc_status", "write it as body");
    }
    if spec.after_messages.is_some() {
        report.add(format!("{path}.after_messages"), "after_messages belongs to grpc_status", "use truncate or reset");
    }
    let headers =
        spec.headers.iter().filter_map(|(name, value)| header(&format!("{path}.headers.{name}"), name, value, report));
    let headers = headers.collect();
    let status = http_status(&format!("{path}.status"), status, report)?;
    if has_no_body(status) && spec.body.as_ref().is_some_and(|body| !body.is_empty()) {
        report.add(
            format!("{path}.body"),
            format!("an answer with status {} has no body", status.as_u16()),
            "remove it",
        );
    }
    Some(AbortAnswer::Http { status, body: spec.body.as_ref().map(|body| body.as_bytes().into()), headers })
}

fn grpc_answer(path: &str, status: &Scalar, spec: &AbortSpec, report: &mut Report) -> Option<AbortAnswer> {
    if spec.body.is_some() || !spec.headers.is_empty() {
        report.add(path, "body and headers belong to status", "remove them; grpc_status has a message");
    }
    let after_messages = match spec.after_messages.map(NonZeroU32::new) {
        Some(None) => {
            report.add(format!("{path}.after_messages"), "0 messages are none", "remove it");
            None
        }
        after_messages => after_messages.flatten(),
    };
    let status = grpc_status(&format!("{path}.grpc_status"), status, report)?;
    Some(AbortAnswer::Grpc { status, message: spec.message.clone().unwrap_or_default(), after_messages })
}

fn grpc_status(path: &str, status: &Scalar, report: &mut Report) -> Option<u8> {
    let text = status.to_string();
    let named = || GRPC_STATUSES.iter().position(|name| *name == text.to_ascii_uppercase());
    let code = text.parse().ok().or_else(named).filter(|code| *code < GRPC_STATUSES.len());
    if code.is_none() {
        let hint = "write one from 0 to 16, or its name, such as 14 or UNAVAILABLE";
        report.add(path, format!("{status} is not a gRPC status"), hint);
    }
    u8::try_from(code?).ok()
}

/// Whether an answer of this status ends with its head (RFC 9110 §15).
pub(super) fn has_no_body(status: StatusCode) -> bool {
    [StatusCode::NO_CONTENT, StatusCode::RESET_CONTENT, StatusCode::NOT_MODIFIED].contains(&status)
}

pub(super) fn http_status(path: &str, status: &Scalar, report: &mut Report) -> Option<StatusCode> {
    let code = status.to_string().parse::<u16>().ok().filter(|code| (200..=599).contains(code));
    if code.is_none() {
        report.add(path, format!("{status} is not a final HTTP status"), "write one from 200 to 599, such as 503");
    }
    StatusCode::from_u16(code?).ok()
}

pub(super) fn header(path: &str, name: &str, value: &Scalar, report: &mut Report) -> Option<(HeaderName, HeaderValue)> {
    let Ok(name) = HeaderName::try_from(name) else {
        report.add(path, format!("{name:?} is not a header name"), "use letters, digits and '-'");
        return None;
    };
    if FRAMING.contains(&name.as_str()) {
        report.add(path, format!("{name} frames the message; the proxy sets it"), "remove it");
    } else if name.as_str().starts_with("x-squall-") {
        report.add(path, format!("{name} tells Squall's own answers apart; Squall sets it"), "choose another name");
    }
    let Ok(value) = HeaderValue::try_from(value.to_string()) else {
        report.add(path, "its value has a line break or another control character", "remove it");
        return None;
    };
    Some((name, value))
}
