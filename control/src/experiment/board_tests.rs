//! What those see that ask for a run.

use super::*;
use crate::experiment::tests::experiment;

/// A board with one experiment, a run of which has held.
fn held_once() -> ExperimentBoard {
    let board = ExperimentBoard::default();
    board.put(&experiment().name, ExperimentDocument::default(), None).unwrap();
    board.ask(experiment()).unwrap();
    let run = board.take_asked().pop().unwrap().run;
    let report = Report { experiment: "e".to_owned(), run, verdict: Some(Verdict::Held), ..Report::default() };
    board.end(Arc::new(report), None);
    board
}

#[test]
fn the_report_of_the_run_before_is_never_that_of_one_that_was_asked_for() {
    let board = held_once();
    assert_eq!(board.get("e").unwrap().report(None).unwrap().verdict, Some(Verdict::Held));
    board.ask(experiment()).unwrap();
    // The runner has not looked yet.
    let entry = board.get("e").unwrap();
    let report = entry.report(None).unwrap();
    assert_eq!((report.run, report.verdict), (2, None));
    assert!(matches!(&entry.state, State::Running(live) if live.phase == RunPhase::Pending));
    assert_eq!(entry.report(Some(1)).unwrap().verdict, Some(Verdict::Held));
    assert_eq!(board.ask(experiment()), Err(Refusal::Running));
}

#[test]
fn what_is_stopped_before_it_has_begun_ends_with_a_report() {
    let board = held_once();
    board.ask(experiment()).unwrap();
    board.stop("e", "enough").unwrap();
    let run = board.take_asked().pop().unwrap().run;
    assert_eq!(run, 2);
    let stop = board.show("e", RunPhase::Baseline, None).stop;
    assert_eq!(stop.map(|aborted| (aborted.by, aborted.reason)), Some((AbortedBy::Stop, "enough".to_owned())));
}
