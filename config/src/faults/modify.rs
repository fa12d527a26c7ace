//! `modify`: other heads and bodies than were sent.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{HeaderName, HeaderValue, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::abort::{has_no_body, header, http_status};
use super::phase::{PHASES, Phase};
use crate::report::Report;
use crate::shape;
use crate::written::{OneOrMany, Scalar};

/// Another head or body than was sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object such as {status: 500, set_headers: {retry-after: 5}, body: oops}")]
#[schemars(extend("minProperties" = 1))]
pub struct ModifySpec {
    /// `response` (the default): of the upstream's answer. `request`: of what the upstream gets.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::phase")]
    pub on: Option<String>,
    /// Another HTTP status, 200 to 599 (answers).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 200, max = 599))]
    pub status: Option<Scalar>,
    /// Header fields that replace those of the same name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub set_headers: BTreeMap<String, Scalar>,
    /// Header fields that are taken away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remove_headers: Option<OneOrMany>,
    /// Another body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// Another head or body than was sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Modify {
    /// Of the answer or of the request.
    pub on: Phase,
    /// Another status; only of answers.
    pub status: Option<StatusCode>,
    /// Applied first.
    pub remove_headers: Vec<HeaderName>,
    /// Each replaces all fields of its name.
    pub set_headers: Vec<(HeaderName, HeaderValue)>,
    /// Another body; what came is dropped.
    pub body: Option<Arc<[u8]>>,
}

pub(super) fn check(path: &str, spec: &ModifySpec, report: &mut Report) -> Option<Modify> {
    let at = |field: &str| format!("{path}.{field}");
    let on = spec.on.as_deref().and_then(|text| report.word(&at("on"), text, &PHASES)).unwrap_or(Phase::Response);
    let status = spec.status.as_ref().and_then(|status| http_status(&at("status"), status, report));
    if on == Phase::Request && spec.status.is_some() {
        report.add(at("status"), "a request has no status", "remove it, or write on: response");
    }
    let set_headers = spec
        .set_headers
        .iter()
        .filter_map(|(name, value)| header(&at(&format!("set_headers.{name}")), name, value, report));
    let set_headers: Vec<_> = set_headers.collect();
    let remove_headers = removed(&at("remove_headers"), spec.remove_headers.as_ref(), report);
    let changes_nothing =
        spec.status.is_none() && spec.body.is_none() && spec.set_headers.is_empty() && remove_headers.is_empty();
    if changes_nothing {
        report.add(path, "it changes nothing", "write one of status, set_headers, remove_headers, body");
    }
    if let (Some(status), Some(body)) = (status, &spec.body)
        && has_no_body(status)
        && !body.is_empty()
    {
        report.add(at("body"), format!("an answer with status {} has no body", status.as_u16()), "remove it");
    }
    let body = spec.body.as_ref().map(|body| body.as_bytes().into());
    Some(Modify { on, status, remove_headers, set_headers, body })
}

fn removed(path: &str, names: Option<&OneOrMany>, report: &mut Report) -> Vec<HeaderName> {
    let mut removed = Vec::new();
    for name in names.map(OneOrMany::as_slice).unwrap_or_default() {
        // What cannot be set cannot be taken away either: the value is only there to be checked with the name.
        removed.extend(header(path, name, &Scalar::from(""), report).map(|(name, _)| name));
    }
    removed
}
