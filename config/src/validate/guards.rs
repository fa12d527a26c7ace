//! Guards, and the lease.

use std::time::Duration;

use crate::defaults;
use crate::model::{Guard, WhenBlind};
use crate::report::Report;
use crate::spec::{GuardSpec, LeaseSpec};
use crate::units::format_duration;

use super::conditions::{Kind, Reader, Says, condition, kind};
use super::context::Context;

/// Each is looked at several times a second.
const GUARDS_MAX: usize = 100;

/// Those of the list at `path`.
pub(crate) fn guards(path: &str, specs: &[GuardSpec], context: &Context<'_>, report: &mut Report) -> Vec<Guard> {
    report.unique(path, specs.iter().map(|spec| spec.name.as_str()));
    if specs.len() > GUARDS_MAX {
        report.add(path, format!("{} guards are too many", specs.len()), format!("write at most {GUARDS_MAX}"));
    }
    let mut guards = Vec::with_capacity(specs.len());
    for (index, spec) in specs.iter().enumerate() {
        let before = report.count();
        guards.extend(guard(&format!("{path}[{index}]"), spec, context, report));
        if !spec.name.is_empty() {
            report.label_since(before, &format!("guard {:?}", spec.name));
        }
    }
    guards
}

pub(crate) fn lease_ttl(spec: &LeaseSpec, report: &mut Report) -> Option<Duration> {
    const PATH: &str = "lease.ttl";
    let value = report.required(PATH, spec.ttl.as_ref(), "write how long a renewal lasts, such as 30s")?;
    let ttl = report.duration(PATH, value)?;
    if !(defaults::LEASE_TTL_FLOOR..=defaults::LEASE_TTL_CEILING).contains(&ttl) {
        let detail = format!("{} is not between 1s and 1h", format_duration(ttl));
        report.add(PATH, detail, "write a duration from 1s to 1h, such as 30s");
        return None;
    }
    Some(ttl)
}

fn guard(path: &str, spec: &GuardSpec, context: &Context<'_>, report: &mut Report) -> Option<Guard> {
    const HINT: &str = "write what must not go on, such as {metric: error_rate, above: 1%, for: 60s}";
    let name = report.name(&format!("{path}.name"), &spec.name);
    let at = format!("{path}.condition");
    let written = report.required(&at, spec.condition.as_ref(), HINT)?;
    let reader = Reader { path: &at, spec: written, says: Says::Broken };
    let kind = kind(&reader, report)?;
    if kind != Kind::Prometheus {
        for (field, _) in [("blind", spec.blind.is_some()), ("blind_after", spec.blind_after.is_some())]
            .into_iter()
            .filter(|(_, is_written)| *is_written)
        {
            report.add(format!("{path}.{field}"), "only a guard that asks Prometheus can be blind", "remove it");
        }
    }
    let when_blind = |every: Duration, report: &mut Report| when_blind(path, spec, every, report);
    let condition = condition(kind, &reader, context, when_blind, report);
    Some(Guard { name: name?, condition: condition? })
}

fn when_blind(path: &str, spec: &GuardSpec, every: Duration, report: &mut Report) -> Option<WhenBlind> {
    let usual = defaults::BLIND_AFTER.max(every * 3);
    let at = format!("{path}.blind_after");
    let after = report.duration_or(&at, spec.blind_after.as_ref(), usual);
    if after < every {
        let detail = format!("{} is shorter than the time between two queries", format_duration(after));
        report.add(&at, detail, format!("write at least {}", format_duration(every)));
    }
    match spec.blind.as_deref() {
        None => Some(WhenBlind::HaltAfter(after)),
        Some(word) => {
            let words = [("halt", WhenBlind::HaltAfter(after)), ("ignore", WhenBlind::Ignore)];
            let when = report.word(&format!("{path}.blind"), word, &words)?;
            if when == WhenBlind::Ignore && spec.blind_after.is_some() {
                report.add(at, "nothing happens after it: blind is ignore", "remove it, or write blind: halt");
            }
            Some(when)
        }
    }
}
