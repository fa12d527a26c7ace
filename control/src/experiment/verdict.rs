//! What is concluded from a report, and why.
//!
//! FAILED outranks INCONCLUSIVE, but for one thing: where nothing was faulted, nothing that happened can have come of it.
//! A run that finds nothing wrong is HELD only when it could have found it: enough requests, each statement measured, and so
//! many faulted requests that harm of all of them would have been beyond doubt.

mod wording;

use squall_config::model::Experiment;

use super::report::{AbortedBy, Held, Report, RunPhase, SteadyStateReport, Verdict};

/// Concludes. The reasons come most important first; a report whose verdict is to be told has all its other figures.
pub(super) fn judge(report: &Report, experiment: &Experiment) -> (Verdict, Vec<String>) {
    if report.rules.iter().map(|rule| rule.injected).sum::<u64>() == 0 {
        return (Verdict::Inconclusive, nothing_faulted(report));
    }
    let failures = failures(report, experiment);
    let doubts = doubts(report, experiment);
    let verdict = match (failures.is_empty(), doubts.is_empty()) {
        (false, _) => Verdict::Failed,
        (true, false) => Verdict::Inconclusive,
        (true, true) => Verdict::Held,
    };
    let good = if verdict == Verdict::Held { good(report) } else { Vec::new() };
    let reasons = failures.into_iter().chain(doubts).chain(good).chain(notes(report)).collect();
    (verdict, reasons)
}

/// Why there was no fault.
fn nothing_faulted(report: &Report) -> Vec<String> {
    let matched: u64 = report.rules.iter().map(|rule| rule.matched).sum();
    let calls: u64 = report.series.iter().map(|point| point.calls).sum();
    let has_injected = report.phases.iter().any(|span| span.phase == RunPhase::Injecting);
    let why = if !has_injected {
        "Nothing was injected: it ended before its rules were in force.".to_owned()
    } else if matched > 0 {
        format!(
            "Nothing was faulted: the rules matched {matched} times, and their share picked none of them; raise the \
             percentage, or inject for longer."
        )
    } else if calls > 0 {
        format!("Nothing was faulted: A made {calls} calls through Squall, and the rules match none of them.")
    } else {
        "Nothing was faulted: A does not call through Squall, or the rules match nothing it calls.".to_owned()
    };
    std::iter::once(why).chain(ended_early(report)).collect()
}

/// What shows that the hypothesis is false.
fn failures(report: &Report, experiment: &Experiment) -> Vec<String> {
    let mut found = Vec::new();
    if report.harm.is_called {
        found.push(wording::harm(report));
    }
    match &report.aborted {
        Some(aborted) if aborted.by == AbortedBy::Guard => found.push(format!("A guard ended it: {}.", aborted.reason)),
        Some(aborted) if aborted.by == AbortedBy::Harm && !report.harm.is_called => {
            found.push(format!("Harm ended it: {}.", aborted.reason));
        }
        _ => {}
    }
    for statement in judged(report, experiment) {
        if statement.injecting.held == Some(false) {
            found.push(wording::broken(statement, &statement.injecting, "while faults flowed"));
        }
        if statement.recovering.held == Some(false) {
            found.push(wording::broken(statement, &statement.recovering, "again after the last fault"));
        }
    }
    found.extend(retry_failures(report, experiment));
    // "Nothing else may suffer" is a part of each hypothesis: that is what blast radius means. It is told only where it is
    // known which routes need what was faulted.
    let others = report.routes.iter().filter(|route| route.suffered && !route.uses_faulted && report.join.is_usable);
    found.extend(others.map(wording::suffered));
    found
}

/// Statements that held before anything was injected, and were measured then and while faults flowed.
fn judged<'a>(report: &'a Report, experiment: &Experiment) -> impl Iterator<Item = &'a SteadyStateReport> {
    let minimum = experiment.minimum_requests;
    let is_enough = move |held: &Held| held.requests.is_none_or(|requests| requests >= minimum);
    report.steady_state.iter().filter(move |statement| {
        statement.baseline.held == Some(true) && is_enough(&statement.baseline) && is_enough(&statement.injecting)
    })
}

fn retry_failures(report: &Report, experiment: &Experiment) -> Vec<String> {
    let (retries, expect) = (&report.retries, &experiment.expect);
    let mut found = Vec::new();
    let is_beyond = |max: &f64| report.join.is_usable && retries.amplification_low.is_some_and(|low| low > *max);
    if let (Some(max), Some(amplification)) = (expect.amplification.filter(is_beyond), retries.amplification) {
        let calls = wording::number(amplification);
        found.push(format!(
            "A made {calls} calls for each that it makes without a fault; at most {} are expected.",
            wording::number(max)
        ));
    }
    if !expect.unsafe_retries && retries.unsafe_retries > 0 {
        found.push(format!(
            "A repeated calls that are not safe to repeat: {} times, with neither an idempotent method nor an \
             Idempotency-Key.",
            retries.unsafe_retries
        ));
    }
    found
}

