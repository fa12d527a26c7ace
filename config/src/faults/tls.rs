//! `tls`: a handshake that goes wrong.

use std::time::Duration;

use schemars::{JsonSchema, Schema, json_schema};
use serde::{Deserialize, Serialize};

use super::delay::within;
use crate::report::Report;
use crate::shape;
use crate::written::{Full, Scalar, Written};

/// A handshake that goes wrong, on a listener where TLS ends.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object such as {handshake: stall} or {certificate: expired}")]
#[schemars(extend("minProperties" = 1))]
pub struct TlsFaultSpec {
    /// `stall`: what the client sent is never answered. `alert`: it is answered with handshake_failure.
    /// `{slow: 2s}`: it is answered late.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handshake: Option<Written<HandshakeFaultSpec>>,
    /// The client is shown a certificate of an authority that nobody knows, which is otherwise right (`untrusted`), whose
    /// time is over (`expired`), or which is for another name (`wrong_name`).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::wrong_certificate")]
    pub certificate: Option<String>,
}

/// What becomes of a handshake.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["slow"]))]
pub struct HandshakeFaultSpec {
    /// It goes on after this long.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub slow: Option<Scalar>,
}

impl Full for HandshakeFaultSpec {
    const EXPECTED: &'static str = "stall, alert, or an object such as {slow: 2s}";

    fn short_schema() -> Schema {
        json_schema!({ "type": "string", "enum": ["stall", "alert"] })
    }
}

/// A handshake that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFault {
    /// What the client sent is not answered, for as long as the rule is on.
    Stall,
    /// It is answered with a fatal alert (handshake_failure).
    Alert,
    /// It is answered this much later, with the right certificate.
    Slow(Duration),
    /// It is answered with another certificate, this much later.
    Certificate(WrongCertificate, Duration),
}

/// What is wrong with a certificate, beside that nobody knows its issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WrongCertificate {
    /// Its time is over.
    Expired,
    /// It is for another name.
    WrongName,
    /// Nothing.
    Untrusted,
}

const CERTIFICATES: [(&str, WrongCertificate); 3] = [
    ("expired", WrongCertificate::Expired),
    ("wrong_name", WrongCertificate::WrongName),
    ("untrusted", WrongCertificate::Untrusted),
];

pub(super) fn check(path: &str, spec: &TlsFaultSpec, delay_max: Duration, report: &mut Report) -> Option<TlsFault> {
    const HINT: &str = "write handshake: stall, alert or {slow: 2s}, or certificate: expired, wrong_name or untrusted";
    if *spec == TlsFaultSpec::default() {
        report.add(path, "it says nothing", HINT);
    }
    let certificate = spec.certificate.as_deref();
    let certificate = certificate.and_then(|word| report.word(&format!("{path}.certificate"), word, &CERTIFICATES));
    let at = format!("{path}.handshake");
    let slow = match &spec.handshake {
        None => Duration::ZERO,
        Some(Written::Full(spec)) => slow(&format!("{at}.slow"), spec, delay_max, report)?,
        Some(Written::Short(word)) => {
            let words = [("stall", TlsFault::Stall), ("alert", TlsFault::Alert)];
            let fault = report.word(&at, &word.to_string(), &words)?;
            if spec.certificate.is_some() {
                report.add(&at, "the handshake ends before a certificate is shown", "keep one of them");
            }
            return Some(fault);
        }
    };
    match certificate {
        Some(wrong) => Some(TlsFault::Certificate(wrong, slow)),
        None => (slow > Duration::ZERO).then_some(TlsFault::Slow(slow)),
    }
}

fn slow(path: &str, spec: &HandshakeFaultSpec, delay_max: Duration, report: &mut Report) -> Option<Duration> {
    let slow = report.required(path, spec.slow.as_ref(), "write how long, such as slow: 2s")?;
    let slow = report.positive_duration(path, slow)?;
    within(path, slow, delay_max, report);
    Some(slow)
}
