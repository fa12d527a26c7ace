//! One report of the whole day: Markdown for people, JSON for programs.

use std::fmt::Write;
use std::path::Path;

use anyhow::Context;
use serde_json::{Value, json};
use squall_config::spec::GameDayDocument;

use crate::exit::Failure;
use crate::output;

/// An experiment, and what came of it.
pub(super) struct Played {
    name: String,
    /// `None` when it did not run, or was left before its end.
    pub(super) report: Option<Value>,
    was_started: bool,
}

impl Played {
    pub(super) fn of(name: &str, report: Value) -> Self {
        Self { name: name.to_owned(), report: Some(report), was_started: true }
    }

    /// One that people skipped, or did not get to.
    pub(super) fn not_run(name: &str) -> Self {
        Self { name: name.to_owned(), report: None, was_started: false }
    }

    /// One that was started; what came of it is not known yet.
    pub(super) fn left(name: &str) -> Self {
        Self { was_started: true, ..Self::not_run(name) }
    }

    fn verdict(&self) -> String {
        match self.report.as_ref().and_then(|report| report["verdict"].as_str()) {
            Some(verdict) => verdict.to_uppercase(),
            None if self.was_started => "left before its end".to_owned(),
            None => "not run".to_owned(),
        }
    }

    fn reason(&self) -> &str {
        self.report.as_ref().and_then(|report| report["reasons"][0].as_str()).unwrap_or_default()
    }
}

/// The day at a glance.
pub(super) fn table(played: &[Played]) -> String {
    let row = |played: &Played| vec![played.name.clone(), played.verdict(), played.reason().to_owned()];
    output::table(&["EXPERIMENT", "VERDICT", "WHY"], played.iter().map(row))
}

/// Writes `report.md` and `report.json`.
pub(super) fn write(directory: &Path, day: &GameDayDocument, played: &[Played]) -> Result<(), Failure> {
    let heading = heading(day);
    let experiments: Vec<Value> =
        played.iter().map(|played| json!({ "experiment": played.name, "report": played.report })).collect();
    let all = json!({ "game_day": heading, "experiments": experiments });
    for (file, text) in [("report.json", format!("{all:#}\n")), ("report.md", markdown(directory, &heading, played))] {
        let file = directory.join(file);
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

fn markdown(directory: &Path, heading: &Value, played: &[Played]) -> String {
    let plain = |text: &str| text.replace('|', "\\|").replace('\n', " ");
    let mut text = format!("# Game day: {}\n\n", plain(heading["title"].as_str().unwrap_or_default()));
    if let Some(owner) = heading["owner"].as_str() {
        let _ = writeln!(text, "Led by {}.\n", plain(owner));
    }
    text.push_str("| experiment | verdict | why |\n|---|---|---|\n");
    for one in played {
        let _ = writeln!(text, "| {} | {} | {} |", one.name, one.verdict(), plain(one.reason()));
    }
    for one in played.iter().filter(|one| one.report.is_some()) {
        // The whole of it, one level lower.
        let whole = std::fs::read_to_string(directory.join(&one.name).join("report.md")).unwrap_or_default();
        let mut is_code = false;
        text.push('\n');
        for line in whole.lines() {
            is_code ^= line.starts_with("```");
            let lower = if line.starts_with('#') && !is_code { "#" } else { "" };
            let _ = writeln!(text, "{lower}{line}");
        }
    }
    text
}

/// For the report: what a game day was.
fn heading(day: &GameDayDocument) -> Value {
    let (metadata, spec) = (day.metadata.as_ref(), day.spec.as_ref());
    let name = metadata.map_or("", |metadata| metadata.name.as_str());
    json!({
        "name": name,
        "title": spec.and_then(|spec| spec.title.as_deref()).unwrap_or(name),
        "owner": spec.and_then(|spec| spec.owner.as_deref()),
    })
}
