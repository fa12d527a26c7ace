//! Reports as real runs leave them, for tests.

use std::ops::Range;

use serde_json::json;

use super::RunPhase::{Baseline, Injecting, Recovering};
use super::TimelineKind::{Guard, Harm, Rules, SteadyState};
use super::*;

/// A slow inventory that the checkout does not mind.
pub(super) fn held() -> Report {
    let report = base();
    Report {
        title: "The checkout survives a slow inventory".to_owned(),
        verdict: Some(Verdict::Held),
        reasons: vec![
            "every statement of the steady state held while 231 faults were injected".to_owned(),
            "of 219 requests with a faulted call, 2 were harmed; no more than 1 % beyond the control group".to_owned(),
        ],
        recovery_seconds: Some(1.0),
        steady_state: vec![
            statement("fast", "p99 of inbound traffic below 500ms", "s", 0.5, [0.084, 0.412, 0.086]),
            statement("few-errors", "error rate of inbound traffic below 1 %", "%", 1.0, [0.05, 0.21, 0.0]),
        ],
        rules: vec![rule(231)],
        groups: Groups {
            faulted: group(219, [176, 31, 10, 2, 2], [0.031, 0.342, 0.455]),
            control: group(4_118, [4_114, 0, 0, 4, 4], [0.021, 0.044, 0.081]),
            others: group(1_203, [1_202, 0, 0, 1, 1], [0.004, 0.009, 0.015]),
            baseline: group(2_731, [2_730, 0, 0, 1, 1], [0.02, 0.043, 0.084]),
        },
        harm: HarmReport {
            method: "joined".to_owned(),
            tolerated: 0.01,
            difference: Some(0.0082),
            low: Some(0.0014),
            high: Some(0.0314),
            evidence: 1.42,
            is_called: false,
            called_at: None,
            could_be_called: true,
        },
        timeline: events(&[
            (0.0, TimelineKind::Phase, "baseline"),
            (30.0, TimelineKind::Phase, "injecting"),
            (30.0, Rules, "slow-inventory at 5 %"),
            (90.0, Rules, "slow-inventory is gone"),
            (90.0, TimelineKind::Phase, "recovering"),
            (91.0, SteadyState, "every statement holds again"),
            (120.0, TimelineKind::Phase, "done"),
        ]),
        phases: spans(&[(Baseline, 0.0, 30.0), (Injecting, 30.0, 90.0), (Recovering, 90.0, 120.0)]),
        series: series(120, 30..90, Faulted { takes: 0.34, fails: 0.01 }),
        ..report
    }
}

