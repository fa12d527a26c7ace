//! Conditions on the HTTP traffic that goes through Squall.

use std::time::Duration;

use crate::defaults;
use crate::model::{Bound, ListenerProtocol, Measure, Name, Quantile, Scope, TrafficCondition};
use crate::report::Report;
use crate::spec::Scalar;
use crate::units::{Percentage, format_duration};

use super::super::context::Context;
use super::super::texts::DIRECTIONS;
use super::reader::{Reader, Says};

/// Beyond the last bucket of the histograms no quantile is known.
const LATENCY_MAX: Duration = Duration::from_secs(60);

/// What a metric is, before its bound is known.
#[derive(Clone, Copy)]
enum Metric {
    ErrorRate,
    Quantile(Quantile),
    InFlight,
    RequestRate,
}

const METRICS: [(&str, Metric); 8] = [
    ("error_rate", Metric::ErrorRate),
    ("p50", quantile("p50", 500_000)),
    ("p90", quantile("p90", 100_000)),
    ("p95", quantile("p95", 50_000)),
    ("p99", quantile("p99", 10_000)),
    ("p999", quantile("p999", 1_000)),
    ("in_flight", Metric::InFlight),
    ("request_rate", Metric::RequestRate),
];

const fn quantile(name: &'static str, beyond_ppm: u32) -> Metric {
    match Percentage::from_ppm(beyond_ppm) {
        Some(beyond) => Metric::Quantile(Quantile { name, beyond }),
        None => panic!("a share"),
    }
}

pub(super) fn traffic(reader: &Reader<'_>, context: &Context<'_>, report: &mut Report) -> Option<TrafficCondition> {
    let hint = format!("write one of {}", METRICS.map(|(name, _)| name).join(", "));
    let metric = report.required(&reader.at("metric"), reader.spec.metric.as_ref(), &hint);
    let metric = metric.and_then(|metric| report.word(&reader.at("metric"), metric, &METRICS));
    let scope = scope(reader, context, report);
    let held_for = reader.held_for(report);
    let measure = measure(reader, metric?, report);
    Some(TrafficCondition { scope: scope?, measure: measure?, held_for: held_for? })
}

fn scope(reader: &Reader<'_>, context: &Context<'_>, report: &mut Report) -> Option<Scope> {
    let (spec, before) = (reader.spec, report.count());
    let direction = spec.direction.as_deref().and_then(|text| report.word(&reader.at("direction"), text, &DIRECTIONS));
    if let Some(name) = &spec.listener {
        context.listener(&reader.at("listener"), name, report);
        let found = context.listeners.iter().find(|listener| listener.name.as_str() == name);
        if found.is_some_and(|listener| listener.protocol == ListenerProtocol::Tcp) {
            let detail = format!("listener {name:?} relays bytes, and this is a metric of HTTP");
            report.add(reader.at("listener"), detail, "name a listener with protocol http or auto");
        }
        if let (Some(only), Some(found)) = (direction, found.filter(|found| direction != Some(found.direction))) {
            let detail = format!("listener {name:?} is {}, not {}", found.direction.as_str(), only.as_str());
            report.add(reader.at("direction"), detail, "remove it: a listener has one direction");
        }
    }
    if let Some(name) = &spec.cluster {
        context.cluster(&reader.at("cluster"), name, report);
    }
    let named = |name: &Option<String>| name.as_ref().and_then(|name| Name::new(name).ok());
    let scope = Scope { direction, listener: named(&spec.listener), cluster: named(&spec.cluster) };
    (report.count() == before).then_some(scope)
}

fn measure(reader: &Reader<'_>, metric: Metric, report: &mut Report) -> Option<Measure> {
    let (field, _) = reader.too_much();
    match metric {
        Metric::ErrorRate => {
            let above = too_much(reader, "a percentage", "1%", report)?;
            let above = error_rate(&reader.at(field), above, report);
            Some(Measure::ErrorRate { minimum_requests: minimum_requests(reader, report), above: above? })
        }
        Metric::Quantile(quantile) => {
            let above = too_much(reader, "a duration", "500ms", report)?;
            let above = latency(&reader.at(field), above, report);
            Some(Measure::Latency { quantile, minimum_requests: minimum_requests(reader, report), above: above? })
        }
        Metric::InFlight => Some(Measure::InFlight(count_bound(reader, report)?)),
        Metric::RequestRate => Some(Measure::RequestRate(count_bound(reader, report)?)),
    }
}

fn minimum_requests(reader: &Reader<'_>, report: &mut Report) -> u64 {
    let usual = match reader.says {
        Says::Broken => defaults::MINIMUM_REQUESTS,
        Says::Holds { minimum_requests } => minimum_requests,
    };
    let written = reader.spec.minimum_requests;
    report.count_or(&reader.at("minimum_requests"), written, 1..=usize::MAX, usual) as u64
}

/// The bound of a metric that only has too much.
fn too_much<'a>(reader: &Reader<'a>, what: &str, such_as: &str, report: &mut Report) -> Option<&'a Scalar> {
    let ((field, value), (other, unwanted)) = (reader.too_much(), reader.too_little());
    if unwanted.is_some() {
        let detail = match reader.says {
            Says::Broken => "too little of this metric is no harm",
            Says::Holds { .. } => "much of this metric is no steady state",
        };
        report.add(reader.at(other), detail, format!("write {field}: {what} such as {such_as}"));
    }
    report.required(&reader.at(field), value, &format!("write {what} such as {such_as}"))
}

fn error_rate(path: &str, value: &Scalar, report: &mut Report) -> Option<Percentage> {
    let share = report.percentage(path, value)?;
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

fn count_bound(reader: &Reader<'_>, report: &mut Report) -> Option<Bound> {
    if reader.spec.minimum_requests.is_some() {
        let detail = "this metric needs no minimum of requests";
        report.add(reader.at("minimum_requests"), detail, "remove it, or use error_rate or a quantile");
    }
    let bound = reader.bound(report)?;
    let ((field, _), value) = match bound {
        Bound::Above(value) => (reader.too_much(), value),
        Bound::Below(value) => (reader.too_little(), value),
    };
    // A guard may say that any at all are too many.
    let can_be_passed = value > 0.0 || (bound == Bound::Above(0.0) && reader.says == Says::Broken);
    if !can_be_passed {
        report.add(reader.at(field), format!("{value} is never passed"), "write a number above 0");
        return None;
    }
    Some(bound)
}
