//! `duplicate`: the upstream gets the request twice.

use std::time::Duration;

use schemars::{JsonSchema, Schema, json_schema};
use serde::{Deserialize, Serialize};

use super::delay::within;
use super::switch;
use crate::report::Report;
use crate::shape;
use crate::written::{Full, Scalar, Written};

/// The upstream gets the request twice.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DuplicateSpec {
    /// The second comes so much later. Default: at the same time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub after: Option<Scalar>,
}

impl Full for DuplicateSpec {
    const EXPECTED: &'static str = "true, or an object such as {after: 500ms}";

    fn short_schema() -> Schema {
        json_schema!({ "type": "boolean", "const": true })
    }
}

/// The upstream gets the request twice; downstream gets the answer to the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// The second comes so much later; zero sends both at once.
    pub after: Duration,
}

pub(super) fn check(
    path: &str,
    spec: &Written<DuplicateSpec>,
    delay_max: Duration,
    report: &mut Report,
) -> Option<Duplicate> {
    match spec {
        Written::Short(value) => {
            switch::on(path, value, DuplicateSpec::EXPECTED, report).map(|()| Duplicate { after: Duration::ZERO })
        }
        Written::Full(DuplicateSpec { after }) => {
            let path = format!("{path}.after");
            let after = after.as_ref().and_then(|value| report.duration(&path, value)).unwrap_or_default();
            within(&path, after, delay_max, report);
            Some(Duplicate { after })
        }
    }
}
