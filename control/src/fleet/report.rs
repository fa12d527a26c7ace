//! What the controller is told.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use squall_orders::{ExperimentReport, REPORT_BYTES_MAX, Report, RuleReport};

use super::answer::Unread;
use super::answer::shortened;
use crate::publish::View;

/// How the ordered rules are: those of the document, and those that could not be read.
pub(super) fn rules(view: &View, unread: &[Unread]) -> Vec<RuleReport> {
    let counts: BTreeMap<&str, (u64, u64)> = view
        .snapshot
        .rules
        .iter()
        .map(|rule| {
            let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
            (rule.rule.name.as_str(), (count(&rule.state.matched), count(&rule.state.injected)))
        })
        .collect();
    let ordered = view.written.ordered.rules.iter().map(|rule| {
        let name = rule.spec.name.as_str();
        let (matched, injected) =
            rule.problem.is_none().then(|| counts.get(name).copied()).flatten().unwrap_or_default();
        RuleReport { name: name.to_owned(), matched, injected, problem: rule.problem.as_deref().map(shortened) }
    });
    let unread = unread.iter().map(|unread| RuleReport {
        name: unread.name.clone(),
        problem: Some(unread.problem.clone()),
        ..RuleReport::default()
    });
    ordered.chain(unread).collect()
}

/// As the controller takes it: of one that is too long, less of the rules is told, so that it is heard at all.
pub(super) fn text(mut report: Report) -> Vec<u8> {
    loop {
        let text = serde_json::to_vec(&report).unwrap_or_default();
        if text.len() <= REPORT_BYTES_MAX || (report.rules.is_empty() && report.experiments.is_empty()) {
            return text;
        }
        report.rules.truncate(report.rules.len() / 2);
        if report.rules.is_empty() {
            report.experiments.truncate(report.experiments.len() / 2);
        }
    }
}

/// An experiment that has not begun here, and why.
pub(super) fn waiting(name: &str, problem: &str) -> ExperimentReport {
    let (name, phase, problem) = (name.to_owned(), "pending".to_owned(), Some(shortened(problem)));
    ExperimentReport { name, phase, problem, ..ExperimentReport::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_never_too_long_to_be_heard() {
        let rule =
            |n: u32| RuleReport { name: format!("rule-{n}"), problem: Some("x".repeat(500)), ..RuleReport::default() };
        let report = Report { version: "1".to_owned(), rules: (0..20_000).map(rule).collect(), ..Report::default() };
        let told = text(report);
        let read: Report = serde_json::from_slice(&told).unwrap_or_default();
        assert!(
            told.len() <= REPORT_BYTES_MAX && read.rules.len() > 500,
            "{} bytes, {} rules",
            told.len(),
            read.rules.len()
        );
        assert_eq!((read.version.as_str(), read.rules[0].name.as_str()), ("1", "rule-0"));
    }
}
