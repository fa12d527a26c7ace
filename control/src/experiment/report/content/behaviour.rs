//! How the service behaved: retries, breaker, queue and routes.

use super::super::page::{Block, Cell, Section, Table, numbers, words};
use super::super::wording::{count, counted, moment, number, seconds};
use super::super::{QueueReport, Report, RetryReport, RouteReport};

pub(super) fn retries(report: &Report) -> Section {
    let retries = &report.retries;
    let mut blocks = vec![Table::facts("Calls and tries", retry_facts(retries))];
    if !retries.gaps.is_empty() {
        let row = |(place, gap): (usize, &f64)| {
            vec![Cell::plain(format!("{} to {}", place + 1, place + 2)), Cell::plain(seconds(*gap))]
        };
        let rows = retries.gaps.iter().enumerate().map(row).collect();
        let columns = vec![words("From try to try"), numbers("Median gap")];
        blocks.push(Block::Table(Table::new("From the end of a try to the next", columns, rows)));
    }
    Section::new("retries", "Retries", blocks)
}

fn retry_facts(retries: &RetryReport) -> Vec<(&'static str, Cell)> {
    let spacing = if retries.spacing.is_empty() { "too few to tell" } else { &retries.spacing };
    let unsafe_retries = count(retries.unsafe_retries);
    vec![
        ("Calls for one request of the faulted group", Cell::maybe(retries.calls_faulted, number)),
        ("Calls for one request of the control group", Cell::maybe(retries.calls_control, number)),
        ("Amplification", Cell::maybe(retries.amplification, |factor| format!("× {}", number(factor)))),
        ("Most calls for one request", Cell::plain(count(retries.calls_max))),
        ("Requests with more than one try of a call", Cell::plain(count(retries.retried))),
        ("Spacing of tries", Cell::plain(spacing)),
        (
            "Tries again of calls that are not safe to repeat",
            if retries.unsafe_retries > 0 { Cell::bad(unsafe_retries) } else { Cell::plain(unsafe_retries) },
        ),
    ]
}

pub(super) fn breaker(report: &Report) -> Section {
    let breaker = &report.breaker;
    let mut blocks = Vec::new();
    if breaker.open.is_empty() {
        blocks.push(Block::Text("The service never stopped calling for longer than chance explains.".to_owned()));
    } else {
        let times = counted(breaker.open.len() as u64, "time");
        let text = format!("The service stopped calling while it was still asked, {times}.");
        let row = |(from, to): &(f64, f64)| {
            vec![Cell::plain(moment(*from)), Cell::plain(moment(*to)), Cell::plain(seconds(to - from))]
        };
        let rows = breaker.open.iter().map(row).collect();
        let columns = vec![numbers("From"), numbers("To"), numbers("Took")];
        blocks.extend([Block::Text(text), Block::Table(Table::new("Times without calls", columns, rows))]);
    }
    if let Some(after) = breaker.recovered_after {
        blocks.push(Block::Text(format!("It called again {} after the last fault.", seconds(after))));
    }
    Section::new("breaker", "Breaker", blocks)
}

pub(super) fn queue(report: &Report) -> Section {
    let QueueReport { baseline_mean, baseline_max, injecting_mean, injecting_max } = report.queue;
    let row = |name: &str, mean, most| vec![Cell::plain(name), Cell::maybe(mean, number), Cell::maybe(most, count)];
    let rows = vec![row("baseline", baseline_mean, baseline_max), row("injecting", injecting_mean, injecting_max)];
    let columns = vec![words("Phase"), numbers("On average"), numbers("At most")];
    Section::new("queue", "Queue", vec![Block::Table(Table::new("Requests at once", columns, rows))])
}

pub(super) fn routes(report: &Report) -> Section {
    if report.routes.is_empty() {
        return Section::new("routes", "Routes", vec![Block::Text("No request was seen.".to_owned())]);
    }
    let columns = vec![
        words("Route"),
        words("Needs what was faulted"),
        numbers("Harmed before"),
        numbers("p99 before"),
        numbers("Harmed while injecting"),
        numbers("p99 while injecting"),
        words("Fared worse"),
    ];
    let table = Table::new("Requests by route", columns, report.routes.iter().map(route).collect());
    Section::new("routes", "Routes", vec![Block::Table(table)])
}

fn route(route: &RouteReport) -> Vec<Cell> {
    let harmed = |harmed, requests| Cell::plain(format!("{} of {}", count(harmed), count(requests)));
    vec![
        Cell::code(route.route.as_str()),
        Cell::plain(if route.uses_faulted { "yes" } else { "no" }),
        harmed(route.baseline_harmed, route.baseline_requests),
        Cell::maybe(route.baseline_p99, seconds),
        harmed(route.injecting_harmed, route.injecting_requests),
        Cell::maybe(route.injecting_p99, seconds),
        if route.suffered { Cell::bad("beyond doubt") } else { Cell::plain("not shown") },
    ]
}
