//! Delays and their distributions.

use std::time::Duration;

use crate::model::{Delay, Latency, Phase};
use crate::spec::{DelaySpec, Full as _, Scalar, Written};
use crate::units::format_duration;

use super::faults::PHASES;
use super::report::Report;

pub(crate) fn delay(path: &str, spec: &Written<DelaySpec>, limit: Duration, report: &mut Report) -> Option<Delay> {
    match spec {
        Written::Short(value) => {
            let fixed = report.duration(path, value)?;
            within(path, fixed, limit, report);
            Some(Delay { latency: Latency::Fixed(fixed), on: Phase::Request, max: fixed })
        }
        Written::Full(spec) => full(path, spec, limit, report),
    }
}

fn full(path: &str, spec: &DelaySpec, limit: Duration, report: &mut Report) -> Option<Delay> {
    let on = spec.on.as_deref().and_then(|text| report.word(&format!("{path}.on"), text, &PHASES));
    let max = spec.max.as_ref().and_then(|value| report.positive_duration(&format!("{path}.max"), value));
    if let Some(max) = max {
        within(&format!("{path}.max"), max, limit, report);
    }
    let latency = one_latency(path, spec, report)?;
    let bound = match latency {
        Latency::Fixed(fixed) => Some((format!("{path}.fixed"), fixed)),
        Latency::Uniform { max, .. } => Some((format!("{path}.uniform.max"), max)),
        Latency::Normal { .. } | Latency::LogNormal { .. } | Latency::Exponential { .. } | Latency::Pareto { .. } => {
            None
        }
    };
    let max = match bound {
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
    Some(Delay { latency, on: on.unwrap_or(Phase::Request), max })
}

fn within(path: &str, duration: Duration, limit: Duration, report: &mut Report) {
    if duration > limit {
        let detail = format!("{} exceeds limits.delay_max {}", format_duration(duration), format_duration(limit));
        report.add(path, detail, "lower the delay or raise the limit");
    }
}

/// The distribution, when there is exactly one and it is well-formed.
fn one_latency(path: &str, spec: &DelaySpec, report: &mut Report) -> Option<Latency> {
    let written = [
        ("fixed", spec.fixed.is_some()),
        ("uniform", spec.uniform.is_some()),
        ("normal", spec.normal.is_some()),
        ("lognormal", spec.lognormal.is_some()),
        ("exponential", spec.exponential.is_some()),
        ("pareto", spec.pareto.is_some()),
    ];
    let written: Vec<&str> = written.iter().filter(|(_, is_written)| *is_written).map(|(name, _)| *name).collect();
    match written.as_slice() {
        [] => report.add(path, "it says no latency", format!("write {}", DelaySpec::EXPECTED)),
        [_] => return latency(path, spec, report),
        several => report.add(path, format!("{} exclude each other", several.join(" and ")), "keep one"),
    }
    None
}

fn latency(path: &str, spec: &DelaySpec, report: &mut Report) -> Option<Latency> {
    if let Some(fixed) = &spec.fixed {
        return report.duration(&format!("{path}.fixed"), fixed).map(Latency::Fixed);
    }
    if let Some(uniform) = &spec.uniform {
        let path = format!("{path}.uniform");
        let min = part(&path, "min", uniform.min.as_ref(), report);
        let max = part(&path, "max", uniform.max.as_ref(), report);
        let (min, max) = (min?, max?);
        if min > max {
            let detail = format!("{} is above max {}", format_duration(min), format_duration(max));
            report.add(format!("{path}.min"), detail, "swap min and max");
        }
        return Some(Latency::Uniform { min, max });
    }
    if let Some(normal) = &spec.normal {
        let path = format!("{path}.normal");
        let mean = part(&path, "mean", normal.mean.as_ref(), report);
        let stddev = part(&path, "stddev", normal.stddev.as_ref(), report);
        return Some(Latency::Normal { mean: mean?, stddev: stddev? });
    }
    if let Some(lognormal) = &spec.lognormal {
        let path = format!("{path}.lognormal");
        let median = positive_part(&path, "median", lognormal.median.as_ref(), report);
        let sigma = number(&path, "sigma", lognormal.sigma.as_ref(), report);
        return Some(Latency::LogNormal { median: median?, sigma: sigma? });
    }
    if let Some(exponential) = &spec.exponential {
        let mean = positive_part(&format!("{path}.exponential"), "mean", exponential.mean.as_ref(), report);
        return Some(Latency::Exponential { mean: mean? });
    }
    let pareto = spec.pareto.as_ref()?;
    let path = format!("{path}.pareto");
    let scale = positive_part(&path, "scale", pareto.scale.as_ref(), report);
    let shape = number(&path, "shape", pareto.shape.as_ref(), report);
    Some(Latency::Pareto { scale: scale?, shape: shape? })
}

const PART_HINT: &str = "write a duration such as 200ms";

fn part(path: &str, field: &str, value: Option<&Scalar>, report: &mut Report) -> Option<Duration> {
    let path = format!("{path}.{field}");
    let value = report.required(&path, value, PART_HINT)?;
    report.duration(&path, value)
}

fn positive_part(path: &str, field: &str, value: Option<&Scalar>, report: &mut Report) -> Option<Duration> {
    let path = format!("{path}.{field}");
    let value = report.required(&path, value, PART_HINT)?;
    report.positive_duration(&path, value)
}

fn number(path: &str, field: &str, value: Option<&Scalar>, report: &mut Report) -> Option<f64> {
    let path = format!("{path}.{field}");
    let value = report.required(&path, value, "write a number above 0, such as 0.5")?;
    let number = value.to_string().parse::<f64>().ok().filter(|number| number.is_finite() && *number > 0.0);
    if number.is_none() {
        report.add(path, format!("{value} is not a number above 0"), "write one such as 0.5");
    }
    number
}
