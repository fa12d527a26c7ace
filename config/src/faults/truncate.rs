//! `truncate`: an end that comes too early, and looks like one.

use std::time::Duration;

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use super::phase::{PHASES, Phase};
use crate::report::Report;
use crate::shape;
use crate::written::{Full, Scalar, Written};

/// An end that comes too early: after so many bytes, or so long after the beginning.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TruncateSpec {
    /// So many bytes of the answer pass; with on: request, of what downstream sends.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::bytes")]
    pub after_bytes: Option<Scalar>,
    /// Whose bytes count: `response` (the default), or `request` (TCP).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::phase")]
    pub on: Option<String>,
    /// What the upstream sends within this time passes; counted from the head of an answer, or from the connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub after: Option<Scalar>,
}

impl Full for TruncateSpec {
    const EXPECTED: &'static str = "a size such as 1KiB, or an object with after_bytes or after";

    fn short_schema() -> Schema {
        shape::bytes_any()
    }
}

/// An end that comes too early: the connection closes (HTTP/1, TCP) or the stream ends (HTTP/2) without a reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truncate {
    /// So many bytes pass.
    AfterBytes {
        /// `Response`: of the answer (its body on HTTP). `Request`: of what downstream sends; TCP only.
        on: Phase,
        /// How many.
        bytes: u64,
    },
    /// What comes within this time passes: from the head of the answer (HTTP) or the beginning of the connection (TCP).
    After(Duration),
}

pub(super) fn check(path: &str, spec: &Written<TruncateSpec>, report: &mut Report) -> Option<Truncate> {
    let spec = match spec {
        Written::Short(bytes) => {
            let on = Phase::Response;
            return report.bytes(path, bytes).map(|bytes| Truncate::AfterBytes { on, bytes });
        }
        Written::Full(spec) => spec,
    };
    let at = |field: &str| format!("{path}.{field}");
    let on = spec.on.as_deref().and_then(|text| report.word(&at("on"), text, &PHASES));
    match (&spec.after_bytes, &spec.after) {
        (Some(bytes), None) => {
            let on = on.unwrap_or(Phase::Response);
            report.bytes(&at("after_bytes"), bytes).map(|bytes| Truncate::AfterBytes { on, bytes })
        }
        (None, Some(time)) => {
            if spec.on.is_some() {
                report.add(
                    at("on"),
                    "a time is not of one direction",
                    "remove it, or write after_bytes instead of after",
                );
            }
            report.positive_duration(&at("after"), time).map(Truncate::After)
        }
        (None, None) => {
            report.add(path, "it does not say when", format!("write {}", TruncateSpec::EXPECTED));
            None
        }
        (Some(_), Some(_)) => {
            report.add(path, "after_bytes and after exclude each other", "keep one");
            None
        }
    }
}
