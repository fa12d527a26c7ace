//! What keeps an endpoint out of its cluster's turn: ejection and health checks.

use crate::defaults;
use crate::model::{Ejection, HealthCheck, Probe};
use crate::spec::{EjectionSpec, HealthCheckSpec};
use crate::units::format_duration;

use crate::report::Report;

/// More failures in a row than this are no threshold.
const THRESHOLD_MAX: usize = 1_000;

pub(crate) fn ejection(path: &str, spec: &EjectionSpec, report: &mut Report) -> Ejection {
    let at = |field: &str| format!("{path}.{field}");
    let (failures, base_time) = (spec.consecutive_failures, spec.base_time.as_ref());
    Ejection {
        consecutive_failures: threshold(&at("consecutive_failures"), failures, defaults::EJECTION_FAILURES, report),
        base_time: report.duration_or(&at("base_time"), base_time, defaults::EJECTION_TIME),
        max_percentage: percentage(&at("max_percentage"), spec.max_percentage, report),
        server_errors: spec.server_errors.unwrap_or(true),
    }
}

fn percentage(path: &str, value: Option<u64>, report: &mut Report) -> u8 {
    let Some(value) = value else { return defaults::EJECTION_PERCENTAGE_MAX };
    match u8::try_from(value) {
        Ok(percentage @ 1..=100) => percentage,
        Ok(0) => {
            report.add(path, "0 ejects nothing", "write a percentage from 1 to 100, or remove ejection");
            defaults::EJECTION_PERCENTAGE_MAX
        }
        _ => {
            report.add(path, format!("{value} is not a percentage"), "write a percentage from 1 to 100");
            defaults::EJECTION_PERCENTAGE_MAX
        }
    }
}

fn threshold(path: &str, value: Option<u64>, default: u32, report: &mut Report) -> u32 {
    let count = report.count_or(path, value, 1..=THRESHOLD_MAX, default as usize);
    u32::try_from(count).unwrap_or(default)
}

pub(crate) fn health_check(path: &str, spec: &HealthCheckSpec, report: &mut Report) -> Option<HealthCheck> {
    let at = |field: &str| format!("{path}.{field}");
    let probe = probe(path, spec, report);
    let interval = report.duration_or(&at("interval"), spec.interval.as_ref(), defaults::HEALTH_CHECK_INTERVAL);
    // A short interval alone is enough to ask for a short timeout.
    let usual = defaults::HEALTH_CHECK_TIMEOUT.min(interval);
    let timeout = report.duration_or(&at("timeout"), spec.timeout.as_ref(), usual);
    if timeout > interval {
        let detail = format!("{} is longer than the interval of the checks", format_duration(timeout));
        report.add(at("timeout"), detail, format!("write at most {}", format_duration(interval)));
    }
    let mut of = |field: &str, value, default| threshold(&at(field), value, default, report);
    let unhealthy_threshold = of("unhealthy_threshold", spec.unhealthy_threshold, defaults::UNHEALTHY_THRESHOLD);
    let healthy_threshold = of("healthy_threshold", spec.healthy_threshold, defaults::HEALTHY_THRESHOLD);
    Some(HealthCheck { probe: probe?, interval, timeout, unhealthy_threshold, healthy_threshold })
}

fn probe(path: &str, spec: &HealthCheckSpec, report: &mut Report) -> Option<Probe> {
    const HINT: &str = "write path: /healthz, or tcp: true";
    match (&spec.path, spec.tcp) {
        (Some(text), None | Some(false)) => {
            let field = format!("{path}.path");
            if !text.starts_with('/') {
                report.add(field, format!("{text:?} does not begin with '/'"), format!("write \"/{text}\""));
                return None;
            }
            let target = text.parse().map_err(|_| {
                report.add(field, format!("{text:?} is not a path"), "write a path such as /healthz");
            });
            target.ok().map(Probe::Http)
        }
        (None, Some(true)) => Some(Probe::Tcp),
        (Some(_), Some(true)) => {
            report.add(path, "path and tcp exclude each other", HINT);
            None
        }
        (None, None | Some(false)) => {
            report.add(path, "it says nothing of what to ask", HINT);
            None
        }
    }
}
