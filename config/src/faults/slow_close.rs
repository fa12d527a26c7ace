//! `slow_close`: the end of a stream comes late.

use std::time::Duration;

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use super::delay::within;
use super::phase::{PHASES, Phase, required};
use crate::report::Report;
use crate::shape;
use crate::written::{Full, Scalar, Written};

/// The end of a stream comes late.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["delay"]))]
pub struct SlowCloseSpec {
    /// How long the end is held back.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub delay: Option<Scalar>,
    /// `request` (what downstream ends) or `response` (what upstream ends). Default: both.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::phase")]
    pub direction: Option<String>,
}

impl Full for SlowCloseSpec {
    const EXPECTED: &'static str = "a duration such as \"2s\", or an object such as {delay: 2s, direction: response}";

    fn short_schema() -> Schema {
        shape::duration_text()
    }
}

/// Data passes at once; the FIN behind it so much later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowClose {
    /// How long; above zero.
    pub delay: Duration,
    /// `None` holds back both.
    pub direction: Option<Phase>,
}

pub(super) fn check(
    path: &str,
    spec: &Written<SlowCloseSpec>,
    delay_max: Duration,
    report: &mut Report,
) -> Option<SlowClose> {
    let bounded = |path: &str, delay: &Scalar, report: &mut Report| {
        let delay = report.positive_duration(path, delay)?;
        within(path, delay, delay_max, report);
        Some(delay)
    };
    match spec {
        Written::Short(delay) => bounded(path, delay, report).map(|delay| SlowClose { delay, direction: None }),
        Written::Full(spec) => {
            let direction = spec.direction.as_deref();
            let direction = direction.and_then(|text| report.word(&format!("{path}.direction"), text, &PHASES));
            let hint = "write a duration such as 2s";
            let (path, delay) = required(&format!("{path}.delay"), spec.delay.as_ref(), hint, report)?;
            bounded(&path, delay, report).map(|delay| SlowClose { delay, direction })
        }
    }
}
