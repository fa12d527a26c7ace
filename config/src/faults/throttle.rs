//! `throttle`: a bound on bytes per second.

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use super::phase::{PHASES, Phase, required};
use crate::report::Report;
use crate::shape;
use crate::units::ByteRate;
use crate::written::{Full, Scalar, Written};

/// A bound on speed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["rate"]))]
pub struct ThrottleSpec {
    /// At most so many bytes per second, such as 64KiB/s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::rate")]
    pub rate: Option<Scalar>,
    /// `request` (to the upstream) or `response` (from it). Default: both, each on its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::phase")]
    pub direction: Option<String>,
}

impl Full for ThrottleSpec {
    const EXPECTED: &'static str =
        "a rate such as \"64KiB/s\", or an object such as {rate: 64KiB/s, direction: response}";

    fn short_schema() -> Schema {
        shape::rate_text()
    }
}

/// A bound on speed; on HTTP of the body, on TCP of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttle {
    /// At most so many bytes per second.
    pub rate: ByteRate,
    /// `None` bounds both directions, each on its own.
    pub direction: Option<Phase>,
}

pub(super) fn check(path: &str, spec: &Written<ThrottleSpec>, report: &mut Report) -> Option<Throttle> {
    let (path, rate, direction) = match spec {
        Written::Short(rate) => (path.to_owned(), rate, None),
        Written::Full(full) => {
            let direction = full.direction.as_deref();
            let direction = direction.and_then(|text| report.word(&format!("{path}.direction"), text, &PHASES));
            let (path, rate) =
                required(&format!("{path}.rate"), full.rate.as_ref(), "write a rate such as 64KiB/s", report)?;
            (path, rate, direction)
        }
    };
    let rate = rate.to_string().parse().map_err(|error| report.add_unit(&path, error)).ok()?;
    Some(Throttle { rate, direction })
}