/// Why nothing can be said.
fn doubts(report: &Report, experiment: &Experiment) -> Vec<String> {
    let mut found: Vec<String> = ended_early(report).into_iter().collect();
    let minimum = experiment.minimum_requests;
    for statement in &report.steady_state {
        found.extend(doubt(statement, minimum));
    }
    let (before, during) = (report.groups.baseline.requests, report.join.requests);
    if during == 0 {
        // Then there are only the statements.
        return found;
    }
    for (requests, when) in [(before, "before anything was injected"), (during, "while faults flowed")] {
        if requests < minimum {
            found.push(format!("Too few requests to A {when}: {requests}, where {minimum} are needed."));
        }
    }
    found.extend(harm_doubt(report));
    let is_known = report.join.is_usable && report.retries.amplification.is_some();
    if experiment.expect.amplification.is_some() && !is_known {
        found.push(
            "How often A repeats calls is not known: too few could be joined with the request that they were made for."
                .into(),
        );
    }
    found
}

/// Why a statement says nothing; nothing when it does.
fn doubt(statement: &SteadyStateReport, minimum: u64) -> Option<String> {
    let said = wording::statement(statement);
    let phases = [(&statement.baseline, "before anything was injected"), (&statement.injecting, "while faults flowed")];
    for (held, when) in phases {
        if let Some(requests) = held.requests.filter(|requests| *requests < minimum) {
            return Some(format!("Too few requests to judge {said} {when}: {requests}, where {minimum} are needed."));
        }
        if held.held.is_none() {
            let trouble = held.trouble.as_ref().map(|trouble| format!(": {trouble}")).unwrap_or_default();
            return Some(format!("Nobody could measure {said} {when}{trouble}."));
        }
    }
    let is_broken = statement.baseline.held == Some(false);
    is_broken.then(|| wording::broken(statement, &statement.baseline, "even before anything was injected"))
}

/// Why harm would not have been seen; nothing when it would.
fn harm_doubt(report: &Report) -> Option<String> {
    let (harm, faulted) = (&report.harm, report.groups.faulted.requests);
    if harm.is_called || harm.tolerated >= 1.0 {
        return None;
    }
    if harm.method.is_empty() {
        let why = if report.groups.baseline.requests == 0 {
            "there were no requests to A before anything was injected"
        } else {
            "no request to A with a faulted call has ended"
        };
        return Some(format!("Whether requests were harmed is not known: {why}."));
    }
    let of = if report.join.is_usable {
        format!("{faulted} requests with a faulted call")
    } else {
        format!("{} requests to A while faults flowed", report.join.requests)
    };
    (!harm.could_be_called).then(|| {
        format!("Too few to tell: {of} would not have shown harm beyond doubt, even had each faulted one been harmed.")
    })
}

/// Who ended it, when it was neither time nor a failure.
fn ended_early(report: &Report) -> Option<String> {
    let aborted = report.aborted.as_ref()?;
    let who = match aborted.by {
        AbortedBy::Guard | AbortedBy::Harm => return None,
        AbortedBy::Stop => "It was stopped",
        AbortedBy::Halt => "All faults were halted",
        AbortedBy::Baseline => "The steady state did not hold before anything was injected",
        AbortedBy::Duration => "It took longer than it may",
        AbortedBy::Restart => "Squall was ended or started anew meanwhile",
        AbortedBy::Refused => "Its rules could not be put in force",
    };
    Some(if aborted.reason.is_empty() { format!("{who}.") } else { format!("{who}: {}.", aborted.reason) })
}

/// What speaks for the hypothesis.
fn good(report: &Report) -> Vec<String> {
    let mut found = Vec::new();
    if !report.harm.method.is_empty() {
        found.push(wording::harm(report));
    }
    if report.join.is_usable && report.groups.faulted.requests > 0 {
        found.push(wording::endings(&report.groups.faulted));
    }
    found.push(match report.steady_state.as_slice() {
        [one] => format!("The steady state held while faults flowed: {}.", wording::statement(one)),
        all => format!("The steady state held while faults flowed, in each of its {} statements.", all.len()),
    });
    found
}

/// What else has to be known to read it.
fn notes(report: &Report) -> Vec<String> {
    let (join, mut found) = (&report.join, Vec::new());
    if join.calls > 0 && !join.is_usable {
        let ids = if join.ids_added > 0 { ", though Squall gave requests ids" } else { "" };
        found.push(format!(
            "A does not pass on trace ids or request ids: only {} of {} calls could be joined with the request that they were \
             made for{ids}. So requests while faults flowed are compared with those before; what changes with time by \
             itself looks like harm.",
            join.joined, join.calls
        ));
    }
    if let Some(sampled) = join.sampled {
        found.push(format!(
            "One trace in {} was looked at: {:.0} of {:.0} requests a second.",
            sampled.one_in, sampled.joined_per_second, sampled.requests_per_second
        ));
    }
    if join.requests == 0 {
        found.push(
            "No calls to A went through Squall while faults flowed, so only the steady state is judged.".to_owned(),
        );
    }
    for statement in report.steady_state.iter().filter(|s| s.injecting.held == Some(true) && report.aborted.is_none()) {
        if statement.recovering.held.is_none() {
            let said = wording::statement(statement);
            found.push(format!("Whether it still holds after the last fault is not known: {said}."));
        }
    }
    if join.lost > 0 {
        found.push(format!("{} exchanges were not looked at: there was no room for them.", join.lost));
    }
    found
}

#[cfg(test)]
mod tests;
