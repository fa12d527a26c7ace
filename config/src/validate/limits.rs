//! Limits and drain.

use std::ops::RangeInclusive;

use crate::defaults;
use crate::model::{Drain, Limits};
use crate::report::Report;
use crate::spec::{DrainSpec, LimitsSpec, Scalar};
use crate::units::format_duration;

use super::blast_radius;

/// No count goes beyond this: 2^31 of anything is not a bound.
const COUNT_MAX: usize = i32::MAX as usize;

pub(crate) fn limits(spec: Option<&LimitsSpec>, cluster_names: &[&str], report: &mut Report) -> Limits {
    let empty = LimitsSpec::default();
    let spec = spec.unwrap_or(&empty);
    let mut delay_max = report.duration_or("limits.delay_max", spec.delay_max.as_ref(), defaults::DELAY_MAX);
    if delay_max > defaults::DELAY_MAX_CEILING {
        let ceiling = format_duration(defaults::DELAY_MAX_CEILING);
        report.add(
            "limits.delay_max",
            format!("{} is too long", format_duration(delay_max)),
            format!("write at most {ceiling}"),
        );
        delay_max = defaults::DELAY_MAX_CEILING;
    }
    let count = |report: &mut Report, field: &str, value, default| {
        report.count_or(&format!("limits.{field}"), value, 1..=COUNT_MAX, default)
    };
    let blast_radius = blast_radius::blast_radius(spec, cluster_names, report);
    Limits {
        default_ttl: blast_radius::default_ttl(spec, blast_radius.ttl_max, report),
        delay_max,
        active_faults_max: count(report, "active_faults_max", spec.active_faults_max, defaults::ACTIVE_FAULTS_MAX),
        exclude_paths: exclude_paths(spec.exclude_paths.as_deref(), report),
        head_bytes_max: bytes_or(
            "limits.head_bytes_max",
            spec.head_bytes_max.as_ref(),
            defaults::HEAD_BYTES_FLOOR..=COUNT_MAX,
            defaults::HEAD_BYTES_MAX,
            report,
        ),
        connections_max: count(report, "connections_max", spec.connections_max, defaults::CONNECTIONS_MAX),
        rules_max: report.count_or(
            "limits.rules_max",
            spec.rules_max,
            1..=defaults::RULES_MAX_CEILING,
            defaults::RULES_MAX,
        ),
        stream_buffer_bytes_max: bytes_or(
            "limits.stream_buffer_bytes_max",
            spec.stream_buffer_bytes_max.as_ref(),
            1..=COUNT_MAX,
            defaults::STREAM_BUFFER_BYTES_MAX,
            report,
        ),
        blast_radius,
    }
}

fn bytes_or(
    path: &str,
    value: Option<&Scalar>,
    bounds: RangeInclusive<usize>,
    default: usize,
    report: &mut Report,
) -> usize {
    let bytes = value.and_then(|value| report.bytes(path, value));
    report.count_or(path, bytes, bounds, default)
}

fn exclude_paths(paths: Option<&[String]>, report: &mut Report) -> Vec<String> {
    let Some(paths) = paths else { return defaults::EXCLUDE_PATHS.map(str::to_owned).to_vec() };
    for (index, path) in paths.iter().enumerate().filter(|(_, path)| !path.starts_with('/')) {
        report.add(
            format!("limits.exclude_paths[{index}]"),
            format!("{path:?} does not begin with '/'"),
            "write the whole path, such as /healthz",
        );
    }
    paths.to_vec()
}

pub(crate) fn drain(spec: Option<&DrainSpec>, report: &mut Report) -> Drain {
    let delay = spec.and_then(|spec| report.duration("drain.delay", spec.delay.as_ref()?));
    let timeout = spec.and_then(|spec| report.duration("drain.timeout", spec.timeout.as_ref()?));
    Drain { delay: delay.unwrap_or(defaults::DRAIN_DELAY), timeout: timeout.unwrap_or(defaults::DRAIN_TIMEOUT) }
}
