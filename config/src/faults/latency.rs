//! Distributions of latency.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::report::Report;
use crate::shape;
use crate::units::{format_duration, parse_duration};
use crate::written::Scalar;

/// Any value between two, both included.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object such as {min: 100ms, max: 2s}")]
#[schemars(extend("required" = ["min", "max"]))]
pub struct UniformSpec {
    /// Shortest.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub min: Option<Scalar>,
    /// Longest.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub max: Option<Scalar>,
}

/// Gaussian; draws below zero count as zero.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object such as {mean: 200ms, stddev: 50ms}")]
#[schemars(extend("required" = ["mean", "stddev"]))]
pub struct NormalSpec {
    /// Centre.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub mean: Option<Scalar>,
    /// Width.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub stddev: Option<Scalar>,
}

/// exp(N(ln median, sigma)).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object such as {median: 200ms, sigma: 0.5}")]
#[schemars(extend("required" = ["median", "sigma"]))]
pub struct LogNormalSpec {
    /// Half of the draws are below.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub median: Option<Scalar>,
    /// Standard deviation of the logarithm; above 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::positive")]
    pub sigma: Option<Scalar>,
}

/// Memoryless.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object such as {mean: 200ms}")]
#[schemars(extend("required" = ["mean"]))]
pub struct ExponentialSpec {
    /// Mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub mean: Option<Scalar>,
}

/// Heavy tail.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object such as {scale: 100ms, shape: 1.5}")]
#[schemars(extend("required" = ["scale", "shape"]))]
pub struct ParetoSpec {
    /// Shortest value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub scale: Option<Scalar>,
    /// Smaller means a heavier tail; above 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::positive")]
    pub shape: Option<Scalar>,
}

/// A distribution of latency. Shape parameters are finite and positive.
#[derive(Clone, Debug, PartialEq)]
pub enum Latency {
    /// Always the same.
    Fixed(Duration),
    /// Any value between, both included; `min` ≤ `max`.
    Uniform {
        /// Shortest.
        min: Duration,
        /// Longest.
        max: Duration,
    },
    /// Gaussian; draws below zero count as zero.
    Normal {
        /// Centre.
        mean: Duration,
        /// Width.
        stddev: Duration,
    },
    /// exp(N(ln median, sigma)).
    LogNormal {
        /// Half of the draws are below.
        median: Duration,
        /// Standard deviation of the logarithm.
        sigma: f64,
    },
    /// Memoryless.
    Exponential {
        /// Mean.
        mean: Duration,
    },
    /// Heavy tail.
    Pareto {
        /// Shortest value.
        scale: Duration,
        /// Smaller means a heavier tail.
        shape: f64,
    },
    /// As measured: a table of quantiles.
    Quantiles(Quantiles),
}

/// Points of a distribution, ascending in both parts, from quantile 0 to quantile 1; straight lines between them.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantiles(Arc<[(f64, Duration)]>);

impl Quantiles {
    /// A table from quantile 0 to quantile 1 that ascends in both parts; `None` for any other.
    pub fn new(points: impl Into<Arc<[(f64, Duration)]>>) -> Option<Self> {
        let points = points.into();
        let is_whole = points.first()?.0 == 0.0 && points.last()?.0 == 1.0;
        let ascends = points.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1);
        (is_whole && ascends).then_some(Self(points))
    }

    /// The latency below which the share `quantile` (0 to 1) of all draws falls.
    pub fn at(&self, quantile: f64) -> Duration {
        let above = self.0.iter().position(|(q, _)| *q >= quantile).unwrap_or(self.0.len() - 1);
        let ((low, from), (high, to)) = (self.0[above.saturating_sub(1)], self.0[above]);
        let share = if high > low { ((quantile - low) / (high - low)).clamp(0.0, 1.0) } else { 1.0 };
        from + (to - from).mul_f64(share)
    }

    /// The shares of the table's points, from 0 to 1.
    pub fn points(&self) -> &[(f64, Duration)] {
        &self.0
    }
}

