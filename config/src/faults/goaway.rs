//! `goaway`: the connection goes away; and the error codes of HTTP/2.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::switch;
use crate::report::Report;
use crate::written::{Full, Scalar, Written};

/// The connection goes away.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct GoawaySpec {
    /// An error code of HTTP/2, such as ENHANCE_YOUR_CALM. Default NO_ERROR, after which streams finish.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "code_schema")]
    pub code: Option<Scalar>,
}

impl Full for GoawaySpec {
    const EXPECTED: &'static str = "true, or an error code of HTTP/2 such as ENHANCE_YOUR_CALM";

    fn short_schema() -> Schema {
        json_schema!({ "anyOf": [{ "type": "boolean", "const": true }, { "type": "string", "enum": NAMES }] })
    }
}

/// The connection goes away. Its other streams are hit by that: this is the one fault that is not of one exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Goaway {
    /// NO_ERROR lets what has begun finish.
    pub code: Http2Code,
}

impl Goaway {
    /// Whether everything on the connection ends at once.
    pub(crate) fn is_abrupt(&self) -> bool {
        self.code != Http2Code::NO_ERROR
    }
}

/// An error code of HTTP/2 (RFC 9113 §7): 0 to 13.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http2Code(u32);

const NAMES: [&str; 14] = [
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
];

impl Http2Code {
    /// Nothing went wrong.
    pub const NO_ERROR: Self = Self(0);
    /// The default of an injected reset: clients silently retry REFUSED_STREAM.
    pub const INTERNAL_ERROR: Self = Self(2);

    /// The peer asks for too much.
    pub const ENHANCE_YOUR_CALM: Self = Self(11);

    /// As on the wire.
    pub fn number(self) -> u32 {
        self.0
    }
}

pub(super) fn code_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "anyOf": [{ "type": "string", "enum": NAMES }, { "type": "integer", "minimum": 0, "maximum": 13 }] })
}

/// A code by name or number.
pub(super) fn code(path: &str, value: &Scalar, report: &mut Report) -> Option<Http2Code> {
    let text = value.to_string();
    if let Some(code) = text.parse::<u32>().ok().filter(|code| *code < 14) {
        return Some(Http2Code(code));
    }
    let words: Vec<(&str, u32)> = NAMES.into_iter().zip(0..).collect();
    if text.parse::<f64>().is_ok() {
        report.add(path, format!("{text} is not an error code of HTTP/2"), "write one from 0 to 13, or its name");
        return None;
    }
    report.word(path, &text.to_ascii_uppercase(), &words).map(Http2Code)
}

pub(super) fn check(path: &str, spec: &Written<GoawaySpec>, report: &mut Report) -> Option<Goaway> {
    match spec {
        Written::Short(value @ Scalar::Text(_)) => code(path, value, report).map(|code| Goaway { code }),
        Written::Short(value) => {
            let goaway = Goaway { code: Http2Code::NO_ERROR };
            switch::on(path, value, GoawaySpec::EXPECTED, report).map(|()| goaway)
        }
        Written::Full(GoawaySpec { code: None }) => Some(Goaway { code: Http2Code::NO_ERROR }),
        Written::Full(GoawaySpec { code: Some(value) }) => {
            code(&format!("{path}.code"), value, report).map(|code| Goaway { code })
        }
    }
}
