//! `delay`: added latency.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use super::latency::{self, ExponentialSpec, Latency, LogNormalSpec, NormalSpec, ParetoSpec, UniformSpec};
use crate::report::Report;
use crate::shape;
use crate::units::format_duration;
use crate::written::{Full, Scalar, Written};

/// Latency: exactly one distribution, which half it is added to, and a bound.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DelaySpec {
    /// Always the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub fixed: Option<Scalar>,
    /// Any value between two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uniform: Option<UniformSpec>,
    /// Gaussian; needs `max`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normal: Option<NormalSpec>,
    /// Log-normal, the usual shape of real latency; needs `max`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lognormal: Option<LogNormalSpec>,
    /// Exponential; needs `max`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exponential: Option<ExponentialSpec>,
    /// Pareto, with a heavy tail; needs `max`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pareto: Option<ParetoSpec>,
    /// As measured, such as {p50: 10ms, p99: 2s}; needs `max` or p100.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub quantiles: Option<BTreeMap<String, Scalar>>,
    /// A floor: the answer comes no earlier than so long after the request (HTTP).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub at_least: Option<Scalar>,
    /// The answer takes so many times as long as the upstream took, such as 3 (HTTP); needs `max`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::positive")]
    pub multiply: Option<Scalar>,
    /// `request` (the default): before the upstream sees it. `response`: before the client sees the answer. `connect`:
    /// once, before a new connection is taken note of (TCP).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::delay_point")]
    pub on: Option<String>,
    /// No drawn latency is longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub max: Option<Scalar>,
}

impl Full for DelaySpec {
    const EXPECTED: &'static str =
        "a duration such as \"2s\", or an object such as {uniform: {min: 100ms, max: 2s}, on: response}";

    fn short_schema() -> Schema {
        shape::duration_text()
    }
}

/// Added latency.
#[derive(Clone, Debug, PartialEq)]
pub struct Delay {
    /// How much.
    pub amount: Amount,
    /// Where.
    pub on: DelayPoint,
    /// No more than this is ever added.
    pub max: Duration,
}

/// How much latency is added.
#[derive(Clone, Debug, PartialEq)]
pub enum Amount {
    /// Drawn anew for each exchange (HTTP) or for each chunk (TCP).
    Drawn(Latency),
    /// What is missing until the answer has taken so long.
    AtLeast(Duration),
    /// As much as makes the answer take so many times as long as the upstream took; above 1.
    Multiplied(f64),
}

/// Where latency is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DelayPoint {
    /// Before a new connection is taken note of (TCP).
    Connect,
    /// Before the upstream sees the request, or the bytes of downstream.
    Request,
    /// Before downstream sees the answer, or the bytes of the upstream.
    Response,
}

const POINTS: [(&str, DelayPoint); 3] =
    [("request", DelayPoint::Request), ("response", DelayPoint::Response), ("connect", DelayPoint::Connect)];

pub(super) fn check(path: &str, spec: &Written<DelaySpec>, limit: Duration, report: &mut Report) -> Option<Delay> {
    match spec {
        Written::Short(value) => {
            let fixed = report.duration(path, value)?;
            within(path, fixed, limit, report);
            Some(Delay { amount: Amount::Drawn(Latency::Fixed(fixed)), on: DelayPoint::Request, max: fixed })
        }
        Written::Full(spec) => full(path, spec, limit, report),
    }
}

fn full(path: &str, spec: &DelaySpec, limit: Duration, report: &mut Report) -> Option<Delay> {
    let on = spec.on.as_deref().and_then(|text| report.word(&format!("{path}.on"), text, &POINTS));
    let max = spec.max.as_ref().and_then(|value| report.positive_duration(&format!("{path}.max"), value));
    if let Some(max) = max {
        within(&format!("{path}.max"), max, limit, report);
    }
    let amount = one_amount(path, spec, report)?;
    let max = match bound(path, &amount) {
        Some((path, bound)) => {
            within(&path, bound, limit, report);
            max.unwrap_or(bound)
        }
        None => {
            let hint = "write max: 10s beside it, so that no draw takes longer";
            report.required(&format!("{path}.max"), spec.max.as_ref(), hint)?;
            max?
        }
    };
    if let (false, Some(on)) = (matches!(amount, Amount::Drawn(_)), on.filter(|on| *on != DelayPoint::Response)) {
        let word = POINTS.iter().find(|(_, point)| *point == on).map_or("", |(word, _)| word);
        report.add(format!("{path}.on"), format!("how long an answer takes is not known on {word}"), "remove it");
    }
    let usual = if matches!(amount, Amount::Drawn(_)) { DelayPoint::Request } else { DelayPoint::Response };
    Some(Delay { amount, on: on.unwrap_or(usual), max })
}

