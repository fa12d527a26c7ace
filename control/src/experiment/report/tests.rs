//! What holds for all forms of a report.

mod any;
mod html;
mod journal;
mod junit;

use super::samples::{failed_by_guard, held, nothing_faulted};
use super::*;

/// The three ways in which a run can end.
fn all() -> [(&'static str, Report); 3] {
    [("held", held()), ("failed", failed_by_guard()), ("inconclusive", nothing_faulted())]
}

#[test]
fn markdown_is_as_it_was() {
    for (name, report) in all() {
        insta::assert_snapshot!(format!("markdown_{name}"), report.to_markdown());
    }
}

#[test]
fn junit_is_as_it_was() {
    for (name, report) in all() {
        insta::assert_snapshot!(format!("junit_{name}"), report.to_junit());
    }
}

#[test]
fn the_journal_is_as_it_was() {
    for (name, report) in all() {
        insta::assert_snapshot!(format!("journal_{name}"), report.to_journal());
    }
}

#[test]
fn json_is_read_back_as_it_was() {
    for (_, report) in all() {
        assert_eq!(serde_json::from_str::<Report>(&report.to_json()).unwrap(), report);
    }
}

#[test]
fn nothing_injected_is_said_loudly() {
    let report = nothing_faulted();
    assert!(report.to_markdown().contains("> **No fault was injected: no rule matched anything.**"));
    assert!(report.to_html().contains("<p class=\"loud\">No fault was injected: no rule matched anything.</p>"));
    assert!(!held().to_markdown().contains("No fault was injected"));
}

#[test]
fn a_post_mortem_is_drafted_only_when_something_stepped_in() {
    assert!(failed_by_guard().to_markdown().contains("## Post-mortem (draft)"));
    assert!(!held().to_markdown().contains("Post-mortem"));
    for (by, is_drafted) in [(AbortedBy::Halt, true), (AbortedBy::Harm, true), (AbortedBy::Stop, false)] {
        let aborted = Aborted { by, reason: "because".to_owned(), released_within_milliseconds: None };
        let report = Report { aborted: Some(aborted), ..failed_by_guard() };
        assert_eq!(report.to_html().contains("id=\"post-mortem\""), is_drafted, "{by:?}");
    }
}

#[test]
fn nothing_in_a_table_parts_its_cells() {
    for (name, report) in all() {
        let markdown = report.to_markdown();
        let mut width = None;
        for line in markdown.lines() {
            let bars = line.replace("\\|", "").matches('|').count();
            match width {
                _ if !line.starts_with('|') => width = None,
                None => width = Some(bars),
                Some(width) => assert_eq!(bars, width, "{name}: {line}"),
            }
        }
    }
}

#[test]
fn a_run_that_has_not_begun_is_shown() {
    let report = Report::default();
    assert!(report.to_markdown().starts_with("# RUNNING: "));
    for format in ReportFormat::ALL {
        assert!(!report.render(format).is_empty());
    }
}

#[test]
fn a_failover_is_told_with_its_time() {
    let mut report = Report { recovery_seconds: None, ..held() };
    let began = facts::injection(&report).unwrap().from;
    report.steady_state[0].broken = vec![(began + 2.0, Some(began + 3.5))];
    let name = report.steady_state[0].name.clone();
    let told = |report: &Report, words: &str| report.to_markdown().contains(words);
    let (from, to) = (wording::moment(began + 2.0), wording::moment(began + 3.5));
    let words = format!("- {name} was broken from {from} to {to}; it held again 3.5 s after faults began to flow.\n");
    assert!(told(&report, &words), "{}", report.to_markdown());
    assert!(told(&report, "The steady state was back before the last fault."));
    report.steady_state[0].broken.push((began + 5.0, None));
    assert!(told(&report, "; it did not come back."));
    assert!(told(&report, "No recovery was measured"));
    report.steady_state[0].broken = vec![(began, Some(began + 0.1)); 7];
    assert!(told(&report, ", 2 times more; it held again 100 ms after"), "{}", report.to_markdown());
}
