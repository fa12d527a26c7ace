//! What was measured of the hypothesis: the steady state, the groups and the harm.

use super::super::facts::injection;
use super::super::page::{Block, Cell, Drawing, Section, Table, numbers, words};
use super::super::wording::{count, interval, measured, moment, number, percent, points, seconds, share};
use super::super::{Group, HarmReport, Held, JoinReport, Report, Sampled, SteadyStateReport};

/// So many breaks of a statement are told one by one.
const BREAKS_MAX: usize = 5;

pub(super) fn steady_state(report: &Report) -> Section {
    if report.steady_state.is_empty() {
        let text = "No statement about it was made.".to_owned();
        return Section::new("steady-state", "Steady state", vec![Block::Text(text)]);
    }
    let columns =
        vec![words("Name"), words("Statement"), words("Baseline"), words("While injecting"), words("After recovery")];
    let rows = report.steady_state.iter().map(statement).collect();
    let table = Table::new("Statements by phase", columns, rows);
    let breaks: Vec<String> = report.steady_state.iter().filter_map(|statement| breaks(report, statement)).collect();
    let mut blocks = vec![Block::Table(table)];
    if !breaks.is_empty() {
        blocks.push(Block::List(breaks));
    }
    blocks.push(Block::Text(recovery(report)));
    Section::new("steady-state", "Steady state", blocks)
}

/// When a statement was broken, and when it held again; `None` when it never was.
fn breaks(report: &Report, statement: &SteadyStateReport) -> Option<String> {
    let broken = |(from, to): &(f64, Option<f64>)| match to {
        Some(to) => format!("from {} to {}", moment(*from), moment(*to)),
        None => format!("from {} on", moment(*from)),
    };
    let last = statement.broken.last()?;
    let mut all: Vec<String> = statement.broken.iter().take(BREAKS_MAX).map(broken).collect();
    if let Some(more) = statement.broken.len().checked_sub(BREAKS_MAX).filter(|more| *more > 0) {
        all.push(format!("{} times more", count(u64::try_from(more).unwrap_or(u64::MAX))));
    }
    let end = match (last.1, injection(report)) {
        (Some(to), Some(injection)) => {
            format!("it held again {} after faults began to flow", seconds(to - injection.from))
        }
        (Some(_), None) => "it held again".to_owned(),
        (None, _) => "it did not come back".to_owned(),
    };
    Some(format!("{} was broken {}; {end}.", statement.name, all.join(", ")))
}

fn recovery(report: &Report) -> String {
    let mut breaks = report.steady_state.iter().flat_map(|statement| &statement.broken).peekable();
    match report.recovery_seconds {
        Some(after) => format!("The steady state was back {} after the last fault.", seconds(after)),
        None if breaks.peek().is_some() && breaks.all(|(_, to)| to.is_some()) => {
            "The steady state was back before the last fault.".to_owned()
        }
        None => "No recovery was measured: the steady state was never left, or did not come back.".to_owned(),
    }
}

fn statement(statement: &SteadyStateReport) -> Vec<Cell> {
    let unit = statement.unit.as_str();
    vec![
        Cell::code(statement.name.as_str()),
        Cell::plain(statement.statement.as_str()),
        held(&statement.baseline, unit),
        held(&statement.injecting, unit),
        held(&statement.recovering, unit),
    ]
}

fn held(held: &Held, unit: &str) -> Cell {
    let what = measured(held, unit);
    let join = |word: &str| if what.is_empty() { word.to_owned() } else { format!("{word}: {what}") };
    match held.held {
        Some(true) => Cell::good(join("held")),
        Some(false) => Cell::bad(join("broken")),
        None => Cell::unknown(join("unknown")),
    }
}

pub(super) fn groups(report: &Report) -> Section {
    let all = &report.groups;
    let groups =
        [("faulted", &all.faulted), ("control", &all.control), ("others", &all.others), ("baseline", &all.baseline)];
    let explained = "Requests are calls to the service, by what became of the calls that it made for them. Faulted: at least \
                     one call got a fault. Control: a rule matched a call, and none got a fault. Others: no rule matched a \
                     call. Baseline: all, before anything was injected. Shares stand with their 95 % confidence interval.";
    let became = vec![
        words("Group"),
        numbers("Requests"),
        numbers("Absorbed"),
        numbers("Slower"),
        numbers("Degraded"),
        numbers("Propagated"),
        numbers("Harmed"),
    ];
    let took = vec![words("Group"), numbers("p50"), numbers("p90"), numbers("p99"), numbers("Longest")];
    let blocks = vec![
        Block::Text(explained.to_owned()),
        Block::Table(Table::new(
            "What became of them",
            became,
            groups.map(|(name, group)| endings(name, group)).into(),
        )),
        Block::Drawing(Drawing::Endings),
        Block::Table(Table::new("What they took", took, groups.map(|(name, group)| quantiles(name, group)).into())),
        Table::facts("How calls were joined with requests", joined(&report.join)),
    ];
    Section::new("groups", "Groups", blocks)
}