/// A checkout without a time-out, and a guard that steps in.
pub(super) fn failed_by_guard() -> Report {
    let report = base();
    let mut retries = report.retries.clone();
    retries.unsafe_retries = 17;
    Report {
        title: "The checkout survives a slow inventory".to_owned(),
        verdict: Some(Verdict::Failed),
        reasons: vec![
            "the guard users-see-errors tripped: error rate of inbound traffic 6.2 % above 5 % for 10s".to_owned(),
            "p99 of inbound traffic below 500ms did not hold while faults flowed: 2.31 s".to_owned(),
        ],
        aborted: Some(Aborted {
            by: AbortedBy::Guard,
            reason: "users-see-errors: error rate of inbound traffic 6.2 % above 5 % for 10s".to_owned(),
            released_within_milliseconds: Some(3),
        }),
        recovery_seconds: Some(4.0),
        steady_state: vec![
            statement("fast", "p99 of inbound traffic below 500ms", "s", 0.5, [0.084, 2.31, 0.086]),
            statement("few-errors", "error rate of inbound traffic below 1 %", "%", 1.0, [0.05, 6.2, 0.0]),
        ],
        rules: vec![RuleReport { matched: 1_812, ..rule(118) }],
        groups: Groups {
            faulted: group(104, [3, 22, 0, 79, 101], [2.02, 2.2, 2.31]),
            control: group(1_672, [1_668, 0, 0, 4, 6], [0.021, 0.044, 0.081]),
            others: group(503, [503, 0, 0, 0, 0], [0.004, 0.009, 0.015]),
            baseline: group(2_731, [2_730, 0, 0, 1, 1], [0.02, 0.043, 0.084]),
        },
        harm: HarmReport {
            method: "joined".to_owned(),
            tolerated: 0.01,
            difference: Some(0.9676),
            low: Some(0.9149),
            high: Some(0.9869),
            evidence: 4.1e61,
            is_called: true,
            called_at: Some(33.0),
            could_be_called: true,
        },
        retries,
        routes: vec![
            route("GET /checkout", harmed(1, 1_911), harmed(107, 1_776)),
            route("GET /health|z", harmed(0, 820), harmed(0, 503)),
        ],
        join: JoinReport {
            requests: 2_279,
            calls: 1_812,
            joined: 1_809,
            ids_added: 3,
            sampled: Some(Sampled { one_in: 8, requests_per_second: 724.0, joined_per_second: 90.6 }),
            ..report.join.clone()
        },
        ended_at: Some("2026-11-25T10:01:25.200Z".to_owned()),
        breaker: BreakerReport { open: vec![(47.0, 52.0)], recovered_after: Some(1.2) },
        timeline: events(&[
            (0.0, TimelineKind::Phase, "baseline"),
            (30.0, TimelineKind::Phase, "injecting"),
            (30.0, Rules, "slow-inventory at 5 %"),
            (33.0, Harm, "more requests are harmed than tolerated, beyond doubt"),
            (55.2, Guard, "users-see-errors tripped: error rate of inbound traffic 6.2 % above 5 % for 10s"),
            (55.2, TimelineKind::Phase, "recovering"),
            (59.2, SteadyState, "every statement holds again"),
            (85.2, TimelineKind::Phase, "aborted"),
        ]),
        phases: spans(&[(Baseline, 0.0, 30.0), (Injecting, 30.0, 55.2), (Recovering, 55.2, 85.2)]),
        series: series(85, 30..55, Faulted { takes: 2.1, fails: 0.76 }),
        ..report
    }
}

/// A rule whose condition nothing met.
pub(super) fn nothing_faulted() -> Report {
    let unknown = Held { trouble: Some("no request of the faulted group".to_owned()), ..Held::default() };
    let mut fast = statement("fast", "p99 of inbound traffic below 500ms", "s", 0.5, [0.084, 0.083, 0.086]);
    fast.injecting.held = None;
    fast.injecting.trouble = unknown.trouble.clone();
    Report {
        title: "The checkout survives a slow inventory".to_owned(),
        verdict: Some(Verdict::Inconclusive),
        reasons: vec!["no fault was injected: nothing matched the rule slow-inventory".to_owned()],
        steady_state: vec![fast],
        rules: vec![RuleReport { matched: 0, ..rule(0) }],
        groups: Groups {
            others: group(5_540, [5_537, 0, 0, 3, 3], [0.02, 0.043, 0.083]),
            baseline: group(2_731, [2_730, 0, 0, 1, 1], [0.02, 0.043, 0.084]),
            ..Groups::default()
        },
        join: JoinReport { requests: 5_540, ..JoinReport::default() },
        harm: HarmReport::default(),
        retries: RetryReport::default(),
        exemplars: Vec::new(),
        timeline: events(&[
            (0.0, TimelineKind::Phase, "baseline"),
            (30.0, TimelineKind::Phase, "injecting"),
            (120.0, TimelineKind::Phase, "done"),
        ]),
        phases: spans(&[(Baseline, 0.0, 30.0), (Injecting, 30.0, 90.0), (Recovering, 90.0, 120.0)]),
        ..base()
    }
}

