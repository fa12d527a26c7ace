//! What several parts of a report are made from: words and sums that it does not have as they are.

use super::{AbortedBy, Report, RunPhase, Verdict};

/// From when to when, in seconds since the start of the run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TimeSpan {
    pub(super) from: f64,
    pub(super) to: f64,
}

/// In capitals.
pub(super) fn verdict_word(verdict: Option<Verdict>) -> &'static str {
    verdict.map_or("RUNNING", Verdict::as_str)
}

/// From its start to the end of its last phase, in seconds.
pub(super) fn took(report: &Report) -> f64 {
    report.phases.iter().map(|span| span.to).filter(|to| to.is_finite()).fold(0.0, f64::max)
}

/// When faults began and when they had ended; `None` when it did not get so far.
pub(super) fn injection(report: &Report) -> Option<TimeSpan> {
    span(report, RunPhase::Injecting)
}

/// When a phase first began and last ended; `None` when the run did not get to it.
pub(super) fn span(report: &Report, phase: RunPhase) -> Option<TimeSpan> {
    let mut spans = report.phases.iter().filter(|span| span.phase == phase);
    let first = spans.next()?;
    Some(TimeSpan { from: first.from, to: spans.next_back().unwrap_or(first).to })
}

/// What got a fault, all rules together.
pub(super) fn injected_total(report: &Report) -> u64 {
    report.rules.iter().fold(0, |sum, rule| sum.saturating_add(rule.injected))
}

/// Who or what ended it, as the subject of a sentence.
pub(super) fn ended_by(by: AbortedBy) -> &'static str {
    match by {
        AbortedBy::Stop => "somebody who asked for it",
        AbortedBy::Halt => "the kill switch",
        AbortedBy::Guard => "a guard",
        AbortedBy::Harm => "harm beyond doubt",
        AbortedBy::Baseline => "a steady state that did not hold before anything was injected",
        AbortedBy::Duration => "the longest time that it may take",
        AbortedBy::Restart => "the end of the process",
        AbortedBy::Refused => "rules that could not be put in force",
    }
}
