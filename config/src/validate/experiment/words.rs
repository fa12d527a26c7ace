//! What an experiment says to people.

use crate::report::Report;
use crate::spec::ExperimentSpec;

use super::super::conditions::http_url;

/// As much as stands in one line of a report.
const LINE_MAX: usize = 200;
/// As much as anybody reads.
const TEXT_MAX: usize = 10_000;
/// More are a page of their own.
const LINKS_MAX: usize = 100;

/// Checks the title, the owner and the links; the hypothesis is what is needed of them.
pub(super) fn words(spec: &ExperimentSpec, report: &mut Report) -> Option<String> {
    for (path, text) in [("spec.title", &spec.title), ("spec.owner", &spec.owner)] {
        if let Some(text) = text {
            line(path, text, report);
        }
    }
    links(&spec.links, report);
    hypothesis(spec, report)
}

/// Notes what is not a line for people.
pub(super) fn line(path: &str, text: &str, report: &mut Report) {
    if text.trim().is_empty() {
        report.add(path, "it is empty", "write a line for people, or remove it");
    } else if text.chars().any(char::is_control) {
        report.add(path, "it is more than a line", "write it without line breaks and other control characters");
    } else if text.chars().count() > LINE_MAX {
        report.add(path, format!("it is longer than {LINE_MAX} characters"), "shorten it");
    }
}

fn hypothesis(spec: &ExperimentSpec, report: &mut Report) -> Option<String> {
    const PATH: &str = "spec.hypothesis";
    const HINT: &str = "write in words what is expected to stay true";
    let text = report.required(PATH, spec.hypothesis.as_ref(), HINT)?.trim();
    if text.is_empty() {
        report.add(PATH, "it is empty", HINT);
        return None;
    }
    if text.chars().count() > TEXT_MAX {
        report.add(PATH, format!("it is longer than {TEXT_MAX} characters"), "shorten it, and add a link");
        return None;
    }
    Some(text.to_owned())
}

fn links(links: &[String], report: &mut Report) {
    const PATH: &str = "spec.links";
    if links.len() > LINKS_MAX {
        report.add(PATH, format!("{} links are too many", links.len()), format!("write at most {LINKS_MAX}"));
    }
    for (index, _) in links.iter().enumerate().filter(|(_, link)| http_url(link).is_none()) {
        let hint = "write an address such as https://wiki.example/runbook";
        report.add(format!("{PATH}[{index}]"), "it is not an address of http or https", hint);
    }
}