/// What all of them share.
fn base() -> Report {
    Report {
        squall_version: "0.1.0".to_owned(),
        experiment: "slow-inventory".to_owned(),
        run: 3,
        hypothesis: "When the inventory is slow, customers still get their checkout page in time.".to_owned(),
        owner: Some("team-checkout".to_owned()),
        links: vec!["https://runbooks.example/checkout".to_owned()],
        started_at: "2026-11-25T10:00:00.000Z".to_owned(),
        ended_at: Some("2026-11-25T10:02:00.000Z".to_owned()),
        join: JoinReport {
            requests: 5_540,
            calls: 4_402,
            joined: 4_390,
            share: Some(0.9973),
            ids_added: 12,
            lost: 0,
            is_usable: true,
            sampled: None,
        },
        retries: RetryReport {
            calls_faulted: Some(2.31),
            calls_control: Some(1.02),
            amplification: Some(2.26),
            calls_max: 4,
            retried: 88,
            gaps: vec![0.1, 0.21, 0.39],
            spacing: "growing".to_owned(),
            unsafe_retries: 0,
            amplification_low: Some(1.0),
        },
        queue: QueueReport {
            baseline_mean: Some(1.8),
            baseline_max: Some(7),
            injecting_mean: Some(6.4),
            injecting_max: Some(31),
        },
        routes: vec![
            route("GET /checkout", harmed(1, 1_911), harmed(6, 3_870)),
            route("GET /health|z", harmed(0, 820), harmed(0, 1_670)),
        ],
        exemplars: vec![
            exemplar("4bf92f3577b34da6a3ce929d0e0e4736", "absorbed", Some(200), 0.044),
            exemplar("", "propagated", None, 2.204),
        ],
        document: document(),
        ..Report::default()
    }
}

fn document() -> Value {
    json!({
        "apiVersion": "squall.dev/v1alpha1",
        "kind": "Experiment",
        "metadata": { "name": "slow-inventory", "labels": { "tier": 1 } },
        "spec": {
            "hypothesis": "When the inventory is slow, customers still get their checkout page in time.",
            "steady_state": [
                { "name": "fast", "condition": { "metric": "p99", "direction": "inbound", "below": "500ms" } },
            ],
            "method": [{ "rules": [{
                "name": "slow-inventory",
                "match": { "cluster": "inventory" },
                "percentage": 5,
                "fault": { "delay": "2s" },
            }], "hold": "60s" }],
            "expect": { "harmed": "1%", "amplification": 3, "unsafe_retries": false },
        },
    })
}

fn statement(name: &str, words: &str, unit: &str, bound: f64, values: [f64; 3]) -> SteadyStateReport {
    let [baseline, injecting, recovering] = values.map(|value| Held {
        held: Some(value < bound),
        value: Some(value),
        requests: Some(2_731),
        trouble: None,
    });
    SteadyStateReport {
        name: name.to_owned(),
        statement: words.to_owned(),
        unit: unit.to_owned(),
        bound: Some(bound),
        baseline,
        injecting,
        recovering,
        broken: Vec::new(),
    }
}

fn rule(injected: u64) -> RuleReport {
    RuleReport {
        name: "slow-inventory".to_owned(),
        step: "slow".to_owned(),
        unit: "request".to_owned(),
        percentage: 5.0,
        matched: 4_402,
        injected,
        fault: json!({ "delay": "2s" }),
    }
}

/// Counts of absorbed, slower, degraded, propagated and harmed; p50, p90 and p99.
fn group(requests: u64, counts: [u64; 5], quantiles: [f64; 3]) -> Group {
    let [absorbed, slower, degraded, propagated, harmed] = counts.map(|count| share_of(count, requests));
    let [p50, p90, p99] = quantiles.map(Some);
    let max = p99.map(|p99| rounded(p99 * 1.2));
    Group { requests, absorbed, slower, degraded, propagated, harmed, p50, p90, p99, max }
}

/// With the interval of Wilson at 95 %.
fn share_of(count: u64, all: u64) -> Share {
    let (n, share, z) = (all as f64, count as f64 / all as f64, 1.96_f64);
    let middle = (share + z * z / (2.0 * n)) / (1.0 + z * z / n);
    let half = z / (1.0 + z * z / n) * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
    Share {
        count,
        share: rounded(share),
        low: rounded((middle - half).max(0.0)),
        high: rounded((middle + half).min(1.0)),
    }
}

