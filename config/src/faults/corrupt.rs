//! `corrupt`: bytes that arrive altered.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::phase::{PHASES, Phase, required};
use crate::report::Report;
use crate::shape;
use crate::units::Percentage;
use crate::written::{Full, Scalar, Written};

/// Bytes that arrive altered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["rate"]))]
pub struct CorruptSpec {
    /// The share of bytes of which one bit is flipped: above 0 to 100 percent, up to 4 decimals.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::percentage")]
    pub rate: Option<Scalar>,
    /// `response` (the default) or `request`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::phase")]
    pub direction: Option<String>,
}

impl Full for CorruptSpec {
    const EXPECTED: &'static str =
        "a share of bytes such as \"0.1%\", or an object such as {rate: 0.1%, direction: request}";

    fn short_schema() -> Schema {
        shape::percentage(&mut SchemaGenerator::default())
    }
}

/// Bytes that arrive altered; on HTTP those of the body, never its framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt {
    /// The share of bytes of which one bit is flipped; above 0.
    pub rate: Percentage,
    /// Which bytes.
    pub direction: Phase,
}

pub(super) fn check(path: &str, spec: &Written<CorruptSpec>, report: &mut Report) -> Option<Corrupt> {
    let (path, rate, direction) = match spec {
        Written::Short(rate) => (path.to_owned(), rate, None),
        Written::Full(full) => {
            let direction = full.direction.as_deref();
            let direction = direction.and_then(|text| report.word(&format!("{path}.direction"), text, &PHASES));
            let hint = "write the share of bytes, such as 0.1%";
            let (path, rate) = required(&format!("{path}.rate"), full.rate.as_ref(), hint, report)?;
            (path, rate, direction)
        }
    };
    let rate: Percentage = rate.to_string().parse().map_err(|error| report.add_unit(&path, error)).ok()?;
    if rate == Percentage::NEVER {
        report.add(path, "0 alters nothing", "write a share above 0, such as 0.1%");
        return None;
    }
    Some(Corrupt { rate, direction: direction.unwrap_or(Phase::Response) })
}
