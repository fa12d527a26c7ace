use quick_xml::Reader;
use quick_xml::events::Event;

use super::*;

/// A test case as a CI system reads it.
#[derive(Debug, PartialEq)]
pub(super) struct Case {
    name: String,
    /// `failure`, `error`, `skipped`, or nothing.
    result: Option<String>,
}

impl Case {
    pub(super) fn is_green(&self) -> bool {
        !matches!(self.result.as_deref(), Some("failure" | "error"))
    }
}

/// The attributes of the suite, and its cases.
pub(super) fn parse(xml: &str) -> (Vec<(String, String)>, Vec<Case>) {
    let mut reader = Reader::from_str(xml);
    let (mut suite, mut cases, mut open): (_, Vec<Case>, Vec<String>) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        let event = reader.read_event().unwrap_or_else(|error| panic!("{error} in {xml}"));
        if let Event::Start(start) | Event::Empty(start) = &event {
            let name = String::from_utf8(start.name().as_ref().to_vec()).unwrap();
            let attributes = start.attributes().map(|one| {
                let one = one.unwrap();
                let value = quick_xml::escape::unescape(std::str::from_utf8(&one.value).unwrap()).unwrap().into_owned();
                (String::from_utf8(one.key.as_ref().to_vec()).unwrap(), value)
            });
            let attributes: Vec<_> = attributes.collect();
            match (open.last().map(String::as_str), name.as_str()) {
                (None, "testsuites") | (Some("testsuite"), "properties" | "system-out") => {}
                (Some("testsuites"), "testsuite") => suite = attributes,
                (Some("properties"), "property") => assert_eq!(attributes.len(), 2),
                (Some("testsuite"), "testcase") => {
                    let named = attributes.into_iter().find(|(key, _)| key == "name").unwrap();
                    cases.push(Case { name: named.1, result: None });
                }
                (Some("testcase"), "failure" | "error" | "skipped") => {
                    assert!(attributes.iter().any(|(key, value)| key == "message" && !value.is_empty()));
                    cases.last_mut().unwrap().result = Some(name.clone());
                }
                other => panic!("{other:?} in {xml}"),
            }
            if matches!(event, Event::Start(_)) {
                open.push(name);
            }
        }
        match event {
            Event::End(_) => drop(open.pop()),
            Event::Eof => break,
            _ => {}
        }
    }
    assert!(open.is_empty() && xml.chars().all(|c| c >= ' ' || matches!(c, '\n' | '\r' | '\t')), "{xml:?}");
    (suite, cases)
}

fn results(report: &Report) -> Vec<(String, Option<String>)> {
    parse(&report.to_junit()).1.into_iter().map(|case| (case.name, case.result)).collect()
}

fn is_green(report: &Report) -> bool {
    parse(&report.to_junit()).1.iter().all(Case::is_green)
}

#[test]
fn counts_are_those_of_the_cases() {
    for (name, report) in all() {
        let (suite, cases) = parse(&report.to_junit());
        let count =
            |result: &str| cases.iter().filter(|case| case.result.as_deref() == Some(result)).count().to_string();
        for (key, expected) in [
            ("tests", cases.len().to_string()),
            ("failures", count("failure")),
            ("errors", count("error")),
            ("skipped", count("skipped")),
            ("name", "slow-inventory".to_owned()),
            ("timestamp", "2026-11-25T10:00:00".to_owned()),
        ] {
            assert!(suite.contains(&(key.to_owned(), expected.clone())), "{name}: {key}={expected} in {suite:?}");
        }
    }
}

#[test]
fn only_what_held_is_green() {
    assert!(is_green(&held()), "{:?}", results(&held()));
    assert!(!is_green(&failed_by_guard()));
    assert!(!is_green(&nothing_faulted()));
    for verdict in [Some(Verdict::Failed), Some(Verdict::Inconclusive), None] {
        assert!(!is_green(&Report { verdict, ..held() }), "{verdict:?}");
    }
}

#[test]
fn a_run_that_injected_nothing_is_red_whatever_its_verdict() {
    let report = Report { verdict: Some(Verdict::Held), rules: Vec::new(), ..held() };
    assert!(results(&report).contains(&("faults were injected".to_owned(), Some("error".to_owned()))));
    assert!(!is_green(&report));
}

#[test]
fn expectations_that_were_not_met_fail() {
    let mut report = held();
    report.retries.amplification = Some(3.5);
    report.retries.unsafe_retries = 1;
    let failed = results(&report);
    for name in ["expect: amplification", "expect: no unsafe retries"] {
        assert!(failed.contains(&(name.to_owned(), Some("failure".to_owned()))), "{failed:?}");
    }
    report.document = Value::Null;
    assert!(results(&report).iter().all(|(name, _)| !name.starts_with("expect")), "nothing is expected");
}

#[test]
fn what_is_not_known_of_a_statement_has_not_passed() {
    let unknown = Held { trouble: Some("too few requests".to_owned()), ..Held::default() };
    let named = |report: &Report| results(report).into_iter().find(|(name, _)| name == "steady state: fast").unwrap().1;
    let mut report = held();
    report.steady_state[0].injecting = unknown.clone();
    assert_eq!(named(&report).as_deref(), Some("error"));
    let mut report = held();
    report.steady_state[0].recovering = unknown;
    assert_eq!(named(&report).as_deref(), Some("skipped"));
    report.verdict = Some(Verdict::Inconclusive);
    assert_eq!(named(&report).as_deref(), Some("error"));
    report.steady_state[0].recovering.held = Some(false);
    assert_eq!(named(&report).as_deref(), Some("failure"));
}

#[test]
fn texts_that_xml_cannot_say_are_read_back() {
    let evil = "a]]>\u{0}<b attr=\"1\">\u{1b}[31m&amp;\u{ffff}\nnext";
    let mut report = Report { experiment: evil.to_owned(), reasons: vec![evil.to_owned()], ..failed_by_guard() };
    report.steady_state[0].name = evil.to_owned();
    let (suite, cases) = parse(&report.to_junit());
    let expected = "a]]> <b attr=\"1\"> [31m&amp;\u{fffd} next";
    assert_eq!(suite[0], ("name".to_owned(), expected.to_owned()));
    assert!(cases.iter().any(|case| case.name == format!("steady state: {expected}")), "{cases:?}");
}