/// To millionths, so that reading it back gives the same number.
fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

fn events(all: &[(f64, TimelineKind, &str)]) -> Vec<TimelineEvent> {
    all.iter().map(|&(at, kind, text)| TimelineEvent { at, kind, text: text.to_owned() }).collect()
}

fn spans(all: &[(RunPhase, f64, f64)]) -> Vec<PhaseSpan> {
    all.iter().map(|&(phase, from, to)| PhaseSpan { phase, from, to }).collect()
}

/// How requests of a route fared.
#[derive(Clone, Copy)]
struct Fared {
    requests: u64,
    harmed: u64,
}

/// So many of so many.
fn harmed(harmed: u64, requests: u64) -> Fared {
    Fared { requests, harmed }
}

fn route(route: &str, before: Fared, during: Fared) -> RouteReport {
    RouteReport {
        route: route.to_owned(),
        uses_faulted: route != "GET /health|z",
        baseline_requests: before.requests,
        baseline_harmed: before.harmed,
        baseline_p99: Some(0.084),
        injecting_requests: during.requests,
        injecting_harmed: during.harmed,
        injecting_p99: Some(0.412),
        suffered: during.harmed > 10 * before.harmed + 10,
    }
}

fn exemplar(trace_id: &str, ending: &str, status: Option<u16>, seconds: f64) -> Exemplar {
    let (trace_id, ending, route) = (trace_id.to_owned(), ending.to_owned(), "GET /checkout".to_owned());
    Exemplar { trace_id, ending, route, status, seconds, calls: 2 }
}

/// What faulted requests take, in seconds, and which share of them fails.
#[derive(Clone, Copy)]
pub(super) struct Faulted {
    pub(super) takes: f64,
    pub(super) fails: f64,
}

/// A run of so many seconds, with faults in some of them.
pub(super) fn series(seconds: u32, injection: Range<u32>, faulted: Faulted) -> Vec<SeriesPoint> {
    (0..seconds).map(|second| point(second, injection.contains(&second), faulted)).collect()
}

fn point(second: u32, is_injecting: bool, Faulted { takes, fails }: Faulted) -> SeriesPoint {
    // The same at each run, and not the same at each second.
    let wave = (f64::from(second) * 1.7).sin() * (f64::from(second) * 0.31).cos();
    let requests = 90 + u64::from(second * 37 % 13);
    let faulted = if is_injecting { 2 + u64::from(second * 31 % 4) } else { 0 };
    let faulted_failed =
        (0..faulted).filter(|n| (f64::from(second) * 0.37 + *n as f64 * 0.23).fract() < fails).count() as u64;
    let of_faulted = |value: f64| (faulted > 0).then_some(rounded(value));
    SeriesPoint {
        at: f64::from(second),
        requests,
        failed: faulted_failed + u64::from(second.is_multiple_of(29)),
        p50: Some(rounded(0.02 + 0.002 * wave)),
        p99: Some(rounded(if is_injecting { takes } else { 0.083 } * (1.0 + 0.05 * wave))),
        in_flight: 2 + u64::from(second % 3) + if is_injecting { faulted * 4 } else { 0 },
        faulted,
        faulted_failed,
        faulted_p50: of_faulted(takes * (0.9 + 0.05 * wave)),
        faulted_p99: of_faulted(takes * (1.1 + 0.08 * wave)),
        control: if is_injecting { requests - faulted } else { 0 },
        control_failed: u64::from(is_injecting && second.is_multiple_of(29)),
        control_p50: is_injecting.then_some(rounded(0.021 + 0.002 * wave)),
        control_p99: is_injecting.then_some(rounded(0.081 + 0.01 * wave)),
        calls: requests,
        calls_faulted: faulted,
    }
}
