//! `blackhole`: accept, and never answer.

use std::time::Duration;

use schemars::{JsonSchema, Schema, json_schema};
use serde::{Deserialize, Serialize};

use super::switch;
use crate::spec::{Full, Scalar, Written, shape};
use crate::validate::report::Report;

/// Silence.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct BlackholeSpec {
    /// The connection is closed after this long. Default: when the client gives up or the rule ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub max: Option<Scalar>,
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
    /// The connection is closed after this long; `None` holds it until the client gives up, the rule ends or halt.
    pub max: Option<Duration>,
}

pub(super) fn check(path: &str, spec: &Written<BlackholeSpec>, report: &mut Report) -> Option<Blackhole> {
    match spec {
        Written::Short(value) => {
            switch::on(path, value, BlackholeSpec::EXPECTED, report).map(|()| Blackhole { max: None })
        }
        Written::Full(BlackholeSpec { max }) => {
            let max = max.as_ref().and_then(|value| report.positive_duration(&format!("{path}.max"), value));
            Some(Blackhole { max })
        }
    }
}
