//! Numbers as people read them.

use std::time::Duration;

use serde_json::Value;
use squall_config::units::format_duration;

use super::overview::{Overview, RuleRow, TrafficRow};

/// Above the columns of traffic.
pub(super) const TRAFFIC: [&str; 11] = [
    "LISTENER",
    "CLUSTER",
    "DIRECTION",
    "CONNS",
    "IN FLIGHT",
    "REQ/S",
    "ABORTED/S",
    "FAILED",
    "P50",
    "P99",
    "OUT/BACK",
];

/// Above the columns of rules.
pub(super) const RULES: [&str; 9] =
    ["RULE", "ON", "SHARE", "MATCHED/S", "INJECTED/S", "INJECTED", "OBSERVED", "HOLDS", "FAULT"];

/// The first line.
pub(super) fn headline(overview: &Overview) -> String {
    let up = Duration::from_secs_f64(overview.uptime_seconds.max(0.0).trunc());
    let (version, generation, active) = (&overview.version, overview.generation, overview.active_faults);
    let mut line =
        format!("squall {version}  up {}  generation {generation}  faults at work {active}", format_duration(up));
    for guard in &overview.guards {
        line.push_str(&format!("  guard {}: {}", guard.name, guard.state));
    }
    line
}

/// The line about the kill switch, while it is on.
pub(super) fn halt(overview: &Overview) -> Option<String> {
    let reason = overview.halted.as_ref()?;
    let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    Some(format!("HALTED, no fault is injected{why}"))
}

pub(super) fn traffic(row: &TrafficRow) -> Vec<String> {
    vec![
        row.listener.clone(),
        row.cluster.clone(),
        row.direction.clone(),
        row.connections.to_string(),
        row.in_flight.to_string(),
        rate(row.requests_per_second),
        rate(row.aborted_per_second),
        percentage(row.failed_percentage),
        duration(row.p50_seconds),
        duration(row.p99_seconds),
        format!("{}/{}", bytes(row.request_bytes_per_second), bytes(row.response_bytes_per_second)),
    ]
}

pub(super) fn rule(row: &RuleRow) -> Vec<String> {
    let share = match &row.percentage {
        Value::String(text) => text.trim_end_matches('%').to_owned(),
        other => other.to_string(),
    };
    vec![
        row.name.clone(),
        if row.enabled { "on" } else { "off" }.to_owned(),
        format!("{share}%"),
        rate(row.matched_per_second),
        rate(row.injected_per_second),
        row.injected.to_string(),
        percentage(row.observed_percentage),
        row.active.to_string(),
        row.fault.clone(),
    ]
}

fn rate(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        ..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

fn percentage(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}%"))
}

fn duration(seconds: Option<f64>) -> String {
    let Some(seconds) = seconds else { return "-".to_owned() };
    if seconds < 1.0 { format!("{:.1}ms", seconds * 1e3) } else { format!("{seconds:.1}s") }
}

/// Bytes a second, in powers of 1024.
fn bytes(value: f64) -> String {
    let (mut value, mut unit) = (value, "B");
    for larger in ["K", "M", "G"] {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, larger);
    }
    format!("{value:.0}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!([0.0, 0.25, 99.94, 1234.5].map(rate), ["0", "0.2", "99.9", "1234"]);
        assert_eq!([None, Some(0.0004), Some(0.25), Some(2.0)].map(duration), ["-", "0.4ms", "250.0ms", "2.0s"]);
        assert_eq!([0.0, 1023.0, 2048.0, 3e6, 5e9, 5e12].map(bytes), ["0B", "1023B", "2K", "3M", "5G", "4657G"]);
        assert_eq!([None, Some(12.346)].map(percentage), ["-", "12.35%"]);
    }
}
