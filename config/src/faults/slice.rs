//! `slice`: a stream in small pieces.

use std::num::NonZeroU64;
use std::time::Duration;

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use super::phase::{PHASES, Phase, required};
use crate::report::Report;
use crate::shape;
use crate::units::format_duration;
use crate::written::{Full, Scalar, Written};

/// A stream in small pieces.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["size"]))]
pub struct SliceSpec {
    /// The size of a piece, such as 64B.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::bytes")]
    pub size: Option<Scalar>,
    /// Each piece is larger or smaller by up to this much. Default 0; less than `size`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::bytes")]
    pub variation: Option<Scalar>,
    /// The time from one piece to the next, at most a minute. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub every: Option<Scalar>,
    /// `request` (to the upstream) or `response` (from it). Default: both.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::phase")]
    pub direction: Option<String>,
}

impl Full for SliceSpec {
    const EXPECTED: &'static str = "a size such as 64B, or an object such as {size: 64B, variation: 32B, every: 10ms}";

    fn short_schema() -> Schema {
        shape::bytes_any()
    }
}

/// A stream in small pieces, each written by a system call of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The middle of the sizes.
    pub size: NonZeroU64,
    /// Below `size`.
    pub variation: u64,
    /// From one piece to the next.
    pub every: Duration,
    /// `None` slices both directions.
    pub direction: Option<Phase>,
}

const EVERY_MAX: Duration = Duration::from_secs(60);

pub(super) fn check(path: &str, spec: &Written<SliceSpec>, report: &mut Report) -> Option<Slice> {
    let spec = match spec {
        Written::Short(size) => {
            let size = report.positive_bytes(path, size)?;
            return Some(Slice { size, variation: 0, every: Duration::ZERO, direction: None });
        }
        Written::Full(spec) => spec,
    };
    let at = |field: &str| format!("{path}.{field}");
    let size = required(&at("size"), spec.size.as_ref(), "write a size such as 64B", report);
    let size = size.and_then(|(path, size)| report.positive_bytes(&path, size));
    let variation = spec.variation.as_ref().and_then(|value| report.bytes(&at("variation"), value)).unwrap_or(0);
    let every = spec.every.as_ref().and_then(|value| report.duration(&at("every"), value)).unwrap_or_default();
    let direction = spec.direction.as_deref().and_then(|text| report.word(&at("direction"), text, &PHASES));
    if size.is_some_and(|size| variation >= size.get()) {
        report.add(at("variation"), "pieces could be empty", "write less than size");
    }
    if every > EVERY_MAX {
        let detail = format!("{} is longer than a minute", format_duration(every));
        report.add(at("every"), detail, "lower it, or use stall");
    }
    Some(Slice { size: size?, variation, every, direction })
}