impl UniformSpec {
    pub(super) fn check(&self, path: &str, report: &mut Report) -> Option<Latency> {
        let min = part(path, "min", self.min.as_ref(), report);
        let max = part(path, "max", self.max.as_ref(), report);
        let (min, max) = (min?, max?);
        if min > max {
            let detail = format!("{} is above max {}", format_duration(min), format_duration(max));
            report.add(format!("{path}.min"), detail, "swap min and max");
        }
        Some(Latency::Uniform { min, max })
    }
}

impl NormalSpec {
    pub(super) fn check(&self, path: &str, report: &mut Report) -> Option<Latency> {
        let mean = part(path, "mean", self.mean.as_ref(), report);
        let stddev = part(path, "stddev", self.stddev.as_ref(), report);
        Some(Latency::Normal { mean: mean?, stddev: stddev? })
    }
}

impl LogNormalSpec {
    pub(super) fn check(&self, path: &str, report: &mut Report) -> Option<Latency> {
        let median = positive_part(path, "median", self.median.as_ref(), report);
        let sigma = number(path, "sigma", self.sigma.as_ref(), report);
        Some(Latency::LogNormal { median: median?, sigma: sigma? })
    }
}

impl ExponentialSpec {
    pub(super) fn check(&self, path: &str, report: &mut Report) -> Option<Latency> {
        let mean = positive_part(path, "mean", self.mean.as_ref(), report)?;
        Some(Latency::Exponential { mean })
    }
}

impl ParetoSpec {
    pub(super) fn check(&self, path: &str, report: &mut Report) -> Option<Latency> {
        let scale = positive_part(path, "scale", self.scale.as_ref(), report);
        let shape = number(path, "shape", self.shape.as_ref(), report);
        Some(Latency::Pareto { scale: scale?, shape: shape? })
    }
}

/// Reads `{p50: 10ms, p99: 2s}`. What lies above the highest quantile goes up to `p100` or `max`.
/// All of it is in the fault at `path`.
pub(super) fn quantiles(
    path: &str,
    written: &BTreeMap<String, Scalar>,
    max: Option<&Scalar>,
    report: &mut Report,
) -> Option<Quantiles> {
    let at = |name: &str| format!("{path}.quantiles.{name}");
    let before = report.count();
    let mut points = Vec::new();
    for (name, value) in written {
        let latency = report.duration(&at(name), value);
        match quantile(name) {
            Some(quantile) => points.extend(latency.map(|latency| (quantile, latency, name))),
            None => {
                report.add(at(name), format!("{name:?} is not a quantile"), "write p0 to p100, such as p50 or p99.9");
            }
        }
    }
    points.sort_by(|(a, ..), (b, ..)| a.total_cmp(b));
    for pair in points.windows(2) {
        if pair[1].1 < pair[0].1 {
            let detail =
                format!("{} is below {} {}", format_duration(pair[1].1), pair[0].2, format_duration(pair[0].1));
            report.add(at(pair[1].2), detail, "a higher quantile has a longer latency");
        }
    }
    if points.is_empty() && report.count() == before {
        report.add(format!("{path}.quantiles"), "it has no quantile", "write some, such as {p50: 10ms, p99: 2s}");
    }
    let mut table: Vec<(f64, Duration)> = points.iter().map(|(quantile, latency, _)| (*quantile, *latency)).collect();
    let (first, last) = (*table.first()?, *table.last()?);
    if first.0 > 0.0 {
        table.insert(0, (0.0, Duration::ZERO));
    }
    if last.0 < 1.0 {
        let hint = "write max: 10s beside it, or p100, so that no draw takes longer";
        let max = report.required(&format!("{path}.max"), max, hint)?;
        table.push((1.0, parse_duration(&max.to_string()).ok()?.max(last.1)));
    }
    if report.count() > before {
        return None;
    }
    let quantiles = Quantiles::new(table);
    if quantiles.is_none() {
        report.add(format!("{path}.quantiles"), "a quantile is written twice", "keep one");
    }
    quantiles
}

/// `p99.9` is 0.999.
fn quantile(name: &str) -> Option<f64> {
    let percent = name.strip_prefix('p')?.parse::<f64>().ok()?;
    (0.0..=100.0).contains(&percent).then_some(percent / 100.0)
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
