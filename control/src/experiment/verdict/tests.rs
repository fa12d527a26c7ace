use squall_config::units::Percentage;

use super::*;
use crate::experiment::report::*;
use crate::experiment::study::statistics::share;
use crate::experiment::tests::experiment;

fn statement(name: &str) -> SteadyStateReport {
    let held = Held { held: Some(true), value: Some(0.2), requests: Some(2_000), trouble: None };
    SteadyStateReport {
        name: name.to_owned(),
        statement: format!("{name} below 500ms"),
        unit: "s".to_owned(),
        bound: Some(0.5),
        baseline: held.clone(),
        injecting: held.clone(),
        recovering: held,
        broken: Vec::new(),
    }
}

/// Of a run in which all was well.
fn good_report() -> Report {
    let span = |phase, from, to| PhaseSpan { phase, from, to };
    Report {
        phases: vec![
            span(RunPhase::Baseline, 0.0, 30.0),
            span(RunPhase::Injecting, 30.0, 90.0),
            span(RunPhase::Recovering, 90.0, 95.0),
        ],
        steady_state: vec![statement("p99")],
        rules: vec![RuleReport { name: "slow-b".to_owned(), matched: 2_000, injected: 100, ..RuleReport::default() }],
        join: JoinReport {
            requests: 2_000,
            calls: 2_000,
            joined: 1_990,
            share: Some(0.995),
            is_usable: true,
            ..JoinReport::default()
        },
        groups: Groups {
            faulted: Group { requests: 100, absorbed: share(100, 100), harmed: share(0, 100), ..Group::default() },
            control: Group { requests: 1_900, harmed: share(1, 1_900), ..Group::default() },
            others: Group::default(),
            baseline: Group { requests: 600, harmed: share(0, 600), ..Group::default() },
        },
        harm: HarmReport {
            method: "joined".to_owned(),
            difference: Some(0.0),
            low: Some(-0.01),
            high: Some(0.03),
            evidence: 0.4,
            could_be_called: true,
            ..HarmReport::default()
        },
        retries: RetryReport { amplification: Some(1.0), amplification_low: Some(1.0), ..RetryReport::default() },
        ..Report::default()
    }
}

fn judged(change: impl FnOnce(&mut Report, &mut Experiment)) -> (Verdict, Vec<String>) {
    let (mut report, mut experiment) = (good_report(), experiment());
    change(&mut report, &mut experiment);
    judge(&report, &experiment)
}

fn aborted(by: AbortedBy) -> Option<Aborted> {
    Some(Aborted { by, reason: "somebody".to_owned(), released_within_milliseconds: None })
}

type Change = fn(&mut Report, &mut Experiment);

fn harm(report: &mut Report) {
    report.groups.faulted.harmed = share(86, 100);
    (report.harm.is_called, report.harm.evidence) = (true, 1e30);
}

