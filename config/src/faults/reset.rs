//! `reset`: a broken connection or stream.

use std::time::Duration;

use schemars::{JsonSchema, Schema, json_schema};
use serde::{Deserialize, Serialize};

use super::goaway::{Http2Code, code, code_schema};
use super::phase::{PHASES, Phase};
use super::switch;
use crate::report::Report;
use crate::shape;
use crate::written::{Full, Scalar, Written};

/// A broken connection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ResetSpec {
    /// `request` (the default): before the upstream is called. `response`: in its answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::phase")]
    pub on: Option<String>,
    /// So many bytes of the body pass first. Default 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::bytes")]
    pub after_bytes: Option<Scalar>,
    /// What comes within this time passes first; counted from the head of an answer, or from the connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub after: Option<Scalar>,
    /// So long after the first byte, or the end, that comes in the direction of `on` (TCP). It does not pass any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub after_data: Option<Scalar>,
    /// The error code of an HTTP/2 stream that is reset. Default INTERNAL_ERROR.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "code_schema")]
    pub code: Option<Scalar>,
}

impl Full for ResetSpec {
    const EXPECTED: &'static str = "true, or an object such as {on: response, after_bytes: 64KiB}";

    fn short_schema() -> Schema {
        json_schema!({ "type": "boolean", "const": true })
    }
}

/// A broken connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reset {
    /// When.
    pub moment: ResetMoment,
    /// The error code of an HTTP/2 stream.
    pub code: Http2Code,
}

/// When a reset comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetMoment {
    /// Before the upstream is called.
    Request,
    /// In the upstream's answer, after so many bytes of its body; 0 resets before the head.
    Response {
        /// What passes first.
        after_bytes: u64,
    },
    /// So long after the head of the answer (HTTP) or the beginning of the connection (TCP).
    After(Duration),
    /// So long after the first byte, or the end, of a direction comes in; it does not pass. TCP only.
    AfterData {
        /// Which direction.
        on: Phase,
        /// How long after; zero resets at once.
        time: Duration,
    },
}

impl Reset {
    /// Whether it comes before the upstream is called.
    pub(crate) fn is_at_once(&self) -> bool {
        self.moment == ResetMoment::Request
    }
}

pub(super) fn check(path: &str, spec: &Written<ResetSpec>, report: &mut Report) -> Option<Reset> {
    let spec = match spec {
        Written::Short(value) => {
            let reset = Reset { moment: ResetMoment::Request, code: Http2Code::INTERNAL_ERROR };
            return switch::on(path, value, ResetSpec::EXPECTED, report).map(|()| reset);
        }
        Written::Full(spec) => spec,
    };
    let code = match &spec.code {
        None => Some(Http2Code::INTERNAL_ERROR),
        Some(value) => code(&format!("{path}.code"), value, report),
    };
    Some(Reset { moment: moment(path, spec, report)?, code: code? })
}

fn moment(path: &str, spec: &ResetSpec, report: &mut Report) -> Option<ResetMoment> {
    let on = spec.on.as_deref().and_then(|text| report.word(&format!("{path}.on"), text, &PHASES));
    let bytes_path = format!("{path}.after_bytes");
    let after_bytes = spec.after_bytes.as_ref().and_then(|value| report.bytes(&bytes_path, value));
    if let Some(time) = &spec.after_data {
        let on = on.unwrap_or(Phase::Request);
        return after_data(path, spec, time, report).map(|time| ResetMoment::AfterData { on, time });
    }
    if let Some(after) = &spec.after {
        if spec.after_bytes.is_some() || spec.on.is_some() {
            report.add(path, "after excludes on and after_bytes", "keep one of them");
        }
        return report.positive_duration(&format!("{path}.after"), after).map(ResetMoment::After);
    }
    let after_bytes = after_bytes.unwrap_or(0);
    match on {
        Some(Phase::Request) if after_bytes > 0 => {
            report.add(
                bytes_path,
                "bytes of the answer cannot pass before the upstream is called",
                "write on: response",
            );
            None
        }
        // Bytes that pass first are bytes of an answer, unless it says otherwise.
        None if after_bytes == 0 => Some(ResetMoment::Request),
        Some(Phase::Request) => Some(ResetMoment::Request),
        Some(Phase::Response) | None => Some(ResetMoment::Response { after_bytes }),
    }
}

fn after_data(path: &str, spec: &ResetSpec, time: &Scalar, report: &mut Report) -> Option<Duration> {
    if spec.after.is_some() || spec.after_bytes.is_some() {
        report.add(path, "after_data excludes after and after_bytes", "keep one of them");
    }
    if spec.code.is_some() {
        let detail = "an error code is for streams of HTTP/2, but after_data is only for TCP";
        report.add(format!("{path}.code"), detail, "remove it: on TCP a reset is an RST");
    }
    report.duration(&format!("{path}.after_data"), time)
}
