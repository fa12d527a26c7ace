//! What holds while all is well.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::model::{Condition, Listener, ListenerProtocol, Measure, Scope, SteadyState, WhenBlind};
use crate::report::Report;
use crate::spec::SteadyStateSpec;
use crate::units::format_duration;

use super::super::conditions::{Reader, Says, condition, kind};
use super::super::context::Context;

/// Each is looked at several times a second.
const STATEMENTS_MAX: usize = 100;

pub(super) fn steady_state(
    specs: &[SteadyStateSpec],
    minimum_requests: usize,
    context: &Context<'_>,
    report: &mut Report,
) -> Vec<SteadyState> {
    const PATH: &str = "spec.steady_state";
    report.unique(PATH, specs.iter().map(|spec| spec.name.as_str()));
    match specs.len() {
        0 => report.add(PATH, "missing", "write what holds while all is well; at least one statement"),
        n if n > STATEMENTS_MAX => {
            report.add(PATH, format!("{n} statements are too many"), format!("write at most {STATEMENTS_MAX}"));
        }
        _ => {}
    }
    let mut steady_state = Vec::with_capacity(specs.len());
    for (index, spec) in specs.iter().enumerate() {
        let before = report.count();
        let path = format!("{PATH}[{index}]");
        steady_state.extend(statement(&path, spec, Says::Holds { minimum_requests }, context, report));
        if !spec.name.is_empty() {
            report.label_since(before, &format!("statement {:?}", spec.name));
        }
    }
    steady_state
}

fn statement(
    path: &str,
    spec: &SteadyStateSpec,
    says: Says,
    context: &Context<'_>,
    report: &mut Report,
) -> Option<SteadyState> {
    const HINT: &str = "write what holds, such as {metric: p99, direction: inbound, below: 500ms}";
    let name = report.name(&format!("{path}.name"), &spec.name);
    let at = format!("{path}.condition");
    let written = report.required(&at, spec.condition.as_ref(), HINT)?;
    let reader = Reader { path: &at, spec: written, says };
    let kind = kind(&reader, report)?;
    // Who gets no number does not know; whether that matters is seen when the phase is over.
    let when_blind = |_: Duration, _: &mut Report| Some(WhenBlind::Ignore);
    let broken = condition(kind, &reader, context, when_blind, report)?;
    if let Condition::Traffic(traffic) = &broken {
        can_be_seen(&at, &traffic.scope, context, report);
    }
    let restored_within = spec.restored_within.as_ref();
    let restored_within =
        restored_within.and_then(|value| report.positive_duration(&format!("{path}.restored_within"), value));
    Some(SteadyState { name: name?, statement: in_words(&broken), broken, restored_within })
}

/// Notes a part of the traffic that no listener of the configuration has: of that nothing would ever be known.
fn can_be_seen(path: &str, scope: &Scope, context: &Context<'_>, report: &mut Report) {
    let leads_to = |listener: &Listener| {
        let mut clusters = std::iter::once(&listener.cluster).chain(listener.other_clusters());
        scope.cluster.as_ref().is_none_or(|cluster| clusters.any(|other| other == cluster))
    };
    let is_seen = |listener: &Listener| {
        listener.protocol != ListenerProtocol::Tcp
            && scope.direction.is_none_or(|direction| direction == listener.direction)
            && scope.listener.as_ref().is_none_or(|name| *name == listener.name)
            && leads_to(listener)
    };
    let all_are_known = context.is_known && context.listeners.len() == context.listener_names.len();
    if all_are_known && !context.listeners.iter().any(is_seen) {
        let detail = format!("no listener of the configuration has HTTP traffic{}", of(scope));
        report.add(path, detail, "look at other traffic, or add such a listener with protocol http or auto");
    }
}

/// The scope, where there is one.
fn of(scope: &Scope) -> String {
    match scope.direction {
        Some(direction) => {
            let rest = Scope { direction: None, ..scope.clone() };
            format!(" that is {}{rest}", direction.as_str())
        }
        None => scope.to_string(),
    }
}

/// What holds, given what must not be.
fn in_words(broken: &Condition) -> String {
    match broken {
        Condition::Traffic(traffic) => {
            let holds = match &traffic.measure {
                Measure::ErrorRate { above, .. } => format!("below {above}"),
                Measure::Latency { above, .. } => format!("below {}", format_duration(*above)),
                Measure::InFlight(bound) | Measure::RequestRate(bound) => bound.opposite().to_string(),
            };
            format!("{}{} {holds}", traffic.measure.as_str(), traffic.scope)
        }
        Condition::Query(query) => format!("{} {}", query.query, query.bound.opposite()),
        Condition::Probe(probe) => {
            let range = |range: &RangeInclusive<u16>| match range.start() == range.end() {
                true => range.start().to_string(),
                false => format!("{}-{}", range.start(), range.end()),
            };
            let statuses: Vec<String> = probe.statuses.iter().map(range).collect();
            format!("{} answers {}", probe.target, statuses.join(","))
        }
    }
}