#[test]
fn what_shows_that_it_is_false_has_failed() {
    let situations: [(Change, &str); 11] = [
        (|r, _| harm(r), "Harm is beyond doubt: 86 of 100 requests (86"),
        (|r, _| r.aborted = aborted(AbortedBy::Guard), "A guard ended it: somebody."),
        (|r, _| r.aborted = aborted(AbortedBy::Harm), "Harm ended it: somebody."),
        (
            |r, _| {
                r.steady_state[0].injecting.held = Some(false);
                r.steady_state[0].injecting.value = Some(0.73);
            },
            "\"p99 below 500ms\" did not hold while faults flowed: 0.73 s, of 2000 requests.",
        ),
        (|r, _| r.steady_state[0].recovering.held = Some(false), "did not hold again after the last fault"),
        (
            |r, e| {
                e.expect.amplification = Some(2.0);
                (r.retries.amplification, r.retries.amplification_low) = (Some(3.0), Some(2.9));
            },
            "A made 3 calls for each that it makes without a fault; at most 2 are expected.",
        ),
        (|r, _| r.retries.unsafe_retries = 4, "not safe to repeat: 4 times"),
        (
            |r, _| r.routes.push(RouteReport { route: "GET /x".into(), suffered: true, ..RouteReport::default() }),
            "GET /x does not need what was faulted, and suffered",
        ),
        // It outranks all that is not known.
        (
            |r, _| {
                harm(r);
                r.steady_state[0].baseline.held = None;
                r.aborted = aborted(AbortedBy::Stop);
                r.groups.baseline.requests = 3;
            },
            "Harm is beyond doubt",
        ),
        (
            |r, _| {
                harm(r);
                r.join = JoinReport { calls: 100, joined: 2, ids_added: 7, requests: 2_000, ..r.join.clone() };
                (r.join.is_usable, r.harm.method) = (false, "phases".to_owned());
                r.routes.push(RouteReport { injecting_harmed: 99, ..RouteReport::default() });
            },
            "Harm is beyond doubt: 99 of 2000 requests were harmed while faults flowed, 0 of 600 requests (0",
        ),
        (
            |r, _| {
                harm(r);
                r.harm.method = "phases".to_owned();
                r.groups.control = Group::default();
            },
            "with a faulted call were harmed, 0 of 600 requests (0",
        ),
    ];
    for (change, words) in situations {
        let (verdict, reasons) = judged(change);
        assert_eq!(verdict, Verdict::Failed, "{words}: {reasons:?}");
        assert!(reasons[0].contains(words), "{words}: {reasons:?}");
    }
}

#[test]
fn what_was_not_faulted_or_ended_by_others_is_inconclusive() {
    let situations: [(Change, &str); 10] = [
        (|r, _| r.rules[0].injected = 0, "the rules matched 2000 times, and their share picked none"),
        (
            |r, _| (r.rules[0].injected, r.rules[0].matched) = (0, 0),
            "A does not call through Squall, or the rules match nothing it calls.",
        ),
        (
            |r, _| {
                (r.rules[0].injected, r.rules[0].matched) = (0, 0);
                r.series.push(SeriesPoint { calls: 7, ..SeriesPoint::default() });
            },
            "A made 7 calls through Squall, and the rules match none of them.",
        ),
        // Whatever else there is.
        (
            |r, _| {
                harm(r);
                r.rules[0].injected = 0;
                r.steady_state[0].injecting.held = Some(false);
            },
            "Nothing was faulted",
        ),
        (
            |r, _| {
                r.rules.clear();
                r.phases.truncate(1);
                r.aborted = aborted(AbortedBy::Baseline);
            },
            "it ended before its rules were in force",
        ),
        (|r, _| r.aborted = aborted(AbortedBy::Stop), "It was stopped: somebody."),
        (|r, _| r.aborted = aborted(AbortedBy::Halt), "All faults were halted: somebody."),
        (|r, _| r.aborted = aborted(AbortedBy::Restart), "ended or started anew"),
        (|r, _| r.aborted = aborted(AbortedBy::Duration), "It took longer than it may"),
        (|r, _| r.aborted = aborted(AbortedBy::Refused), "could not be put in force"),
    ];
    inconclusive(&situations);
}

