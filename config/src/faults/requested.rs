//! `requested`: what the caller asks for itself, in `x-envoy-fault-*` header fields or in W3C baggage.

use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::switch;
use crate::report::Report;
use crate::shape;
use crate::units::format_duration;
use crate::written::{Full, Scalar, Written};

/// Faults that the caller asks for, for at most the share of the rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RequestedSpec {
    /// `headers` (x-envoy-fault-…), `baggage` (members of the same names), or both: the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "by_schema")]
    pub by: Option<String>,
    /// No delay that is asked for is longer. Default: limits.delay_max.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub max: Option<Scalar>,
}

impl Full for RequestedSpec {
    const EXPECTED: &'static str = "true, or an object such as {by: headers, max: 10s}";

    fn short_schema() -> Schema {
        json_schema!({ "type": "boolean", "const": true })
    }
}

/// One of the faults that a caller can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requested {
    /// Which.
    pub what: Wish,
    /// Where it is asked for.
    pub by: RequestedBy,
    /// No delay is longer.
    pub max: Duration,
}

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Latency before the upstream.
    Delay,
    /// An answer in the upstream's place.
    Abort,
    /// A bound on the speed of the answer's body.
    Throughput,
}

/// Where a caller may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestedBy {
    /// In header fields of the request.
    Headers,
    /// In members of its baggage (W3C Baggage), which services pass on.
    Baggage,
    /// In either; header fields go first.
    Both,
}

const PLACES: [(&str, RequestedBy); 3] =
    [("headers", RequestedBy::Headers), ("baggage", RequestedBy::Baggage), ("both", RequestedBy::Both)];

fn by_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "enum": ["headers", "baggage", "both"] })
}

pub(super) fn check(
    path: &str,
    spec: &Written<RequestedSpec>,
    limit: Duration,
    report: &mut Report,
) -> Option<[Requested; 3]> {
    let (by, max) = match spec {
        Written::Short(value) => {
            switch::on(path, value, RequestedSpec::EXPECTED, report)?;
            (None, None)
        }
        Written::Full(RequestedSpec { by, max }) => {
            let by = by.as_deref().and_then(|text| report.word(&format!("{path}.by"), text, &PLACES));
            (by, max.as_ref().and_then(|value| report.positive_duration(&format!("{path}.max"), value)))
        }
    };
    if let Some(max) = max.filter(|max| *max > limit) {
        let detail = format!("{} exceeds limits.delay_max {}", format_duration(max), format_duration(limit));
        report.add(format!("{path}.max"), detail, "lower it or raise the limit");
    }
    let (by, max) = (by.unwrap_or(RequestedBy::Both), max.unwrap_or(limit));
    Some([Wish::Delay, Wish::Throughput, Wish::Abort].map(|what| Requested { what, by, max }))
}
