//! Guards, and the lease.

use std::time::Duration;

use crate::defaults;
use crate::model::{Bound, Condition, Guard, ListenerProtocol, Measure, Quantile, Scope, TrafficCondition};
use crate::spec::{ConditionSpec, GuardSpec, LeaseSpec, Scalar};
use crate::units::{Percentage, format_duration};

mod remote;

use super::Context;
use super::listeners::DIRECTIONS;
use super::report::Report;

/// Each is looked at several times a second.
const GUARDS_MAX: usize = 100;
/// A condition that holds for less is a moment.
const HELD_MIN: Duration = Duration::from_secs(1);
/// Whoever waits longer does not guard.
const HELD_MAX: Duration = Duration::from_secs(3600);
/// Beyond the last bucket of the histograms no quantile is known.
const LATENCY_MAX: Duration = Duration::from_secs(60);

/// What a metric is, before its bound is known.
#[derive(Clone, Copy)]
enum Kind {
    ErrorRate,
    Quantile(Quantile),
    InFlight,
    RequestRate,
}

const METRICS: [(&str, Kind); 8] = [
    ("error_rate", Kind::ErrorRate),
    ("p50", quantile("p50", 500_000)),
    ("p90", quantile("p90", 100_000)),
    ("p95", quantile("p95", 50_000)),
    ("p99", quantile("p99", 10_000)),
    ("p999", quantile("p999", 1_000)),
    ("in_flight", Kind::InFlight),
    ("request_rate", Kind::RequestRate),
];

const fn quantile(name: &'static str, beyond_ppm: u32) -> Kind {
    match Percentage::from_ppm(beyond_ppm) {
        Some(beyond) => Kind::Quantile(Quantile { name, beyond }),
        None => panic!("a share"),
    }
}

pub(crate) fn guards(specs: &[GuardSpec], context: &Context<'_>, report: &mut Report) -> Vec<Guard> {
    report.unique("guards", specs.iter().map(|spec| spec.name.as_str()));
    if specs.len() > GUARDS_MAX {
        report.add("guards", format!("{} guards are too many", specs.len()), format!("write at most {GUARDS_MAX}"));
    }
    let mut guards = Vec::with_capacity(specs.len());
    for (index, spec) in specs.iter().enumerate() {
        let before = report.count();
        guards.extend(guard(&format!("guards[{index}]"), spec, context, report));
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
    let condition = report.required(&at, spec.condition.as_ref(), HINT)?;
    let kind = kind(&at, condition, report)?;
    fields_of_kind(&at, condition, kind, report);
    if kind != "prometheus" {
        for (field, _) in [("blind", spec.blind.is_some()), ("blind_after", spec.blind_after.is_some())]
            .into_iter()
            .filter(|(_, is_written)| *is_written)
        {
            report.add(format!("{path}.{field}"), "only a guard that asks Prometheus can be blind", "remove it");
        }
    }
    let condition = match kind {
        "prometheus" => remote::query(&at, (path, spec), condition, report).map(Condition::Query),
        "probe" => remote::probe(&at, condition, report).map(Condition::Probe),
        _ => traffic(&at, condition, context, report).map(Condition::Traffic),
    };
    Some(Guard { name: name?, condition: condition? })
}

/// What kind of condition it is: the one of three fields that is written.
fn kind(path: &str, spec: &ConditionSpec, report: &mut Report) -> Option<&'static str> {
    const HINT: &str = "write one of metric (of the traffic), prometheus (with query) and probe";
    let kinds =
        [("metric", spec.metric.is_some()), ("prometheus", spec.prometheus.is_some()), ("probe", spec.probe.is_some())];
    let written: Vec<&'static str> = kinds.into_iter().filter(|(_, is)| *is).map(|(kind, _)| kind).collect();
    match written[..] {
        [kind] => Some(kind),
        [] if spec.query.is_some() => {
            report.add(format!("{path}.prometheus"), "missing", "write whom to ask, such as http://127.0.0.1:9090");
            None
        }
        [] => {
            report.add(path, "it says nothing of what to look at", HINT);
            None
        }
        _ => {
            report.add(path, format!("{} exclude each other", written.join(" and ")), "write two guards");
            None
        }
    }
}

