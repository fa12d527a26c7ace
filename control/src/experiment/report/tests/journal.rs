use super::*;

fn journal(report: &Report) -> Value {
    serde_json::from_str(&report.to_journal()).unwrap()
}

#[test]
fn it_has_all_that_readers_of_journals_ask_for() {
    for (name, report) in all() {
        let journal = journal(&report);
        for pointer in [
            "/chaoslib-version",
            "/platform",
            "/node",
            "/start",
            "/end",
            "/duration",
            "/deviated",
            "/experiment/title",
            "/experiment/description",
            "/experiment/steady-state-hypothesis/title",
            "/experiment/steady-state-hypothesis/probes/0/tolerance",
            "/experiment/method/0/provider/type",
            "/experiment/rollbacks/0/provider/type",
            "/steady_states/before/steady_state_met",
            "/steady_states/after/probes/0/tolerance_met",
            "/steady_states/during/0/probes/0/activity/name",
            "/run/0/activity/provider/type",
            "/run/0/output",
            "/run/0/start",
            "/run/0/end",
            "/rollbacks/0/status",
        ] {
            assert!(journal.pointer(pointer).is_some_and(|value| !value.is_null()), "{name}: {pointer} in {journal:#}");
        }
    }
}

#[test]
fn only_a_run_that_held_is_completed_without_a_deviation() {
    let mut seen = Vec::new();
    for (_, report) in all() {
        let journal = journal(&report);
        seen.push((journal["status"].clone(), journal["deviated"].clone()));
    }
    let expected = [("completed", false), ("interrupted", true), ("aborted", false)];
    assert_eq!(seen, expected.map(|(status, deviated)| (status.into(), deviated.into())));
    let failed_to_its_end = journal(&Report { aborted: None, ..failed_by_guard() });
    assert_eq!((&failed_to_its_end["status"], &failed_to_its_end["deviated"]), (&"completed".into(), &true.into()));
    assert_eq!(journal(&Report { verdict: None, ..held() })["status"], Value::Null);
}

#[test]
fn who_ended_it_decides_the_status_of_what_is_inconclusive() {
    for (by, status) in [
        (AbortedBy::Stop, "interrupted"),
        (AbortedBy::Halt, "interrupted"),
        (AbortedBy::Duration, "interrupted"),
        (AbortedBy::Baseline, "failed"),
        (AbortedBy::Restart, "aborted"),
        (AbortedBy::Refused, "aborted"),
    ] {
        let aborted = Aborted { by, reason: String::new(), released_within_milliseconds: None };
        let report = Report { aborted: Some(aborted), ..nothing_faulted() };
        assert_eq!(journal(&report)["status"], status, "{by:?}");
    }
}

#[test]
fn times_are_those_of_the_clock() {
    let journal = journal(&failed_by_guard());
    assert_eq!(journal["run"][0]["start"], "2026-11-25T10:00:30.000Z");
    assert_eq!(journal["run"][0]["end"], "2026-11-25T10:00:55.200Z");
    assert_eq!(journal["end"], "2026-11-25T10:01:25.200Z");
}
