//! What was done and when: the rules, the timeline, requests to look at, and the document.

use serde_json::Value;

use super::super::page::{Block, Cell, Section, Table, numbers, words};
use super::super::wording::{count, moment, number, seconds, time_of_day};
use super::super::{Report, RuleReport, TimelineEvent};

pub(super) fn injected(report: &Report) -> Section {
    let mut blocks = Vec::new();
    if report.rules.is_empty() {
        blocks.push(Block::Loud(nothing_injected(report)));
    } else {
        let columns = vec![
            words("Rule"),
            words("Step"),
            numbers("Share"),
            numbers("Matched"),
            numbers("Injected"),
            words("Unit"),
            words("Fault"),
        ];
        blocks.push(Block::Table(Table::new("Rules", columns, report.rules.iter().map(rule).collect())));
        let idle = report.rules.iter().filter(|rule| rule.injected == 0);
        blocks.extend(idle.map(|rule| Block::Loud(why_idle(rule))));
    }
    Section::new("injected", "What was injected", blocks)
}

/// What to say when no fault was injected at all.
pub(super) fn nothing_injected(report: &Report) -> String {
    let matched = report.rules.iter().fold(0_u64, |sum, rule| sum.saturating_add(rule.matched));
    let why = match (report.rules.len(), matched) {
        (0, _) => "no rule was in force".to_owned(),
        (_, 0) => "no rule matched anything".to_owned(),
        (_, matched) => format!("rules matched {} times, and the draw chose none", count(matched)),
    };
    format!("No fault was injected: {why}.")
}

fn rule(rule: &RuleReport) -> Vec<Cell> {
    let zero_is_bad = |n: u64| if n == 0 { Cell::bad("0") } else { Cell::plain(count(n)) };
    vec![
        Cell::code(rule.name.as_str()),
        Cell::plain(rule.step.as_str()),
        Cell::plain(format!("{} %", number(rule.percentage))),
        zero_is_bad(rule.matched),
        zero_is_bad(rule.injected),
        Cell::plain(rule.unit.as_str()),
        if rule.fault.is_null() { Cell::plain("") } else { Cell::code(rule.fault.to_string()) },
    ]
}

fn why_idle(rule: &RuleReport) -> String {
    let name = &rule.name;
    if rule.matched == 0 {
        format!("The rule {name} matched nothing, so it injected nothing: check its conditions against the traffic.")
    } else {
        format!("The rule {name} matched {} times and injected nothing.", count(rule.matched))
    }
}

pub(super) fn timeline(report: &Report) -> Section {
    let mut blocks = Vec::new();
    if !report.phases.is_empty() {
        let row = |span: &super::super::PhaseSpan| {
            vec![
                Cell::plain(span.phase.as_str()),
                Cell::plain(moment(span.from)),
                Cell::plain(moment(span.to)),
                Cell::plain(seconds(span.to - span.from)),
            ]
        };
        let columns = vec![words("Phase"), numbers("From"), numbers("To"), numbers("Took")];
        blocks.push(Block::Table(Table::new("Phases", columns, report.phases.iter().map(row).collect())));
    }
    if report.timeline.is_empty() {
        blocks.push(Block::Text("Nothing was noted.".to_owned()));
    } else {
        blocks.push(events(report, "Events"));
    }
    Section::new("timeline", "Timeline", blocks)
}

/// What happened, with the time of the clock where it is known.
pub(in super::super) fn events(report: &Report, caption: &'static str) -> Block {
    let row = |event: &TimelineEvent| {
        vec![
            Cell::plain(moment(event.at)),
            Cell::plain(time_of_day(&report.started_at, event.at).unwrap_or_default()),
            Cell::plain(event.kind.as_str()),
            Cell::plain(event.text.as_str()),
        ]
    };
    let columns = vec![numbers("At"), words("Time (UTC)"), words("What"), words("Said")];
    Block::Table(Table::new(caption, columns, report.timeline.iter().map(row).collect()))
}

pub(super) fn exemplars(report: &Report) -> Section {
    if report.exemplars.is_empty() {
        let text = "No request of the faulted group was kept.".to_owned();
        return Section::new("exemplars", "Exemplars", vec![Block::Text(text)]);
    }
    let row = |exemplar: &super::super::Exemplar| {
        vec![
            if exemplar.trace_id.is_empty() { Cell::unknown("none") } else { Cell::code(exemplar.trace_id.as_str()) },
            Cell::plain(exemplar.ending.as_str()),
            Cell::code(exemplar.route.as_str()),
            exemplar.status.map_or(Cell::unknown("no answer"), |status| Cell::plain(status.to_string())),
            Cell::plain(seconds(exemplar.seconds)),
            Cell::plain(count(exemplar.calls)),
        ]
    };
    let columns =
        vec![words("Trace id"), words("Ending"), words("Route"), numbers("Status"), numbers("Took"), numbers("Calls")];
    let rows = report.exemplars.iter().map(row).collect();
    let text = "Requests with a faulted call, to look for by their trace id.".to_owned();
    let table = Table::new("Requests of the faulted group", columns, rows);
    Section::new("exemplars", "Exemplars", vec![Block::Text(text), Block::Table(table)])
}

pub(super) fn configuration(report: &Report) -> Section {
    let block = match &report.document {
        Value::Null => Block::Text("The document of the experiment was not kept.".to_owned()),
        document => written(document),
    };
    Section::new("configuration", "Configuration", vec![block])
}

/// As YAML; what YAML has no way to write is JSON, which every reader of YAML takes.
fn written(document: &Value) -> Block {
    serde_saphyr::to_string(document).map_or_else(
        |_| Block::Code { language: "json", text: crate::text::pretty(document) },
        |text| Block::Code { language: "yaml", text },
    )
}
