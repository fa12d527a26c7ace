//! How the share of a rule is picked.

use std::num::NonZeroU32;

use http::HeaderName;

use crate::model::{Fault, Sample, StickyKey};
use crate::report::Report;
use crate::spec::SampleSpec;

use super::meets::Meets;

const HINT: &str =
    "write one of {mode: random}, {mode: exact}, {mode: sticky, key: trace}, {first: N}, {every: N}, {attempt: N}";
const KEY_HINT: &str = "write key: trace, key: source or key: header:NAME";

#[derive(Clone, Copy)]
enum Mode {
    Random,
    Exact,
    Sticky,
}

const MODES: [(&str, Mode); 3] = [("random", Mode::Random), ("exact", Mode::Exact), ("sticky", Mode::Sticky)];

pub(crate) fn sample(path: &str, spec: &SampleSpec, report: &mut Report) -> Option<Sample> {
    let at = |field: &str| format!("{path}.{field}");
    if spec.key.is_some() && spec.mode.as_deref() != Some("sticky") {
        report.add(at("key"), "a key belongs to mode: sticky", "write mode: sticky, or remove the key");
    }
    match (spec.mode.as_deref(), spec.first, spec.every, spec.attempt) {
        (Some(mode), None, None, None) => match report.word(&at("mode"), mode, &MODES)? {
            Mode::Random => Some(Sample::Random),
            Mode::Exact => Some(Sample::Exact),
            Mode::Sticky => {
                let key = report.required(&at("key"), spec.key.as_ref(), KEY_HINT)?;
                sticky_key(&at("key"), key, report).map(Sample::Sticky)
            }
        },
        (None, Some(n), None, None) => at_least_one(&at("first"), n, report).map(Sample::First),
        (None, None, Some(n), None) => at_least_one(&at("every"), n, report).map(Sample::Every),
        (None, None, None, Some(n)) => {
            let number = NonZeroU32::new(n);
            if number.is_none() {
                report.add(at("attempt"), "there is no attempt 0", "write 1 for the first try");
            }
            number.map(Sample::Attempt)
        }
        (None, None, None, None) if spec.key.is_some() => None,
        (None, None, None, None) => {
            report.add(path, "it says nothing", HINT);
            None
        }
        _ => {
            report.add(path, "mode, first, every and attempt exclude each other", HINT);
            None
        }
    }
}

fn sticky_key(path: &str, text: &str, report: &mut Report) -> Option<StickyKey> {
    match (text, text.strip_prefix("header:")) {
        ("trace", _) => Some(StickyKey::Trace),
        ("source", _) => Some(StickyKey::Source),
        (_, Some(name)) => {
            let header = HeaderName::try_from(name.trim());
            header
                .map_err(|_| report.add(path, format!("{name:?} is not a header name"), "use letters, digits and '-'"))
                .map(StickyKey::Header)
                .ok()
        }
        _ => {
            report.add(path, format!("{text:?} is not a key"), KEY_HINT);
            None
        }
    }
}

fn at_least_one(path: &str, n: u64, report: &mut Report) -> Option<u64> {
    if n == 0 {
        report.add(path, "0 picks nothing", "write at least 1, or enabled: false");
        return None;
    }
    Some(n)
}

/// Refuses a sample that looks at requests where there are none: a connection has no traces, header fields or attempts.
pub(crate) fn without_requests(path: &str, meets: &Meets<'_>, faults: &[Fault], report: &mut Report) {
    let hint = "use key: source, or another way to pick";
    if let Some(place) = meets.only_tcp() {
        report.add(path, format!("it looks at HTTP requests, but {place}"), hint);
    } else if let Some(fault) = faults.iter().find(|fault| !fault.applies_to_http()) {
        report.add(path, format!("it looks at HTTP requests, but {} is only for TCP", fault.form()), hint);
    }
}
