//! `truncate`: an end that comes too early, and looks like one.

use std::time::Duration;

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use crate::spec::{Full, Scalar, Written, shape};
use crate::validate::report::Report;

/// An end that comes too early: after so many bytes, or so long after the beginning.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TruncateSpec {
    /// So many bytes of the answer pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::bytes")]
    pub after_bytes: Option<Scalar>,
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
    /// So many bytes of the answer (its body on HTTP) pass.
    AfterBytes(u64),
    /// What comes within this time passes: from the head of the answer (HTTP) or the beginning of the connection (TCP).
    After(Duration),
}

pub(super) fn check(path: &str, spec: &Written<TruncateSpec>, report: &mut Report) -> Option<Truncate> {
    match spec {
        Written::Short(bytes) => report.bytes(path, bytes).map(Truncate::AfterBytes),
        Written::Full(TruncateSpec { after_bytes: Some(bytes), after: None }) => {
            report.bytes(&format!("{path}.after_bytes"), bytes).map(Truncate::AfterBytes)
        }
        Written::Full(TruncateSpec { after_bytes: None, after: Some(time) }) => {
            report.positive_duration(&format!("{path}.after"), time).map(Truncate::After)
        }
        Written::Full(TruncateSpec { after_bytes: None, after: None }) => {
            report.add(path, "it does not say when", format!("write {}", TruncateSpec::EXPECTED));
            None
        }
        Written::Full(TruncateSpec { after_bytes: Some(_), after: Some(_) }) => {
            report.add(path, "after_bytes and after exclude each other", "keep one");
            None
        }
    }
}
