//! What is expected of the requests whose calls were faulted.

use http::{HeaderName, HeaderValue};

use crate::model::{Expect, Fallback};
use crate::spec::{ExpectSpec, FallbackSpec};
use crate::units::Percentage;

use crate::report::Report;

/// What is expected when nothing is written.
pub(super) const NOTHING_HARMED: Expect =
    Expect { harmed: Percentage::NEVER, stop_on_harm: true, amplification: None, unsafe_retries: true };

pub(super) fn expect(spec: &ExpectSpec, report: &mut Report) -> Option<Expect> {
    let harmed = match &spec.harmed {
        None => Some(NOTHING_HARMED.harmed),
        Some(value) => report.percentage("spec.expect.harmed", value),
    };
    if let Some(calls) = spec.amplification.filter(|calls| !(calls.is_finite() && *calls >= 1.0)) {
        let hint = "write a number from 1 on, such as 3; 1 is as many calls as without a fault";
        report.add("spec.expect.amplification", format!("{calls} is less than one call, or no number of calls"), hint);
    }
    Some(Expect {
        harmed: harmed?,
        stop_on_harm: spec.stop_on_harm.unwrap_or(NOTHING_HARMED.stop_on_harm),
        amplification: spec.amplification,
        unsafe_retries: spec.unsafe_retries.unwrap_or(NOTHING_HARMED.unsafe_retries),
    })
}

pub(super) fn fallback(spec: &FallbackSpec, report: &mut Report) -> Option<Fallback> {
    let header = header(&spec.header, report);
    let value = match &spec.value {
        None => None,
        Some(text) => Some(value(text, report)?),
    };
    Some(Fallback { header: header?, value })
}

fn header(name: &str, report: &mut Report) -> Option<HeaderName> {
    const PATH: &str = "spec.fallback.header";
    if name.is_empty() {
        report.add(PATH, "missing", "write the name of a header field, such as x-served-from");
        return None;
    }
    let wrong = |_| report.add(PATH, format!("{name:?} is not a header name"), "use letters, digits and '-'");
    HeaderName::try_from(name).map_err(wrong).ok()
}

fn value(text: &str, report: &mut Report) -> Option<HeaderValue> {
    const PATH: &str = "spec.fallback.value";
    if text.trim() != text || text.is_empty() {
        let hint = "write it without spaces around it, or remove it for any value";
        report.add(PATH, format!("no header field has the value {text:?}"), hint);
        return None;
    }
    let wrong = |_| report.add(PATH, format!("{text:?} cannot be in a header field"), "use visible ASCII characters");
    HeaderValue::try_from(text).map_err(wrong).ok()
}
