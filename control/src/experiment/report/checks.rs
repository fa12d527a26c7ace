//! What a run had to show, one check after the other, as systems that build and test see it. All have passed only when the
//! verdict is HELD: what nobody knows has not passed.

use super::facts::{injected_total, verdict_word};
use super::wording::{counted, measured, number, percent, points};
use super::{Held, Report, SteadyStateReport, Verdict};

/// One check.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) name: String,
    pub(super) outcome: Outcome,
}

/// What came of it, with a line that says why.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed,
    /// It is not as it should be.
    Failed(String),
    /// Nobody knows.
    Unknown(String),
    /// It could not be told, and the verdict does not depend on it.
    Skipped(String),
}

/// All checks, the verdict first.
pub(super) fn checks(report: &Report) -> Vec<Check> {
    let mut checks = vec![check("verdict", verdict(report)), check("faults were injected", injected(report))];
    checks.extend(report.steady_state.iter().map(|s| check(format!("steady state: {}", s.name), steady(report, s))));
    checks.push(check("harm", harm(report)));
    checks.extend(amplification(report).map(|outcome| check("expect: amplification", outcome)));
    checks.extend(unsafe_retries(report).map(|outcome| check("expect: no unsafe retries", outcome)));
    checks
}

fn check(name: impl Into<String>, outcome: Outcome) -> Check {
    Check { name: name.into(), outcome }
}

fn verdict(report: &Report) -> Outcome {
    let why = || {
        let reasons = report.reasons.join("; ");
        let colon = if reasons.is_empty() { "" } else { ": " };
        format!("{}{colon}{reasons}", verdict_word(report.verdict))
    };
    match report.verdict {
        Some(Verdict::Held) => Outcome::Passed,
        Some(Verdict::Failed) => Outcome::Failed(why()),
        Some(Verdict::Inconclusive) | None => Outcome::Unknown(why()),
    }
}

fn injected(report: &Report) -> Outcome {
    if injected_total(report) > 0 {
        return Outcome::Passed;
    }
    let matched = report.rules.iter().fold(0_u64, |sum, rule| sum.saturating_add(rule.matched));
    Outcome::Unknown(format!("no fault was injected; rules matched {}", counted(matched, "time")))
}

fn steady(report: &Report, statement: &SteadyStateReport) -> Outcome {
    let why = |held: &Held, what: &str| {
        let measured = measured(held, &statement.unit);
        let measured = if measured.is_empty() { String::new() } else { format!(" ({measured})") };
        format!("{what}: {}{measured}", statement.statement)
    };
    let SteadyStateReport { baseline, injecting, recovering, .. } = statement;
    match (baseline.held, injecting.held, recovering.held) {
        (_, Some(false), _) => Outcome::Failed(why(injecting, "did not hold while faults flowed")),
        (_, Some(true), Some(false)) => Outcome::Failed(why(recovering, "did not hold again after the last fault")),
        (Some(false), ..) => Outcome::Unknown(why(baseline, "did not hold before anything was injected")),
        (_, None, _) => Outcome::Unknown(why(injecting, "unknown while faults flowed")),
        (None, ..) => untold(report, why(baseline, "unknown before anything was injected")),
        (_, _, None) => untold(report, why(recovering, "unknown after the last fault")),
        (Some(true), Some(true), Some(true)) => Outcome::Passed,
    }
}

fn harm(report: &Report) -> Outcome {
    let harm = &report.harm;
    if harm.is_called {
        let difference = harm.difference.map(points).unwrap_or_default();
        return Outcome::Failed(format!(
            "requests with a faulted call were harmed more than tolerated: {difference}, tolerated {}, evidence {}",
            percent(harm.tolerated),
            number(harm.evidence)
        ));
    }
    if harm.method.is_empty() { untold(report, "whether faults did harm could not be told") } else { Outcome::Passed }
}

/// `None` when nothing is expected of it.
fn amplification(report: &Report) -> Option<Outcome> {
    let most = report.document.pointer("/spec/expect/amplification")?.as_f64()?;
    Some(match report.retries.amplification {
        Some(factor) if factor <= most => Outcome::Passed,
        Some(factor) => Outcome::Failed(format!(
            "calls for one request were multiplied by {}, expected at most {}",
            number(factor),
            number(most)
        )),
        None => untold(report, "calls for one request could not be counted in both groups"),
    })
}

/// `None` when they are allowed.
fn unsafe_retries(report: &Report) -> Option<Outcome> {
    let are_allowed = report.document.pointer("/spec/expect/unsafe_retries")?.as_bool()?;
    let tries = report.retries.unsafe_retries;
    (!are_allowed).then(|| match tries {
        0 => Outcome::Passed,
        _ => Outcome::Failed(format!("calls that are not safe to repeat were tried again {}", counted(tries, "time"))),
    })
}

/// Whoever reached a verdict did without it; otherwise it is missing.
fn untold(report: &Report, why: impl Into<String>) -> Outcome {
    match report.verdict {
        Some(Verdict::Held) => Outcome::Skipped(why.into()),
        _ => Outcome::Unknown(why.into()),
    }
}