#[test]
fn what_was_not_measured_is_inconclusive() {
    let situations: [(Change, &str); 11] = [
        (|r, _| r.steady_state[0].baseline.held = Some(false), "did not hold even before anything was injected"),
        (
            |r, _| {
                // Not a failure: it may have been so before.
                r.steady_state[0].baseline.held = None;
                r.steady_state[0].baseline.trouble = Some("no answer".to_owned());
                r.steady_state[0].injecting.held = Some(false);
            },
            "Nobody could measure \"p99 below 500ms\" before anything was injected: no answer.",
        ),
        (
            |r, _| r.steady_state[0].injecting.held = None,
            "Nobody could measure \"p99 below 500ms\" while faults flowed.",
        ),
        (
            |r, _| {
                r.steady_state[0].injecting.requests = Some(99);
                r.steady_state[0].injecting.held = Some(false);
            },
            "Too few requests to judge \"p99 below 500ms\" while faults flowed: 99, where 100 are needed.",
        ),
        (|r, _| r.groups.baseline.requests = 20, "Too few requests to A before anything was injected: 20"),
        (|r, _| r.join.requests = 40, "Too few requests to A while faults flowed: 40"),
        (|r, _| r.harm.could_be_called = false, "100 requests with a faulted call would not have shown harm"),
        (
            |r, _| (r.harm.method, r.groups.faulted.requests) = (String::new(), 0),
            "Whether requests were harmed is not known: no request to A with a faulted call has ended.",
        ),
        (
            |r, e| (e.expect.amplification, r.retries.amplification) = (Some(2.0), None),
            "How often A repeats calls is not known",
        ),
        (
            |r, e| (e.expect.amplification, r.join.is_usable) = (Some(2.0), false),
            "How often A repeats calls is not known",
        ),
        (
            |r, e| {
                e.minimum_requests = 0;
                (r.harm.method, r.groups.baseline.requests) = (String::new(), 0);
            },
            "there were no requests to A before anything was injected",
        ),
    ];
    inconclusive(&situations);
}

fn inconclusive(situations: &[(Change, &str)]) {
    for (change, words) in situations {
        let (verdict, reasons) = judged(change);
        assert_eq!(verdict, Verdict::Inconclusive, "{words}: {reasons:?}");
        assert!(reasons[0].contains(words), "{words}: {reasons:?}");
    }
}

#[test]
fn all_else_has_held() {
    let situations: [(Change, &str); 7] = [
        (|_, _| {}, "No more harm is shown than is tolerated: 0 of 100 requests (0"),
        (|r, e| (e.expect.unsafe_retries, r.retries.unsafe_retries) = (true, 9), "No more harm"),
        (
            |r, e| {
                e.expect.amplification = Some(2.9);
                (r.retries.amplification, r.retries.amplification_low) = (Some(3.0), Some(2.8));
            },
            "No more harm",
        ),
        (
            |r, _| {
                let route = RouteReport { suffered: true, uses_faulted: true, ..RouteReport::default() };
                r.routes.push(route);
            },
            "No more harm",
        ),
        (
            |r, _| {
                // Nothing of A's own is seen: all hangs on the statements.
                (r.join, r.groups, r.harm) = (JoinReport::default(), Groups::default(), HarmReport::default());
                r.steady_state.push(statement("probe"));
            },
            "The steady state held while faults flowed, in each of its 2 statements.",
        ),
        (
            |r, e| {
                e.expect.harmed = Percentage::ALWAYS;
                (r.harm.tolerated, r.harm.could_be_called) = (1.0, false);
            },
            "100 % more are tolerated",
        ),
        (
            |r, _| {
                (r.join.joined, r.join.is_usable) = (3, false);
                r.harm.method = "phases".to_owned();
            },
            "0 of 2000 requests were harmed while faults flowed",
        ),
    ];
    for (change, words) in situations {
        let (verdict, reasons) = judged(change);
        assert_eq!(verdict, Verdict::Held, "{words}: {reasons:?}");
        assert!(reasons[0].contains(words), "{words}: {reasons:?}");
    }
}

#[test]
fn what_has_to_be_known_besides_comes_last() {
    let (_, reasons) = judged(|r, _| {
        (r.join.joined, r.join.is_usable, r.join.lost, r.join.ids_added) = (3, false, 5, 8);
        r.steady_state[0].recovering = Held::default();
    });
    let last = reasons[reasons.len() - 3..].join(" ");
    for words in [
        "A does not pass on trace ids or request ids: only 3 of 2000 calls",
        "though Squall gave requests ids",
        "Whether it still holds after the last fault is not known: \"p99 below 500ms\".",
        "5 exchanges were not looked at",
    ] {
        assert!(last.contains(words), "{words}: {last}");
    }
}
