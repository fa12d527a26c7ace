//! Reports that no run leaves: every form takes them all the same.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Numbers as they may go wrong.
fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>(),
        0.0..1e4_f64,
        prop::sample::select(vec![
            0.0,
            -0.0,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::MAX,
            f64::MIN,
            f64::MIN_POSITIVE,
            5e-324,
            1e12,
        ]),
    ]
}

fn maybe() -> impl Strategy<Value = Option<f64>> {
    prop::option::of(number())
}

/// Any characters, and those that mean something to one of the forms.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[\\x00-\\x1f<>&\"'|`*_#\\]\\[ a-z\\n]{0,20}", "https?://[^ ]{0,8}"]
}

fn point() -> impl Strategy<Value = SeriesPoint> {
    (number(), any::<[u64; 8]>(), maybe(), maybe(), maybe()).prop_map(|(at, counts, p50, p99, faulted_p99)| {
        let [requests, failed, in_flight, faulted, faulted_failed, control, control_failed, calls_faulted] = counts;
        SeriesPoint {
            at,
            requests,
            failed,
            p50,
            p99,
            in_flight,
            faulted,
            faulted_failed,
            faulted_p99,
            control,
            control_failed,
            control_p99: p99,
            calls_faulted,
            ..SeriesPoint::default()
        }
    })
}

fn statement() -> impl Strategy<Value = SteadyStateReport> {
    let held = (any::<Option<bool>>(), maybe(), prop::option::of(text()));
    (text(), text(), prop::sample::select(vec!["s", "%", "", "x"]), maybe(), vec(held, 3)).prop_map(
        |(name, statement, unit, bound, held)| {
            let all: Vec<_> = held
                .into_iter()
                .map(|(held, value, trouble)| Held { held, value, requests: Some(u64::MAX), trouble })
                .collect();
            let [baseline, injecting, recovering] = <[Held; 3]>::try_from(all).unwrap();
            SteadyStateReport {
                name,
                statement,
                unit: unit.to_owned(),
                bound,
                baseline,
                injecting,
                recovering,
                broken: vec![(1.0, None)],
            }
        },
    )
}

fn group() -> impl Strategy<Value = Group> {
    let share = (any::<u64>(), number(), number(), number()).prop_map(|(count, share, low, high)| Share {
        count,
        share,
        low,
        high,
    });
    (any::<u64>(), vec(share, 5), maybe(), maybe()).prop_map(|(requests, shares, p50, max)| Group {
        requests,
        absorbed: shares[0],
        slower: shares[1],
        degraded: shares[2],
        propagated: shares[3],
        harmed: shares[4],
        p50,
        max,
        ..Group::default()
    })
}

fn phase() -> impl Strategy<Value = RunPhase> {
    use RunPhase::{Aborted, Baseline, Done, Injecting, Pending, Recovering};
    prop::sample::select(vec![Pending, Baseline, Injecting, Recovering, Done, Aborted])
}

fn aborted() -> impl Strategy<Value = Aborted> {
    use AbortedBy::{Baseline, Duration, Guard, Halt, Harm, Refused, Restart, Stop};
    let by = prop::sample::select(vec![Stop, Halt, Guard, Harm, Baseline, Duration, Restart, Refused]);
    (by, text(), any::<Option<u64>>()).prop_map(|(by, reason, released_within_milliseconds)| Aborted {
        by,
        reason,
        released_within_milliseconds,
    })
}

fn verdict() -> impl Strategy<Value = Option<Verdict>> {
    prop::sample::select(vec![Some(Verdict::Held), Some(Verdict::Failed), Some(Verdict::Inconclusive), None])
}

/// What was measured.
fn measurements() -> impl Strategy<Value = Report> {
    let spans = vec((phase(), number(), number()), 0..5);
    (vec(point(), 0..20), vec(statement(), 0..3), (group(), group()), spans, vec(number(), 12)).prop_map(
        |(series, steady_state, (faulted, control), spans, n)| Report {
            series,
            steady_state,
            groups: Groups { faulted, control, ..Groups::default() },
            phases: spans.into_iter().map(|(phase, from, to)| PhaseSpan { phase, from, to }).collect(),
            harm: HarmReport {
                method: "joined".to_owned(),
                tolerated: n[0],
                difference: Some(n[1]),
                low: Some(n[2]),
                high: Some(n[3]),
                evidence: n[4],
                is_called: n[4] > 20.0,
                called_at: Some(n[5]),
                could_be_called: true,
            },
            retries: RetryReport { amplification: Some(n[6]), gaps: vec![n[7], n[8]], ..RetryReport::default() },
            breaker: BreakerReport { open: vec![(n[9], n[10])], recovered_after: Some(n[11]) },
            recovery_seconds: Some(n[0]),
            ..Report::default()
        },
    )
}

/// Everything together.
fn report() -> impl Strategy<Value = Report> {
    let start = prop_oneof![Just("2026-11-25T10:00:00Z".to_owned()), Just("9999-12-31T23:59:59Z".to_owned()), text()];
    (measurements(), vec(text(), 6), verdict(), prop::option::of(aborted()), start, (number(), any::<[u64; 2]>()))
        .prop_map(|(measured, texts, verdict, aborted, started_at, (number, [matched, injected]))| Report {
            experiment: texts[0].clone(),
            title: texts[1].clone(),
            hypothesis: texts[2].clone(),
            owner: Some(texts[3].clone()),
            links: vec![texts[4].clone()],
            reasons: vec![texts[5].clone()],
            ended_at: Some(started_at.clone()),
            started_at,
            verdict,
            aborted,
            rules: vec![RuleReport {
                name: texts[0].clone(),
                percentage: number,
                matched,
                injected,
                fault: json!({ "body": texts[5] }),
                ..RuleReport::default()
            }],
            timeline: vec![TimelineEvent { at: number, kind: TimelineKind::Note, text: texts[2].clone() }],
            exemplars: vec![Exemplar { trace_id: texts[3].clone(), seconds: number, ..Exemplar::default() }],
            document: json!({ texts[0].clone(): texts[1], "spec": { "expect": { "amplification": number } } }),
            ..measured
        })
}

proptest! {
    // Each has much in it and is drawn and read back: about 40 ms.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_report_has_all_forms(report in report()) {
        for format in ReportFormat::ALL {
            prop_assert!(!report.render(format).is_empty());
        }
        html::assert_drawn_well(&report.to_html());
        let (_, cases) = junit::parse(&report.to_junit());
        let is_green = cases.iter().all(junit::Case::is_green);
        prop_assert!(!is_green || report.verdict == Some(Verdict::Held), "{cases:?}");
        let journal: Value = serde_json::from_str(&report.to_journal()).unwrap();
        prop_assert!(journal["status"] == "completed" || report.verdict != Some(Verdict::Held) || report.aborted.is_some());
    }
}