fn endings(name: &str, group: &Group) -> Vec<Cell> {
    let mut cells = vec![Cell::plain(name), Cell::plain(count(group.requests))];
    let shares = [group.absorbed, group.slower, group.degraded, group.propagated, group.harmed];
    cells.extend(shares.map(|ending| {
        if group.requests == 0 { Cell::unknown("–") } else { Cell::plain(share(ending)).noted(interval(ending)) }
    }));
    cells
}

fn quantiles(name: &str, group: &Group) -> Vec<Cell> {
    let mut cells = vec![Cell::plain(name)];
    cells.extend([group.p50, group.p90, group.p99, group.max].map(|quantile| Cell::maybe(quantile, seconds)));
    cells
}

fn joined(join: &JoinReport) -> Vec<(&'static str, Cell)> {
    let usable = if join.is_usable { Cell::good("yes") } else { Cell::bad("no: only phases are compared, not groups") };
    let share = join.share.map(|s| format!(" ({})", percent(s))).unwrap_or_default();
    let mut facts = vec![
        ("Requests while faults flowed", Cell::plain(count(join.requests))),
        ("Calls that a rule matched", Cell::plain(count(join.calls))),
        ("Joined with a request", Cell::plain(format!("{}{share}", count(join.joined)))),
        ("Groups can be compared", usable),
        ("Requests whose ids Squall made", Cell::plain(count(join.ids_added))),
    ];
    if let Some(sampled) = join.sampled {
        facts.push(("Share of the traces", Cell::plain(looked_at(sampled))));
    }
    if join.lost > 0 {
        facts.push(("Lost for want of room", Cell::bad(count(join.lost))));
    }
    facts
}

/// As in `one in 8: 2,310 of 18,500 requests a second`.
fn looked_at(sampled: Sampled) -> String {
    let whole = |rate: f64| number(rate.round());
    let (joined, all) = (whole(sampled.joined_per_second), whole(sampled.requests_per_second));
    format!("one in {}: {joined} of {all} requests a second", count(sampled.one_in))
}

pub(super) fn harm(report: &Report) -> Section {
    let harm = &report.harm;
    let said = match (harm.method.as_str(), harm.is_called) {
        ("", _) => "Whether faults did harm could not be told.",
        (_, true) => "Faults did more harm than the hypothesis tolerates, beyond doubt.",
        (_, false) => "No more harm than the hypothesis tolerates was shown.",
    };
    let said = if harm.is_called { Block::Loud(said.to_owned()) } else { Block::Text(said.to_owned()) };
    if harm.method.is_empty() {
        return Section::new("harm", "Harm", vec![said]);
    }
    Section::new("harm", "Harm", vec![said, Table::facts("The test", harm_facts(harm))])
}

fn harm_facts(harm: &HarmReport) -> Vec<(&'static str, Cell)> {
    let compared = match harm.method.as_str() {
        "joined" => "the faulted group with the control group",
        "phases" => "the injection with the baseline",
        other => other,
    };
    let difference = Cell::maybe(harm.difference, |difference| match (harm.low, harm.high) {
        (Some(low), Some(high)) => {
            let (low, high) = (number(low * 100.0), number(high * 100.0));
            format!("{} (95 % confidence: {low} to {high})", points(difference))
        }
        _ => points(difference),
    });
    let evidence = format!("{} (20 and more is beyond doubt at 5 %)", number(harm.evidence));
    let mut facts = vec![
        ("Compared", Cell::plain(compared)),
        ("Harmed more often by", difference),
        ("Tolerated", Cell::plain(percent(harm.tolerated))),
        ("Evidence of harm", if harm.is_called { Cell::bad(evidence) } else { Cell::plain(evidence) }),
    ];
    if let Some(at) = harm.called_at {
        facts.push(("Beyond doubt since", Cell::plain(moment(at))));
    }
    facts
}
