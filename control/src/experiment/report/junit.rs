//! A report as JUnit XML, for systems that build and test.
//!
//! `failure` is a check that is not as it should be, `error` one that nobody knows the outcome of: both make a build red, while
//! `skipped` does not. A run that injected nothing is never green.

use std::io::Write;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};
use serde_json::Value;

use super::checks::{Outcome, checks};
use super::wording::{clock_of_junit, line};
use super::{Report, facts, markdown, xml};

type Written = std::io::Result<()>;

impl Report {
    /// One test suite: the verdict, whether faults were injected, each statement of the steady state, harm, and what else is
    /// expected. All of it passes only when the verdict is HELD.
    pub(crate) fn to_junit(&self) -> String {
        let mut bytes = Vec::new();
        suites(&mut Writer::new_with_indent(&mut bytes, b' ', 2), self)
            .expect("invariant: writing to memory does not fail");
        bytes.push(b'\n');
        String::from_utf8(bytes).expect("invariant: text is written")
    }
}

fn suites<W: Write>(writer: &mut Writer<W>, report: &Report) -> Written {
    let checks = checks(report);
    let of = |is: fn(&Outcome) -> bool| checks.iter().filter(|check| is(&check.outcome)).count().to_string();
    let took = format!("{:.3}", facts::took(report).clamp(0.0, 1e9));
    let counts = [
        ("tests", checks.len().to_string()),
        ("failures", of(|outcome| matches!(outcome, Outcome::Failed(_)))),
        ("errors", of(|outcome| matches!(outcome, Outcome::Unknown(_)))),
        ("skipped", of(|outcome| matches!(outcome, Outcome::Skipped(_)))),
        ("time", took.clone()),
    ];
    let mut all = vec![("name", "squall".to_owned())];
    all.extend(counts.iter().filter(|(name, _)| *name != "skipped").cloned());
    let mut suite = vec![("name", report.experiment.clone())];
    suite.extend(counts);
    suite.extend(clock_of_junit(&report.started_at).map(|time| ("timestamp", time)));

    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    element(writer, "testsuites", &all, |writer| {
        element(writer, "testsuite", &suite, |writer| {
            element(writer, "properties", &[], |writer| properties(writer, report))?;
            for check in &checks {
                let time = if check.name == "verdict" { &took } else { "0" };
                let named = [
                    ("name", check.name.clone()),
                    ("classname", format!("squall.{}", report.experiment)),
                    ("time", time.to_owned()),
                ];
                if check.outcome == Outcome::Passed {
                    empty(writer, "testcase", &named)?;
                } else {
                    element(writer, "testcase", &named, |writer| outcome(writer, &check.outcome))?;
                }
            }
            text(writer, "system-out", &[], &markdown::summary(report))
        })
    })
}

fn properties<W: Write>(writer: &mut Writer<W>, report: &Report) -> Written {
    let all = [
        ("squall.version", Some(report.squall_version.clone())),
        ("experiment", Some(report.experiment.clone())),
        ("run", Some(report.run.to_string())),
        ("title", Some(report.title.clone())),
        ("hypothesis", Some(report.hypothesis.clone())),
        ("verdict", Some(facts::verdict_word(report.verdict).to_owned())),
        ("owner", report.owner.clone()),
        ("started_at", Some(report.started_at.clone())),
        ("ended_at", report.ended_at.clone()),
        ("injected", Some(facts::injected_total(report).to_string())),
        ("aborted_by", report.aborted.as_ref().map(|aborted| facts::ended_by(aborted.by).to_owned())),
    ];
    let mut known: Vec<_> = all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
    known.extend(report.links.iter().map(|link| ("link".to_owned(), link.clone())));
    let labels = report.document.pointer("/metadata/labels").and_then(Value::as_object);
    for (name, value) in labels.into_iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        known.push((format!("label.{name}"), value));
    }
    for (name, value) in known {
        empty(writer, "property", &[("name", name), ("value", value)])?;
    }
    Ok(())
}

fn outcome<W: Write>(writer: &mut Writer<W>, outcome: &Outcome) -> Written {
    let (name, kind, why) = match outcome {
        Outcome::Passed => return Ok(()),
        Outcome::Failed(why) => ("failure", "failed", why),
        Outcome::Unknown(why) => ("error", "inconclusive", why),
        Outcome::Skipped(why) => return empty(writer, "skipped", &[("message", why.clone())]),
    };
    text(writer, name, &[("message", why.clone()), ("type", kind.to_owned())], why)
}

fn element<W: Write>(
    writer: &mut Writer<W>,
    name: &str,
    attributes: &[(&str, String)],
    within: impl FnOnce(&mut Writer<W>) -> Written,
) -> Written {
    let start = with_attributes(writer, name, attributes);
    start.write_inner_content(within)?;
    Ok(())
}

fn empty<W: Write>(writer: &mut Writer<W>, name: &str, attributes: &[(&str, String)]) -> Written {
    with_attributes(writer, name, attributes).write_empty()?;
    Ok(())
}

fn text<W: Write>(writer: &mut Writer<W>, name: &str, attributes: &[(&str, String)], text: &str) -> Written {
    let start = with_attributes(writer, name, attributes);
    start.write_text_content(BytesText::new(&xml::allowed(text)))?;
    Ok(())
}

/// Values are one line: line ends in attributes are read back as blanks anyway.
fn with_attributes<'w, W: Write>(
    writer: &'w mut Writer<W>,
    name: &str,
    attributes: &[(&str, String)],
) -> quick_xml::writer::ElementWriter<'w, W> {
    let mut start = writer.create_element(name.to_owned());
    for (name, value) in attributes {
        let value = xml::allowed(&line(value)).into_owned();
        start = start.with_attribute((*name, value.as_str()));
    }
    start
}
