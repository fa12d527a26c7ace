//! Conditions that are asked for over HTTP.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;

use crate::defaults;
use crate::model::{HttpTarget, ProbeCondition, QueryCondition, WhenBlind};
use crate::report::Report;
use crate::spec::Scalar;
use crate::units::format_duration;

use super::reader::Reader;

/// Whoever asks more often is a load.
const EVERY_MIN: Duration = Duration::from_millis(100);
/// Whoever asks less often does not guard.
const EVERY_MAX: Duration = Duration::from_secs(60);
/// More failures in a row than this are no threshold.
const FAILURES_MAX: usize = 1_000;

/// `when_blind` tells what becomes of a query, asked once in that time, that gets no number.
pub(super) fn query(
    reader: &Reader<'_>,
    when_blind: impl FnOnce(Duration, &mut Report) -> Option<WhenBlind>,
    report: &mut Report,
) -> Option<QueryCondition> {
    const HINT: &str = "write a query in PromQL that gives one number";
    let target = target(reader, "prometheus", defaults::QUERY_EVERY, report);
    let has_query = target.as_ref().is_some_and(|target| target.url.query().is_some());
    if has_query {
        let hint = "write the address of Prometheus alone, and query beside it";
        report.add(reader.at("prometheus"), "an address with a query", hint);
    }
    let query = report.required(&reader.at("query"), reader.spec.query.as_ref(), HINT);
    let query = query.map(|query| query.trim().to_owned());
    let is_empty = query.as_ref().is_some_and(String::is_empty);
    if is_empty {
        report.add(reader.at("query"), "it is empty", HINT);
    }
    let bound = reader.bound(report);
    let held_for = reader.held_for(report);
    let every = target.as_ref().map_or(defaults::QUERY_EVERY, |target| target.every);
    let when_blind = when_blind(every, report);
    let condition =
        QueryCondition { target: target?, query: query?, bound: bound?, held_for: held_for?, when_blind: when_blind? };
    (!has_query && !is_empty).then_some(condition)
}

pub(super) fn probe(reader: &Reader<'_>, report: &mut Report) -> Option<ProbeCondition> {
    let target = target(reader, "probe", defaults::PROBE_EVERY, report);
    let statuses = match &reader.spec.status {
        None => Some(vec![200..=299]),
        Some(written) => statuses(&reader.at("status"), written, report),
    };
    let (written, usual) = (reader.spec.failures, defaults::PROBE_FAILURES as usize);
    let failures = report.count_or(&reader.at("failures"), written, 1..=FAILURES_MAX, usual);
    let failures = u32::try_from(failures).unwrap_or(defaults::PROBE_FAILURES);
    Some(ProbeCondition { target: target?, statuses: statuses?, failures })
}

/// `200`, `200-299` or several of them with commas between.
fn statuses(path: &str, written: &Scalar, report: &mut Report) -> Option<Vec<RangeInclusive<u16>>> {
    let text = written.to_string();
    let status = |text: &str| text.trim().parse().ok().filter(|status| (100..=599).contains(status));
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(status(first)?..=status(last)?).filter(|range| !range.is_empty())
    };
    let ranges: Option<Vec<_>> = text.split(',').map(range).collect();
    if ranges.is_none() {
        report.add(path, format!("{text:?} names no statuses"), "write 200, \"200-299\" or \"200,404\"");
    }
    ranges
}

fn target(reader: &Reader<'_>, field: &str, usual: Duration, report: &mut Report) -> Option<HttpTarget> {
    let (at, spec) = (|field: &str| reader.at(field), reader.spec);
    let written = if field == "probe" { &spec.probe } else { &spec.prometheus };
    let url = written.as_ref().and_then(|text| url(&at(field), text, report));
    let every = report.duration_or(&at("every"), spec.every.as_ref(), usual);
    if !(EVERY_MIN..=EVERY_MAX).contains(&every) {
        let detail = format!("{} is not between 100ms and 1m", format_duration(every));
        report.add(at("every"), detail, "write a duration from 100ms to 1m");
    }
    let timeout = report.duration_or(&at("timeout"), spec.timeout.as_ref(), defaults::PROBE_TIMEOUT.min(every));
    if timeout > every {
        let detail = format!("{} is longer than the time between two questions", format_duration(timeout));
        report.add(at("timeout"), detail, format!("write at most {}", format_duration(every)));
    }
    let is_https = url.as_ref().is_none_or(|url| url.scheme_str() == Some("https"));
    if spec.ca.is_some() && !is_https {
        report.add(at("ca"), "nobody has to vouch for an http address", "remove it, or write https://");
    }
    let mut file = |field: &str, name: &Option<String>| {
        let name = name.as_ref()?;
        if name.is_empty() {
            report.add(at(field), "no file is named", "name one, or remove it");
        }
        Some(PathBuf::from(name))
    };
    let (token_file, ca) = (file("token_file", &spec.token_file), file("ca", &spec.ca));
    Some(HttpTarget { url: url?, token_file, ca, timeout, every })
}

fn url(path: &str, text: &str, report: &mut Report) -> Option<Uri> {
    let Some(url) = http_url(text) else {
        // It may hold a password: it is not repeated.
        report.add(path, "it is not an address of http or https", "write an address such as http://127.0.0.1:9090");
        return None;
    };
    if url.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        report.add(path, "there is a user in it", "remove it; a token goes into token_file");
        return None;
    }
    Some(url)
}

/// An absolute address of http or https, with a host.
pub(crate) fn http_url(text: &str) -> Option<Uri> {
    let url: Uri = text.parse().ok()?;
    let is_http = matches!(url.scheme_str(), Some("http" | "https"));
    (is_http && url.host().is_some_and(|host| !host.is_empty())).then_some(url)
}
