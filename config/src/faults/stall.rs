//! `stall`: from some byte on nothing more comes, and nothing more is taken.

use std::time::Duration;

use schemars::{JsonSchema, Schema, json_schema};
use serde::{Deserialize, Serialize};

use super::phase::{PHASES, Phase};
use super::switch;
use crate::report::Report;
use crate::shape;
use crate::written::{Full, Scalar, Written};

/// From some byte on nothing more passes; the connection stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct StallSpec {
    /// `response` (the default): of the answer. `request`: of the upload; its flow-control window stays shut.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::phase")]
    pub on: Option<String>,
    /// So many bytes of the body pass first. Default 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::bytes")]
    pub after_bytes: Option<Scalar>,
    /// What was held passes after this long. Default: when the client gives up or the rule ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub max: Option<Scalar>,
}

impl Full for StallSpec {
    const EXPECTED: &'static str = "true, or an object such as {on: response, after_bytes: 64KiB, max: 30s}";

    fn short_schema() -> Schema {
        json_schema!({ "type": "boolean", "const": true })
    }
}

/// From some byte on nothing more passes; the connection stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    /// Which body, or direction of a stream.
    pub on: Phase,
    /// So many bytes pass first. On HTTP the head of an answer always passes.
    pub after_bytes: u64,
    /// What was held passes after this long; `None` holds it until the client gives up, the rule ends or halt.
    pub max: Option<Duration>,
}

pub(super) fn check(path: &str, spec: &Written<StallSpec>, report: &mut Report) -> Option<Stall> {
    let spec = match spec {
        Written::Short(value) => {
            let stall = Stall { on: Phase::Response, after_bytes: 0, max: None };
            return switch::on(path, value, StallSpec::EXPECTED, report).map(|()| stall);
        }
        Written::Full(spec) => spec,
    };
    let at = |field: &str| format!("{path}.{field}");
    let on = spec.on.as_deref().and_then(|text| report.word(&at("on"), text, &PHASES));
    let after_bytes = spec.after_bytes.as_ref().and_then(|value| report.bytes(&at("after_bytes"), value));
    let max = spec.max.as_ref().and_then(|value| report.positive_duration(&at("max"), value));
    Some(Stall { on: on.unwrap_or(Phase::Response), after_bytes: after_bytes.unwrap_or(0), max })
}
