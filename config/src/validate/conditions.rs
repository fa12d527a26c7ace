//! Conditions: what guards and statements about the steady state look at.

use std::time::Duration;

use crate::model::{Condition, WhenBlind};
use crate::report::Report;
use crate::spec::ConditionSpec;

mod reader;
mod remote;
mod traffic;

use super::context::Context;

pub(crate) use reader::{Reader, Says};
pub(crate) use remote::http_url;

/// What kinds of conditions there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Metric,
    Prometheus,
    Probe,
}

impl Kind {
    /// The field that a condition of this kind has.
    fn as_str(self) -> &'static str {
        match self {
            Self::Metric => "metric",
            Self::Prometheus => "prometheus",
            Self::Probe => "probe",
        }
    }
}

/// What kind of condition it is: the one of three fields that is written.
pub(crate) fn kind(reader: &Reader<'_>, report: &mut Report) -> Option<Kind> {
    const HINT: &str = "write one of metric (of the traffic), prometheus (with query) and probe";
    let spec = reader.spec;
    let kinds = [
        (Kind::Metric, spec.metric.is_some()),
        (Kind::Prometheus, spec.prometheus.is_some()),
        (Kind::Probe, spec.probe.is_some()),
    ];
    let written: Vec<Kind> = kinds.into_iter().filter(|(_, is)| *is).map(|(kind, _)| kind).collect();
    match written[..] {
        [kind] => Some(kind),
        [] if spec.query.is_some() => {
            report.add(reader.at("prometheus"), "missing", "write whom to ask, such as http://127.0.0.1:9090");
            None
        }
        [] => {
            report.add(reader.path, "it says nothing of what to look at", HINT);
            None
        }
        _ => {
            let written: Vec<&str> = written.into_iter().map(Kind::as_str).collect();
            report.add(reader.path, format!("{} exclude each other", written.join(" and ")), reader.as_two());
            None
        }
    }
}

/// Reads a condition of this kind. `when_blind` tells what becomes of a query, asked once in that time, that gets no number.
pub(crate) fn condition(
    kind: Kind,
    reader: &Reader<'_>,
    context: &Context<'_>,
    when_blind: impl FnOnce(Duration, &mut Report) -> Option<WhenBlind>,
    report: &mut Report,
) -> Option<Condition> {
    fields_of_kind(reader, kind, report);
    match kind {
        Kind::Metric => traffic::traffic(reader, context, report).map(Condition::Traffic),
        Kind::Prometheus => remote::query(reader, when_blind, report).map(Condition::Query),
        Kind::Probe => remote::probe(reader, report).map(Condition::Probe),
    }
}

/// Notes fields that mean nothing in this kind of condition.
fn fields_of_kind(reader: &Reader<'_>, kind: Kind, report: &mut Report) {
    let ConditionSpec { metric: _, prometheus: _, probe: _, above, below, held_for, .. } = reader.spec;
    let spec = reader.spec;
    let is_guard = reader.says == Says::Broken;
    if held_for.is_some() && !is_guard {
        report.add(reader.at("for"), "a steady state is looked at over whole phases", "remove it");
    }
    let fields = [
        ("direction", spec.direction.is_some(), &["metric"][..]),
        ("listener", spec.listener.is_some(), &["metric"]),
        ("cluster", spec.cluster.is_some(), &["metric"]),
        ("minimum_requests", spec.minimum_requests.is_some(), &["metric"]),
        ("above", above.is_some(), &["metric", "prometheus"]),
        ("below", below.is_some(), &["metric", "prometheus"]),
        ("for", held_for.is_some() && is_guard, &["metric", "prometheus"]),
        ("query", spec.query.is_some(), &["prometheus"]),
        ("status", spec.status.is_some(), &["probe"]),
        ("failures", spec.failures.is_some(), &["probe"]),
        ("every", spec.every.is_some(), &["prometheus", "probe"]),
        ("timeout", spec.timeout.is_some(), &["prometheus", "probe"]),
        ("token_file", spec.token_file.is_some(), &["prometheus", "probe"]),
        ("ca", spec.ca.is_some(), &["prometheus", "probe"]),
    ];
    let kind = kind.as_str();
    for (field, _, kinds) in fields.into_iter().filter(|(_, is_written, kinds)| *is_written && !kinds.contains(&kind)) {
        let hint = format!("remove it; it belongs beside {}", kinds.join(" or "));
        report.add(reader.at(field), format!("it means nothing beside {kind}"), hint);
    }
}
