//! Two readings become rates.

use serde::Serialize;
use serde_json::Value;

use super::reading::{Reading, Totals};
use crate::rule::view::fields;

/// What is shown.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Overview {
    pub(super) version: String,
    pub(super) uptime_seconds: f64,
    pub(super) generation: u64,
    /// Why all faults are halted, when they are.
    pub(super) halted: Option<String>,
    pub(super) active_faults: u64,
    pub(super) guards: Vec<GuardRow>,
    pub(super) traffic: Vec<TrafficRow>,
    pub(super) rules: Vec<RuleRow>,
}

/// A condition that stops all faults.
#[derive(Clone, Debug, Serialize)]
pub(super) struct GuardRow {
    pub(super) name: String,
    pub(super) state: String,
}

/// One listener with one cluster.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct TrafficRow {
    pub(super) listener: String,
    pub(super) cluster: String,
    pub(super) direction: String,
    pub(super) connections: u64,
    pub(super) in_flight: u64,
    pub(super) requests_per_second: f64,
    /// Ended by rules; what they only slow down is not among these.
    pub(super) aborted_per_second: f64,
    /// Of those that no rule ended; `None` without any.
    pub(super) failed_percentage: Option<f64>,
    /// Of all that ended meanwhile; `None` without any.
    pub(super) p50_seconds: Option<f64>,
    pub(super) p99_seconds: Option<f64>,
    pub(super) request_bytes_per_second: f64,
    pub(super) response_bytes_per_second: f64,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct RuleRow {
    pub(super) name: String,
    pub(super) enabled: bool,
    /// As it is written.
    pub(super) percentage: Value,
    pub(super) fault: String,
    pub(super) matched_per_second: f64,
    pub(super) injected_per_second: f64,
    pub(super) injected: u64,
    pub(super) observed_percentage: Option<f64>,
    pub(super) active: u64,
    pub(super) expires_at: Option<String>,
}

impl Overview {
    /// What happened from the one reading to the other.
    pub(super) fn of(before: &Reading, now: &Reading) -> Self {
        let seconds = now.traffic.uptime_seconds - before.traffic.uptime_seconds;
        // A process that was started anew counts from nothing.
        let seconds = if seconds > 0.0 { seconds } else { now.traffic.uptime_seconds.max(f64::EPSILON) };
        let status = &now.status;
        let is_halted = status["halted"].as_bool().unwrap_or(false);
        Self {
            version: text(&status["version"]),
            uptime_seconds: now.traffic.uptime_seconds,
            generation: status["generation"].as_u64().unwrap_or(0),
            halted: is_halted.then(|| text(&status["halt"]["reason"])),
            active_faults: status["active_faults"].as_u64().unwrap_or(0),
            guards: status["guards"].as_array().into_iter().flatten().map(GuardRow::of).collect(),
            traffic: traffic(before, now, seconds),
            rules: now.rules.iter().map(|rule| RuleRow::of(same_rule(&before.rules, rule), rule, seconds)).collect(),
        }
    }
}

fn traffic(before: &Reading, now: &Reading, seconds: f64) -> Vec<TrafficRow> {
    let bounds = &now.traffic.duration_bounds_seconds;
    let row = |totals: &Totals| {
        let same = |other: &&Totals| other.listener == totals.listener && other.cluster == totals.cluster;
        let earlier = before.traffic.traffic.iter().find(same).cloned().unwrap_or_default();
        TrafficRow::of(&earlier, totals, bounds, seconds)
    };
    now.traffic.traffic.iter().map(row).collect()
}

fn same_rule<'a>(rules: &'a [Value], rule: &Value) -> &'a Value {
    rules.iter().find(|other| other["name"] == rule["name"]).unwrap_or(&Value::Null)
}

impl GuardRow {
    fn of(guard: &Value) -> Self {
        Self { name: text(&guard["name"]), state: text(&guard["state"]) }
    }
}

impl TrafficRow {
    fn of(before: &Totals, now: &Totals, bounds: &[f64], seconds: f64) -> Self {
        let added = |count: fn(&Totals) -> u64| since(count(before), count(now));
        let earlier = before.durations.iter().copied().chain(std::iter::repeat(0));
        let durations: Vec<f64> = now.durations.iter().zip(earlier).map(|(now, before)| since(before, *now)).collect();
        let (ended, injected) = (added(|t| t.ended), added(|t| t.injected));
        let others = ended - injected;
        Self {
            listener: now.listener.clone(),
            cluster: now.cluster.clone(),
            direction: now.direction.clone(),
            connections: now.connections,
            in_flight: now.begun.saturating_sub(now.ended),
            requests_per_second: ended / seconds,
            aborted_per_second: injected / seconds,
            failed_percentage: (others > 0.0).then(|| 100.0 * added(|t| t.failed) / others),
            p50_seconds: quantile(0.5, &durations, bounds),
            p99_seconds: quantile(0.99, &durations, bounds),
            request_bytes_per_second: added(|t| t.bytes_request) / seconds,
            response_bytes_per_second: added(|t| t.bytes_response) / seconds,
        }
    }
}

impl RuleRow {
    fn of(before: &Value, rule: &Value, seconds: f64) -> Self {
        let count = |rule: &Value, name: &str| rule["status"][name].as_u64().unwrap_or(0);
        let rate = |name: &str| since(count(before, name), count(rule, name)) / seconds;
        Self {
            name: text(&rule["name"]),
            enabled: rule["enabled"].as_bool().unwrap_or(true),
            percentage: rule["percentage"].clone(),
            fault: fields(&rule["fault"]),
            matched_per_second: rate("matched"),
            injected_per_second: rate("injected"),
            injected: count(rule, "injected"),
            observed_percentage: rule["status"]["observed_percentage"].as_f64(),
            active: count(rule, "active"),
            expires_at: rule["status"]["expires_at"].as_str().map(str::to_owned),
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A count that went down began anew: another process, or a rule that was made again.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn since(before: u64, now: u64) -> f64 {
    now.checked_sub(before).unwrap_or(now) as f64
}

/// Of durations in buckets, by a straight line inside the bucket, as Prometheus does; where it lies beyond the last bound
/// that bound. `None` of nothing.
fn quantile(share: f64, counts: &[f64], bounds: &[f64]) -> Option<f64> {
    let all: f64 = counts.iter().sum();
    let rank = share * all;
    let (mut below, mut low) = (0.0, 0.0);
    for (count, high) in counts.iter().zip(bounds) {
        if *count > 0.0 && below + count >= rank {
            return Some(low + (high - low) * (rank - below) / count);
        }
        (below, low) = (below + count, *high);
    }
    (all > 0.0).then_some(low)
}

#[cfg(test)]
#[path = "overview_tests.rs"]
pub(super) mod tests;
