//! How a verdict says what it found.

use crate::experiment::report::{Group, Held, Report, RouteReport, Share, SteadyStateReport};

/// What was found about harm, called or not.
pub(super) fn harm(report: &Report) -> String {
    let (harm, groups) = (&report.harm, &report.groups);
    let found = match harm.method.as_str() {
        "joined" => format!(
            "{} with a faulted call were harmed, {} without",
            of_requests(groups.faulted.harmed, groups.faulted.requests),
            of_requests(groups.control.harmed, groups.control.requests),
        ),
        _ if report.join.is_usable => format!(
            "{} with a faulted call were harmed, {} before anything was injected",
            of_requests(groups.faulted.harmed, groups.faulted.requests),
            of_requests(groups.baseline.harmed, groups.baseline.requests),
        ),
        _ => {
            let harmed: u64 = report.routes.iter().map(|route| route.injecting_harmed).sum();
            format!(
                "{harmed} of {} requests were harmed while faults flowed, {} before",
                report.join.requests,
                of_requests(groups.baseline.harmed, groups.baseline.requests),
            )
        }
    };
    let judgement = if harm.is_called { "Harm is beyond doubt" } else { "No more harm is shown than is tolerated" };
    format!(
        "{judgement}: {found}{}, where {} more are tolerated. The evidence is {}; from 20 on it is beyond doubt.",
        interval(report),
        percent(harm.tolerated),
        number(harm.evidence),
    )
}

fn interval(report: &Report) -> String {
    let harm = &report.harm;
    match (harm.difference, harm.low, harm.high) {
        (Some(difference), Some(low), Some(high)) => format!(
            ", a difference of {} points of a hundred ({} to {})",
            number(difference * 100.0),
            number(low * 100.0),
            number(high * 100.0)
        ),
        _ => String::new(),
    }
}

fn of_requests(share: Share, all: u64) -> String {
    format!("{} of {all} requests ({})", share.count, percent(share.share))
}

/// How the faulted group ended.
pub(super) fn endings(group: &Group) -> String {
    let Group { requests, absorbed, slower, degraded, propagated, .. } = group;
    format!(
        "Of {requests} requests with a faulted call {} were answered as without a fault, {} later, {} with a fallback, and {} \
         failed.",
        absorbed.count, slower.count, degraded.count, propagated.count
    )
}

/// A statement in quotation marks.
pub(super) fn statement(statement: &SteadyStateReport) -> String {
    let words = if statement.statement.is_empty() { &statement.name } else { &statement.statement };
    format!("\"{words}\"")
}

/// That a statement did not hold then.
pub(super) fn broken(statement: &SteadyStateReport, held: &Held, when: &str) -> String {
    let value = held.value.map(|value| match statement.unit.as_str() {
        "" => format!(": {}", number(value)),
        unit => format!(": {} {unit}", number(value)),
    });
    let requests = held.requests.map(|requests| format!(", of {requests} requests")).unwrap_or_default();
    let trouble = held.trouble.as_ref().map(|trouble| format!(" ({trouble})")).unwrap_or_default();
    let said = self::statement(statement);
    format!("{said} did not hold {when}{}{requests}{trouble}.", value.unwrap_or_default())
}

/// That a route suffered which should not.
pub(super) fn suffered(route: &RouteReport) -> String {
    let p99 = |p99: Option<f64>| p99.map(|p99| format!(", p99 {} ms", number(p99 * 1e3))).unwrap_or_default();
    format!(
        "{} does not need what was faulted, and suffered all the same: {} of {} requests were harmed while faults flowed{}, {} of \
         {} before{}.",
        route.route,
        route.injecting_harmed,
        route.injecting_requests,
        p99(route.injecting_p99),
        route.baseline_harmed,
        route.baseline_requests,
        p99(route.baseline_p99),
    )
}

/// As in `0.5 %`.
fn percent(share: f64) -> String {
    format!("{} %", number(share * 100.0))
}

/// With about three digits that say something.
pub(super) fn number(value: f64) -> String {
    let size = value.abs();
    if size >= 1e6 {
        return format!("{value:.1e}");
    }
    let text = match size {
        _ if size >= 100.0 => format!("{value:.0}"),
        _ if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    };
    let is_fraction = text.contains('.');
    let short = if is_fraction { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if short == "-0" { "0".to_owned() } else { short.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (-0.001, "0"),
            (0.5, "0.5"),
            (3.0, "3"),
            (86.04, "86"),
            (86.05, "86.0"),
            (730.2, "730"),
            (1e9, "1.0e9"),
        ] {
            let expected = text.trim_end_matches(".0");
            assert_eq!(number(value), expected, "{value}");
        }
        assert_eq!(percent(0.004), "0.4 %");
    }

    #[test]
    fn what_did_not_hold_says_why() {
        let statement = SteadyStateReport { name: "can-write".into(), unit: "status".into(), ..Default::default() };
        let trouble = Some("broken for 6.5 s, and may be for 3s".to_owned());
        let held = Held { held: Some(false), value: Some(503.0), requests: None, trouble };
        let said = broken(&statement, &held, "while faults flowed");
        assert_eq!(
            said,
            "\"can-write\" did not hold while faults flowed: 503 status (broken for 6.5 s, and may be for 3s)."
        );
    }
}
