//! A report as the journal that `chaos run` of Chaos Toolkit writes, for what reads those.
//!
//! Statements of the steady state become probes whose output says whether they held, rules become actions, and the end of all
//! faults the rollback. There is no word for INCONCLUSIVE: such a run is `aborted`, so that nobody takes it for a success.

use serde_json::{Value, json};

use super::facts::{TimeSpan, injected_total, injection, span, took};
use super::wording::clock;
use super::{AbortedBy, Held, Report, RuleReport, RunPhase, SteadyStateReport, Verdict};

/// The version of chaostoolkit-lib whose journals have this shape; readers choose how to read by it.
const CHAOSLIB_VERSION: &str = "1.44.0";

impl Report {
    /// The journal. `status` and `end` are null while the run has not ended.
    pub(crate) fn to_journal(&self) -> String {
        let duration = took(self);
        let journal = json!({
            "chaoslib-version": CHAOSLIB_VERSION,
            "platform": format!("squall {}", self.squall_version),
            "node": "squall",
            "experiment": experiment(self),
            "start": time(self, 0.0),
            "end": self.ended_at.as_ref().map(|_| time(self, duration)),
            "duration": duration,
            "status": self.verdict.map(|verdict| status(self, verdict)),
            "deviated": self.verdict == Some(Verdict::Failed),
            "steady_states": {
                "before": steady_state(self, RunPhase::Baseline),
                "after": steady_state(self, RunPhase::Recovering),
                "during": steady_state(self, RunPhase::Injecting).into_iter().collect::<Vec<_>>(),
            },
            "run": self.rules.iter().map(|rule| run(self, rule)).collect::<Vec<_>>(),
            "rollbacks": rollback_run(self).into_iter().collect::<Vec<_>>(),
            "squall": { "run": self.run, "verdict": self.verdict, "reasons": self.reasons, "aborted": self.aborted },
        });
        crate::text::pretty(&journal)
    }
}

/// Chaos Toolkit calls a run whose steady state deviated `completed`, and says `deviated`; `failed` is one whose steady state was not
/// there to begin with. What people or guards ended is `interrupted`, whatever had been found by then.
fn status(report: &Report, verdict: Verdict) -> &'static str {
    match (verdict, report.aborted.as_ref().map(|aborted| aborted.by)) {
        (_, Some(AbortedBy::Baseline)) => "failed",
        (_, Some(AbortedBy::Restart | AbortedBy::Refused)) => "aborted",
        (_, Some(AbortedBy::Stop | AbortedBy::Halt | AbortedBy::Guard | AbortedBy::Duration)) => "interrupted",
        (Verdict::Held | Verdict::Inconclusive, Some(AbortedBy::Harm)) => "interrupted",
        (Verdict::Inconclusive, None) => "aborted",
        (Verdict::Failed, Some(AbortedBy::Harm) | None) | (Verdict::Held, None) => "completed",
    }
}

fn experiment(report: &Report) -> Value {
    let title = if report.title.is_empty() { &report.experiment } else { &report.title };
    let description = if report.hypothesis.is_empty() { title } else { &report.hypothesis };
    json!({
        "version": "1.0.0",
        "title": title,
        "description": description,
        "tags": ["squall", report.experiment],
        "configuration": {},
        "steady-state-hypothesis": {
            "title": description,
            "probes": report.steady_state.iter().map(|statement| probe(report, statement)).collect::<Vec<_>>(),
        },
        "method": report.rules.iter().map(|rule| action(report, rule)).collect::<Vec<_>>(),
        "rollbacks": [rollback(report)],
    })
}

fn probe(report: &Report, statement: &SteadyStateReport) -> Value {
    json!({
        "type": "probe",
        "name": format!("{}: {}", statement.name, statement.statement),
        "tolerance": true,
        "provider": squall(report, "get"),
    })
}

fn action(report: &Report, rule: &RuleReport) -> Value {
    let name = if rule.step.is_empty() { rule.name.clone() } else { format!("{}: {}", rule.step, rule.name) };
    json!({ "type": "action", "name": name, "provider": squall(report, "run") })
}

fn rollback(report: &Report) -> Value {
    json!({ "type": "action", "name": "end all faults", "provider": squall(report, "stop") })
}

/// What does the same by hand.
fn squall(report: &Report, verb: &str) -> Value {
    json!({ "type": "process", "path": "squall", "arguments": ["experiment", verb, report.experiment] })
}

/// `None` when the run did not get to that phase.
fn steady_state(report: &Report, phase: RunPhase) -> Option<Value> {
    let span = span(report, phase)?;
    let held_in = |statement: &'_ SteadyStateReport| match phase {
        RunPhase::Baseline => statement.baseline.clone(),
        RunPhase::Recovering => statement.recovering.clone(),
        _ => statement.injecting.clone(),
    };
    let probes: Vec<Value> = report
        .steady_state
        .iter()
        .map(|statement| {
            let held = held_in(statement);
            let mut run = activity_run(report, &probe(report, statement), span);
            run["status"] = if held.held.is_some() { "succeeded" } else { "failed" }.into();
            run["tolerance_met"] = (held.held == Some(true)).into();
            run["output"] = held.held.into();
            run["measured"] = measured(&held, &statement.unit);
            run
        })
        .collect();
    let is_met = report.steady_state.iter().all(|statement| held_in(statement).held == Some(true));
    Some(json!({ "steady_state_met": is_met, "probes": probes }))
}

/// Readers of journals pass over keys that they do not know.
fn measured(held: &Held, unit: &str) -> Value {
    json!({
        "value": held.value,
        "unit": unit,
        "requests": held.requests,
        "trouble": held.trouble,
    })
}

/// A rule that injected nothing has not done its work.
fn run(report: &Report, rule: &RuleReport) -> Value {
    let mut run = activity_run(report, &action(report, rule), injection(report).unwrap_or_default());
    run["status"] = if rule.injected > 0 { "succeeded" } else { "failed" }.into();
    run["output"] = json!({
        "percentage": rule.percentage,
        "matched": rule.matched,
        "injected": rule.injected,
        "unit": rule.unit,
        "fault": rule.fault,
    });
    run
}

/// All faults end with the injection, however it ends.
fn rollback_run(report: &Report) -> Option<Value> {
    let end = injection(report).filter(|_| report.verdict.is_some())?.to;
    let mut run = activity_run(report, &rollback(report), TimeSpan { from: end, to: end });
    run["status"] = "succeeded".into();
    let within = report.aborted.as_ref().and_then(|aborted| aborted.released_within_milliseconds);
    run["output"] = json!({ "injected": injected_total(report), "released_within_milliseconds": within });
    Some(run)
}

fn activity_run(report: &Report, activity: &Value, TimeSpan { from, to }: TimeSpan) -> Value {
    json!({
        "activity": activity,
        "output": null,
        "status": null,
        "start": time(report, from),
        "end": time(report, to),
        "duration": to - from,
    })
}

/// The time of the clock; the start itself where there is no such time.
fn time(report: &Report, after: f64) -> String {
    clock(&report.started_at, after).unwrap_or_else(|| report.started_at.clone())
}