/// Notes fields that mean nothing in this kind of condition.
fn fields_of_kind(path: &str, spec: &ConditionSpec, kind: &str, report: &mut Report) {
    let ConditionSpec { metric: _, prometheus: _, probe: _, above, below, held_for, .. } = spec;
    let fields = [
        ("direction", spec.direction.is_some(), &["metric"][..]),
        ("listener", spec.listener.is_some(), &["metric"]),
        ("cluster", spec.cluster.is_some(), &["metric"]),
        ("minimum_requests", spec.minimum_requests.is_some(), &["metric"]),
        ("above", above.is_some(), &["metric", "prometheus"]),
        ("below", below.is_some(), &["metric", "prometheus"]),
        ("for", held_for.is_some(), &["metric", "prometheus"]),
        ("query", spec.query.is_some(), &["prometheus"]),
        ("status", spec.status.is_some(), &["probe"]),
        ("failures", spec.failures.is_some(), &["probe"]),
        ("every", spec.every.is_some(), &["prometheus", "probe"]),
        ("timeout", spec.timeout.is_some(), &["prometheus", "probe"]),
        ("token_file", spec.token_file.is_some(), &["prometheus", "probe"]),
        ("ca", spec.ca.is_some(), &["prometheus", "probe"]),
    ];
    for (field, _, kinds) in fields.into_iter().filter(|(_, is_written, kinds)| *is_written && !kinds.contains(&kind)) {
        let hint = format!("remove it; it belongs beside {}", kinds.join(" or "));
        report.add(format!("{path}.{field}"), format!("it means nothing beside {kind}"), hint);
    }
}

fn traffic(path: &str, spec: &ConditionSpec, context: &Context<'_>, report: &mut Report) -> Option<TrafficCondition> {
    let at = |field: &str| format!("{path}.{field}");
    let hint = format!("write one of {}", METRICS.map(|(name, _)| name).join(", "));
    let metric = report.required(&at("metric"), spec.metric.as_ref(), &hint);
    let kind = metric.and_then(|metric| report.word(&at("metric"), metric, &METRICS));
    let scope = scope(path, spec, context, report);
    let held_for = held_for(&at("for"), spec.held_for.as_ref(), report);
    let measure = measure(path, spec, kind?, report);
    Some(TrafficCondition { scope: scope?, measure: measure?, held_for: held_for? })
}

fn scope(path: &str, spec: &ConditionSpec, context: &Context<'_>, report: &mut Report) -> Option<Scope> {
    let at = |field: &str| format!("{path}.{field}");
    let before = report.count();
    let direction = spec.direction.as_deref().and_then(|text| report.word(&at("direction"), text, &DIRECTIONS));
    if let Some(name) = &spec.listener {
        report.reference(&at("listener"), "listener", name, &context.listener_names);
        let found = context.listeners.iter().find(|listener| listener.name.as_str() == name);
        if found.is_some_and(|listener| listener.protocol == ListenerProtocol::Tcp) {
            let detail = format!("listener {name:?} relays bytes, and this is a metric of HTTP");
            report.add(at("listener"), detail, "name a listener with protocol http or auto");
        }
        if let (Some(only), Some(found)) = (direction, found.filter(|found| direction != Some(found.direction))) {
            let detail = format!("listener {name:?} is {}, not {}", found.direction.as_str(), only.as_str());
            report.add(at("direction"), detail, "remove it: a listener has one direction");
        }
    }
    if let Some(name) = &spec.cluster {
        report.reference(&at("cluster"), "cluster", name, &context.cluster_names);
    }
    let named = |name: &Option<String>| name.as_ref().and_then(|name| crate::model::Name::new(name).ok());
    let scope = Scope { direction, listener: named(&spec.listener), cluster: named(&spec.cluster) };
    (report.count() == before).then_some(scope)
}

fn held_for(path: &str, value: Option<&Scalar>, report: &mut Report) -> Option<Duration> {
    let value = report.required(path, value, "write how long without a break is too long, such as 60s")?;
    let held_for = report.duration(path, value)?;
    if !(HELD_MIN..=HELD_MAX).contains(&held_for) {
        let detail = format!("{} is not between 1s and 1h", format_duration(held_for));
        report.add(path, detail, "write a duration from 1s to 1h");
        return None;
    }
    Some(held_for)
}

