//! `blackhole`: accept, and never answer.

use std::time::Duration;

use schemars::{JsonSchema, Schema, json_schema};
use serde::{Deserialize, Serialize};

use super::phase::{PHASES, Phase};
use super::switch;
use crate::report::Report;
use crate::shape;
use crate::written::{Full, Scalar, Written};

/// Silence.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct BlackholeSpec {
    /// `request` or `response` (TCP): what comes in this direction is dropped, and the other one flows on. The connection is closed
    /// when the fault is lifted, since its stream has a hole. Default: nothing is read and nothing passes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::phase")]
    pub direction: Option<String>,
    /// The connection is closed after this long. Default: when the client gives up or the rule ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub max: Option<Scalar>,
    /// With direction: the connection is closed when nothing came there for this long. Default: it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub idle: Option<Scalar>,
}

impl Full for BlackholeSpec {
    const EXPECTED: &'static str = "true, or an object such as {max: 30s}";

    fn short_schema() -> Schema {
        json_schema!({ "type": "boolean", "const": true })
    }
}

/// Silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blackhole {
    /// Drops what comes in this direction and lets the other one flow on; TCP only. `None` is silence in both.
    pub direction: Option<Phase>,
    /// The connection is closed after this long; `None` holds it until the client gives up, the rule ends or halt.
    pub max: Option<Duration>,
    /// The connection is closed when nothing came in that direction for this long; `None` without a direction.
    pub idle: Option<Duration>,
}

pub(super) fn check(path: &str, spec: &Written<BlackholeSpec>, report: &mut Report) -> Option<Blackhole> {
    let spec = match spec {
        Written::Short(value) => {
            let silence = Blackhole { direction: None, max: None, idle: None };
            return switch::on(path, value, BlackholeSpec::EXPECTED, report).map(|()| silence);
        }
        Written::Full(spec) => spec,
    };
    let at = |field: &str| format!("{path}.{field}");
    let direction = spec.direction.as_deref().and_then(|text| report.word(&at("direction"), text, &PHASES));
    let max = spec.max.as_ref().and_then(|value| report.positive_duration(&at("max"), value));
    let idle = spec.idle.as_ref().and_then(|value| report.positive_duration(&at("idle"), value));
    if spec.idle.is_some() && spec.direction.is_none() {
        let hint = "write direction: request or direction: response, or max instead of idle";
        report.add(
            at("idle"),
            "without a direction nothing is read, so that nobody knows whether something came",
            hint,
        );
    }
    Some(Blackhole { direction, max, idle })
}