/// The longest that can be drawn and where it is written, where that follows from what is written.
fn bound(path: &str, amount: &Amount) -> Option<(String, Duration)> {
    match amount {
        Amount::AtLeast(floor) => Some((format!("{path}.at_least"), *floor)),
        Amount::Drawn(Latency::Fixed(fixed)) => Some((format!("{path}.fixed"), *fixed)),
        Amount::Drawn(Latency::Uniform { max, .. }) => Some((format!("{path}.uniform.max"), *max)),
        Amount::Drawn(Latency::Quantiles(table)) => Some((format!("{path}.quantiles"), table.at(1.0))),
        Amount::Drawn(_) | Amount::Multiplied(_) => None,
    }
}

/// Refuses what is longer than any delay may be.
pub(super) fn within(path: &str, duration: Duration, limit: Duration, report: &mut Report) {
    if duration > limit {
        let detail = format!("{} exceeds limits.delay_max {}", format_duration(duration), format_duration(limit));
        report.add(path, detail, "write a shorter one, or raise limits.delay_max");
    }
}

/// The amount, when there is exactly one and it is well-formed.
fn one_amount(path: &str, spec: &DelaySpec, report: &mut Report) -> Option<Amount> {
    let written = [
        ("fixed", spec.fixed.is_some()),
        ("uniform", spec.uniform.is_some()),
        ("normal", spec.normal.is_some()),
        ("lognormal", spec.lognormal.is_some()),
        ("exponential", spec.exponential.is_some()),
        ("pareto", spec.pareto.is_some()),
        ("quantiles", spec.quantiles.is_some()),
        ("at_least", spec.at_least.is_some()),
        ("multiply", spec.multiply.is_some()),
    ];
    let written: Vec<&str> = written.iter().filter(|(_, is_written)| *is_written).map(|(name, _)| *name).collect();
    match written.as_slice() {
        [] => report.add(path, "it says no latency", format!("write {}", DelaySpec::EXPECTED)),
        [_] => return amount(path, spec, report),
        several => report.add(path, format!("{} exclude each other", several.join(" and ")), "keep one"),
    }
    None
}

fn amount(path: &str, spec: &DelaySpec, report: &mut Report) -> Option<Amount> {
    if let Some(floor) = &spec.at_least {
        return report.positive_duration(&format!("{path}.at_least"), floor).map(Amount::AtLeast);
    }
    let Some(factor) = &spec.multiply else { return drawn(path, spec, report).map(Amount::Drawn) };
    let number = factor.to_string().parse::<f64>().ok().filter(|factor| factor.is_finite() && *factor > 1.0);
    if number.is_none() {
        report.add(format!("{path}.multiply"), format!("{factor} is not a number above 1"), "write one such as 3");
    }
    number.map(Amount::Multiplied)
}

fn drawn(path: &str, spec: &DelaySpec, report: &mut Report) -> Option<Latency> {
    let at = |kind: &str| format!("{path}.{kind}");
    if let Some(fixed) = &spec.fixed {
        return report.duration(&at("fixed"), fixed).map(Latency::Fixed);
    }
    if let Some(uniform) = &spec.uniform {
        return uniform.check(&at("uniform"), report);
    }
    if let Some(normal) = &spec.normal {
        return normal.check(&at("normal"), report);
    }
    if let Some(lognormal) = &spec.lognormal {
        return lognormal.check(&at("lognormal"), report);
    }
    if let Some(exponential) = &spec.exponential {
        return exponential.check(&at("exponential"), report);
    }
    if let Some(pareto) = &spec.pareto {
        return pareto.check(&at("pareto"), report);
    }
    let quantiles = spec.quantiles.as_ref()?;
    latency::quantiles(path, quantiles, spec.max.as_ref(), report).map(Latency::Quantiles)
}