fn measure(path: &str, spec: &ConditionSpec, kind: Kind, report: &mut Report) -> Option<Measure> {
    let at = |field: &str| format!("{path}.{field}");
    let minimum = |report: &mut Report| {
        let bounds = (1, usize::MAX);
        let count = report.count_or(&at("minimum_requests"), spec.minimum_requests, bounds, defaults::MINIMUM_REQUESTS);
        count as u64
    };
    match kind {
        Kind::ErrorRate => {
            let above = above(path, spec, "a percentage such as 1%", report)?;
            let above = error_rate(&at("above"), above, report);
            Some(Measure::ErrorRate { minimum_requests: minimum(report), above: above? })
        }
        Kind::Quantile(quantile) => {
            let above = above(path, spec, "a duration such as 500ms", report)?;
            let above = latency(&at("above"), above, report);
            Some(Measure::Latency { quantile, minimum_requests: minimum(report), above: above? })
        }
        Kind::InFlight => Some(Measure::InFlight(count_bound(path, spec, report)?)),
        Kind::RequestRate => Some(Measure::RequestRate(count_bound(path, spec, report)?)),
    }
}

/// The bound of a metric that only has too much.
fn above<'a>(path: &str, spec: &'a ConditionSpec, what: &str, report: &mut Report) -> Option<&'a Scalar> {
    if spec.below.is_some() {
        report.add(format!("{path}.below"), "too little of this metric is no harm", format!("write above: {what}"));
    }
    report.required(&format!("{path}.above"), spec.above.as_ref(), &format!("write {what}"))
}

fn error_rate(path: &str, value: &Scalar, report: &mut Report) -> Option<Percentage> {
    let share: Percentage = value.to_string().parse().map_err(|error| report.add_unit(path, error)).ok()?;
    if share == Percentage::NEVER || share == Percentage::ALWAYS {
        report.add(path, format!("{share} is no bound"), "write more than 0% and less than 100%");
        return None;
    }
    Some(share)
}

fn latency(path: &str, value: &Scalar, report: &mut Report) -> Option<Duration> {
    let above = report.positive_duration(path, value)?;
    if above > LATENCY_MAX {
        let detail = format!("{} is longer than what is told apart", format_duration(above));
        report.add(path, detail, "write at most 1m");
        return None;
    }
    Some(above)
}

fn count_bound(path: &str, spec: &ConditionSpec, report: &mut Report) -> Option<Bound> {
    if spec.minimum_requests.is_some() {
        let detail = "this metric needs no minimum of requests";
        report.add(format!("{path}.minimum_requests"), detail, "remove it, or use error_rate or a quantile");
    }
    let bound = bound(path, spec, report)?;
    let (field, value) = match bound {
        Bound::Above(value) => ("above", value),
        Bound::Below(value) => ("below", value),
    };
    if value < 0.0 || (bound == Bound::Below(0.0)) {
        report.add(format!("{path}.{field}"), format!("{value} is never passed"), "write a number above 0");
        return None;
    }
    Some(bound)
}

/// One of above and below, as a number.
fn bound(path: &str, spec: &ConditionSpec, report: &mut Report) -> Option<Bound> {
    const HINT: &str = "write above or below with a number, such as above: 200";
    let (field, value) = match (&spec.above, &spec.below) {
        (Some(value), None) => ("above", value),
        (None, Some(value)) => ("below", value),
        (None, None) => {
            report.add(format!("{path}.above"), "missing", HINT);
            return None;
        }
        (Some(_), Some(_)) => {
            report.add(path, "above and below exclude each other", "write two guards");
            return None;
        }
    };
    let Some(number) = value.to_string().trim().parse().ok().filter(|number: &f64| number.is_finite()) else {
        report.add(format!("{path}.{field}"), format!("{:?} is not a number", value.to_string()), HINT);
        return None;
    };
    Some(if field == "above" { Bound::Above(number) } else { Bound::Below(number) })
}
