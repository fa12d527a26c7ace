#![expect(clippy::float_cmp, reason = "tests")]

use serde_json::json;

use super::*;
use crate::top::reading::Traffic;

/// After so many rounds of the same traffic.
pub(in crate::top) fn reading(uptime_seconds: f64, n: u64) -> Reading {
    let totals = Totals {
        listener: "to-b".to_owned(),
        cluster: "b".to_owned(),
        direction: "outbound".to_owned(),
        connections: 4,
        bytes_request: 1_000 * n,
        bytes_response: 2_000_000 * n,
        begun: 100 * n + 3,
        ended: 100 * n,
        injected: 20 * n,
        failed: 4 * n,
        durations: vec![0, 50 * n, 50 * n, 0],
    };
    let rule = json!({
        "name": "slow", "percentage": 25, "fault": {"delay": "200ms"},
        "status": {"matched": 100 * n, "injected": 20 * n, "active": 3, "observed_percentage": 20.0, "expires_at": null},
    });
    let status = json!({
        "version": "1.2.3", "generation": 7, "halted": false, "halt": null, "active_faults": 3,
        "guards": [{"name": "errors", "state": "ok"}],
    });
    let duration_bounds_seconds = vec![0.01, 0.1, 1.0];
    Reading {
        status,
        rules: vec![rule],
        traffic: Traffic { uptime_seconds, duration_bounds_seconds, traffic: vec![totals] },
    }
}

#[test]
fn rates_are_differences_over_the_time_between() {
    let overview = Overview::of(&reading(10.0, 1), &reading(12.0, 3));
    let row = &overview.traffic[0];
    assert_eq!((row.requests_per_second, row.aborted_per_second), (100.0, 20.0));
    assert_eq!((row.in_flight, row.connections, row.failed_percentage), (3, 4, Some(5.0)));
    assert_eq!((row.request_bytes_per_second, row.response_bytes_per_second), (1_000.0, 2_000_000.0));
    assert!((row.p50_seconds.unwrap() - 0.1).abs() < 1e-9, "{:?}", row.p50_seconds);
    assert!((row.p99_seconds.unwrap() - 0.982).abs() < 1e-9, "{:?}", row.p99_seconds);
    let rule = &overview.rules[0];
    assert_eq!((rule.matched_per_second, rule.injected_per_second, rule.injected), (100.0, 20.0, 60));
    assert_eq!((overview.generation, overview.halted.as_deref(), overview.guards[0].state.as_str()), (7, None, "ok"));
}

#[test]
fn without_traffic_there_is_no_share_and_no_quantile() {
    let overview = Overview::of(&reading(10.0, 1), &reading(11.0, 1));
    let row = &overview.traffic[0];
    assert_eq!((row.failed_percentage, row.p50_seconds, row.requests_per_second), (None, None, 0.0));
}

#[test]
fn a_process_that_was_started_anew_counts_from_nothing() {
    let overview = Overview::of(&reading(1_000.0, 5), &reading(2.0, 1));
    assert_eq!(overview.traffic[0].requests_per_second, 50.0);
    assert_eq!(overview.rules[0].injected_per_second, 10.0);
}

#[test]
fn what_is_beyond_the_last_bound_is_at_least_that() {
    assert_eq!(quantile(0.99, &[0.0, 1.0, 99.0], &[0.1, 1.0]), Some(1.0));
    assert_eq!(quantile(0.5, &[0.0, 0.0], &[0.1]), None);
}
