//! A draft of a post-mortem, for a run that a guard, harm or the kill switch ended. It says what the report knows, of systems
//! and not of people; what the report cannot know is left to be filled in.

use super::content::course::events;
use super::facts::{TimeSpan, ended_by, injected_total, injection};
use super::page::{Block, Cell, Section, Table, words};
use super::wording::{count, counted, interval, moment, number, percent, seconds, share};
use super::{Aborted, AbortedBy, Report, RouteReport};

/// What a table says where a person has to write.
const GAP: &str = "to be filled in";

const BLAMELESS: &str = "Made from this report. It is about systems, not about people: everybody did what made sense with \
                         what they knew.";

/// The draft; `None` when nothing ended the run that calls for one.
pub(super) fn section(report: &Report) -> Option<Section> {
    let aborted = report.aborted.as_ref()?;
    if !matches!(aborted.by, AbortedBy::Guard | AbortedBy::Harm | AbortedBy::Halt) {
        return None;
    }
    let mut blocks = vec![
        Block::Text(BLAMELESS.to_owned()),
        Block::Heading("Summary"),
        Block::Text(summary(report, aborted)),
        Block::Gap("why it happened, in two sentences".to_owned()),
        Block::Heading("Impact"),
        Block::List(impact(report)),
        Block::Gap("what users and the business noticed".to_owned()),
        Block::Heading("What happened when"),
        events(report, "Events of the run"),
        Block::Gap("who was told when, and what was done outside of Squall".to_owned()),
    ];
    blocks.extend(lessons("What went well", went_well(report), "what else helped"));
    blocks.extend(lessons("What went wrong", went_wrong(report), "what else made it worse"));
    blocks.extend(lessons("Where we were lucky", Vec::new(), "what could as well have gone worse"));
    blocks.extend(lessons("Questions", questions(report), "the answers, and further questions"));
    blocks.extend([Block::Heading("Action items"), Block::Table(actions(report))]);
    Some(Section::new("post-mortem", "Post-mortem (draft)", blocks))
}

/// A heading, what the report knows of it, and what is missing.
fn lessons(heading: &'static str, known: Vec<String>, missing: &str) -> Vec<Block> {
    let mut blocks = vec![Block::Heading(heading)];
    if !known.is_empty() {
        blocks.push(Block::List(known));
    }
    blocks.push(Block::Gap(missing.to_owned()));
    blocks
}

fn summary(report: &Report, aborted: &Aborted) -> String {
    let matched = report.rules.iter().fold(0_u64, |sum, rule| sum.saturating_add(rule.matched));
    let began = match injection(report) {
        Some(TimeSpan { from, to }) => format!("Rules were in force for {}", seconds(to - from)),
        None => "No rule was in force".to_owned(),
    };
    format!(
        "The experiment {} started at {}. {began}: {} were injected, and rules matched {} times. It was ended by {}: {}",
        report.experiment,
        report.started_at,
        counted(injected_total(report), "fault"),
        count(matched),
        ended_by(aborted.by),
        aborted.reason,
    )
}

fn impact(report: &Report) -> Vec<String> {
    let groups = &report.groups;
    let mut known = vec![format!("{} ended while faults flowed.", counted(report.join.requests, "request"))];
    for (name, group) in [("faulted", &groups.faulted), ("control", &groups.control), ("others", &groups.others)] {
        if group.requests > 0 {
            let harmed = format!("{}, with 95 % confidence {}", share(group.harmed), interval(group.harmed));
            known.push(format!("Harmed of {} of the group {name}: {harmed}.", counted(group.requests, "request")));
        }
    }
    let worse: Vec<&str> = suffered(report).map(|route| route.route.as_str()).collect();
    if !worse.is_empty() {
        known.push(format!("Routes that fared worse beyond doubt: {}.", worse.join(", ")));
    }
    known
}

fn suffered(report: &Report) -> impl Iterator<Item = &RouteReport> {
    report.routes.iter().filter(|route| route.suffered)
}

fn went_well(report: &Report) -> Vec<String> {
    let mut known = Vec::new();
    if let Some(aborted) = &report.aborted {
        known.push(format!("The run was ended by {}, and did not go on to its planned end.", ended_by(aborted.by)));
        if let Some(milliseconds) = aborted.released_within_milliseconds {
            known.push(format!("No fault was in force more than {} ms after that.", count(milliseconds)));
        }
    }
    if let Some(after) = report.recovery_seconds {
        known.push(format!("The steady state was back {} after the last fault.", seconds(after)));
    }
    let absorbed = report.groups.faulted.absorbed;
    if absorbed.count > 0 {
        known.push(format!("The service absorbed {} of the requests with a faulted call.", share(absorbed)));
    }
    let held = report.steady_state.iter().filter(|statement| statement.injecting.held == Some(true));
    known.extend(held.map(|statement| format!("It held while faults flowed: {}.", statement.statement)));
    known
}

fn went_wrong(report: &Report) -> Vec<String> {
    let mut known: Vec<String> = Vec::new();
    for statement in &report.steady_state {
        if statement.injecting.held == Some(false) {
            known.push(format!("It did not hold while faults flowed: {}.", statement.statement));
        }
        if statement.recovering.held == Some(false) {
            known.push(format!("It did not hold again after the last fault: {}.", statement.statement));
        }
    }
    if report.harm.is_called {
        let since = report.harm.called_at.map(|at| format!(" since {}", moment(at))).unwrap_or_default();
        known.push(format!("Requests with a faulted call were harmed more than is tolerated, beyond doubt{since}."));
    }
    known.extend(suffered(report).map(|route| format!("The route {} fared worse, beyond doubt.", route.route)));
    if report.retries.unsafe_retries > 0 {
        let tries = counted(report.retries.unsafe_retries, "time");
        known.push(format!("Calls that are not safe to repeat were tried again {tries}."));
    }
    if injected_total(report) == 0 {
        known.push("The run was ended although no fault was injected.".to_owned());
    }
    known
}

fn questions(report: &Report) -> Vec<String> {
    let mut asked = Vec::new();
    let faulted = &report.groups.faulted;
    if faulted.propagated.count > 0 {
        let share = percent(faulted.propagated.share);
        asked.push(format!("Why did {share} of the requests with a faulted call fail instead of falling back?"));
    }
    if faulted.slower.count > 0 {
        asked.push(
            "Which timeout decides how long a request waits for the faulted call, and is it the right one?".to_owned(),
        );
    }
    if let Some(factor) = report.retries.amplification.filter(|factor| *factor > 1.0) {
        let factor = number(factor);
        asked.push(format!("Each request with a faulted call makes {factor} times as many calls: is that wanted?"));
    }
    if let Some(most) = report.rules.iter().map(|rule| rule.percentage).reduce(f64::max).filter(|most| *most < 100.0) {
        asked.push(format!(
            "No rule had a share of more than {} %: what would all calls failing have done?",
            number(most)
        ));
    }
    asked.push("Was this noticed outside of Squall, by an alert or a person, and how soon?".to_owned());
    asked
}

fn actions(report: &Report) -> Table {
    let row = |about: String| vec![Cell::plain(about), Cell::unknown(GAP), Cell::unknown(GAP), Cell::unknown(GAP)];
    let mut rows: Vec<_> = went_wrong(report).into_iter().map(row).collect();
    rows.push(row("Run this experiment again, and see that it holds.".to_owned()));
    Table::new("What to do about it", vec![words("About"), words("What to do"), words("Owner"), words("Until")], rows)
}
