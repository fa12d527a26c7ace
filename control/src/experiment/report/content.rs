//! What a report says, section by section, the verdict first.

mod behaviour;
pub(super) mod course;
mod measured;

use super::facts::{TimeSpan, ended_by, injected_total, injection, took, verdict_word};
use super::page::{Block, Cell, Drawing, Section, Table};
use super::wording::{count, line, moment, seconds};
use super::{Report, Verdict, postmortem};

/// All of it.
pub(super) fn sections(report: &Report) -> Vec<Section> {
    let mut sections = opening(report);
    sections.extend([
        over_time(report),
        measured::groups(report),
        measured::harm(report),
        behaviour::retries(report),
        behaviour::breaker(report),
        behaviour::queue(report),
        behaviour::routes(report),
        course::timeline(report),
        course::exemplars(report),
    ]);
    sections.extend(postmortem::section(report));
    sections.push(course::configuration(report));
    sections
}

/// What everybody wants to know: the verdict, what was expected, what was injected and what it did to the steady state.
pub(super) fn opening(report: &Report) -> Vec<Section> {
    vec![verdict(report), hypothesis(report), course::injected(report), measured::steady_state(report)]
}

/// What all pages are headed with.
pub(super) fn heading(report: &Report) -> String {
    let title = line(if report.title.is_empty() { &report.experiment } else { &report.title });
    format!("{}: {title}", verdict_word(report.verdict))
}

/// What a verdict means.
fn meaning(verdict: Option<Verdict>) -> &'static str {
    match verdict {
        Some(Verdict::Held) => "the hypothesis is as true as before, and this run could have shown it to be false.",
        Some(Verdict::Failed) => "the hypothesis is false.",
        Some(Verdict::Inconclusive) => "this run says nothing about the hypothesis, neither for it nor against it.",
        None => "the run has not ended; this is what is known so far.",
    }
}

fn verdict(report: &Report) -> Section {
    let mut blocks = vec![Block::Verdict { verdict: report.verdict, text: meaning(report.verdict).to_owned() }];
    if !report.reasons.is_empty() {
        blocks.push(Block::List(report.reasons.clone()));
    }
    if injected_total(report) == 0 {
        blocks.push(Block::Loud(course::nothing_injected(report)));
    }
    if let Some(aborted) = &report.aborted {
        blocks.push(Block::Text(format!("Ended before its time by {}: {}", ended_by(aborted.by), aborted.reason)));
    }
    blocks.push(Table::facts("The run", run_facts(report)));
    Section::new("verdict", "Verdict", blocks)
}

fn run_facts(report: &Report) -> Vec<(&'static str, Cell)> {
    let mut facts =
        vec![("Experiment", Cell::code(report.experiment.as_str())), ("Run", Cell::plain(count(report.run)))];
    if let Some(owner) = &report.owner {
        facts.push(("Owner", Cell::plain(owner.as_str())));
    }
    facts.push(("Started", Cell::plain(report.started_at.as_str())));
    facts.push(("Ended", report.ended_at.as_deref().map_or(Cell::unknown("not yet"), Cell::plain)));
    facts.push(("Took", Cell::plain(seconds(took(report)))));
    if let Some(TimeSpan { from, to }) = injection(report) {
        facts.push(("Rules in force", Cell::plain(format!("from {} to {}", moment(from), moment(to)))));
    }
    if let Some(milliseconds) = report.aborted.as_ref().and_then(|aborted| aborted.released_within_milliseconds) {
        facts.push(("All faults released within", Cell::plain(format!("{} ms", count(milliseconds)))));
    }
    facts.push(("Squall", Cell::plain(report.squall_version.as_str())));
    facts
}

fn hypothesis(report: &Report) -> Section {
    let mut blocks = Vec::new();
    if report.hypothesis.is_empty() {
        blocks.push(Block::Text("None is written down.".to_owned()));
    } else {
        blocks.push(Block::Text(report.hypothesis.clone()));
    }
    if !report.links.is_empty() {
        blocks.push(Block::Links(report.links.clone()));
    }
    Section::new("hypothesis", "Hypothesis", blocks)
}

fn over_time(report: &Report) -> Section {
    let drawings = [Drawing::Traffic, Drawing::Errors, Drawing::Latency, Drawing::InFlight];
    let blocks = if report.series.is_empty() { Vec::new() } else { drawings.map(Block::Drawing).into() };
    Section::new("over-time", "Over time", blocks)
}
