//! File text → Spec → model, with line and column in problems.

mod kind;

use serde_json::Value;
use serde_saphyr::options::DuplicateKeyPolicy;

use crate::locate::{Locator, Position};
use crate::model::{Config, Experiment};
use crate::parse::{Parsed, parse};
use crate::path::is_within;
use crate::problem::{Problem, Problems};
use crate::schema::Document;
use crate::spec::{ConfigSpec, ExperimentDocument, GameDayDocument};
use crate::toxiproxy::lower;
use crate::validate::{validate, validate_experiment, validate_game_day};

use kind::Kind;

/// Larger than 65,535 rules need; a file beyond it is not a configuration.
const TEXT_BYTES_MAX: usize = 64 << 20;

/// Reads the text of a file, YAML or JSON. Proxies of Toxiproxy become listeners, clusters and rules ([`crate::toxiproxy`]).
///
/// # Errors
/// Text that is no YAML (one problem), or all unknown fields and all fields of a wrong type, with line and column.
pub fn parse_text(text: &str) -> Result<ConfigSpec, Problems> {
    let lowered = lower(parsed(text, Kind::Configuration)?);
    if lowered.problems.is_empty() { Ok(lowered.document) } else { Err(located(text, lowered.problems)) }
}

/// Reads and validates the text of a file, YAML or JSON.
///
/// # Errors
/// Text that is no YAML (one problem), or all problems of form and of meaning together, with line and column.
pub fn load_text(text: &str) -> Result<(ConfigSpec, Config), Problems> {
    let validated = |written: &ConfigSpec| {
        let mut lowered = lower(written.clone());
        let mut problems = std::mem::take(&mut lowered.problems);
        match validate(&lowered.document) {
            Ok(config) if problems.is_empty() => return Ok((lowered.document, config)),
            Ok(_) => {}
            Err(more) => problems.extend(lowered.relocate(more.0)),
        }
        Err(Problems(problems))
    };
    loaded(text, Kind::Configuration, validated).map(|(_, valid)| valid)
}

/// Reads the text of an experiment, YAML or JSON.
///
/// # Errors
/// As [`parse_text`].
pub fn parse_experiment_text(text: &str) -> Result<ExperimentDocument, Problems> {
    parsed(text, Kind::Experiment)
}

/// Reads the text of an experiment, YAML or JSON, and validates it as part of a configuration.
///
/// # Errors
/// As [`load_text`]; problems of the configuration are not among them.
pub fn load_experiment_text(text: &str, against: &ConfigSpec) -> Result<(ExperimentDocument, Experiment), Problems> {
    loaded(text, Kind::Experiment, |document| validate_experiment(document, against))
}

/// Reads and validates the text of a game day, YAML or JSON; not the experiments that it names.
///
/// # Errors
/// As [`load_text`].
pub fn load_game_day_text(text: &str) -> Result<GameDayDocument, Problems> {
    loaded(text, Kind::GameDay, validate_game_day).map(|(document, ())| document)
}

fn parsed<T: Document>(text: &str, kind: Kind) -> Result<T, Problems> {
    let parsed = read(text, kind)?;
    match parsed.spec {
        Some(spec) if parsed.problems.is_empty() => Ok(spec),
        _ => Err(located(text, parsed.problems)),
    }
}

fn loaded<T: Document, M>(
    text: &str,
    kind: Kind,
    validate: impl FnOnce(&T) -> Result<M, Problems>,
) -> Result<(T, M), Problems> {
    let Parsed { spec, mut problems, removed } = read(text, kind)?;
    let Some(spec) = spec else { return Err(located(text, problems)) };
    match validate(&spec) {
        Ok(valid) if problems.is_empty() => return Ok((spec, valid)),
        Ok(_) => {}
        Err(Problems(more)) => {
            // What was taken out because of its type is not missing as well.
            let known = removed.rendered();
            let is_new = |path: &str| !known.iter().any(|gone| is_within(path, gone));
            let more =
                more.into_iter().map(|problem| Problem { path: removed.original_text(&problem.path), ..problem });
            problems.extend(more.filter(|problem| is_new(&problem.path)));
        }
    }
    Err(located(text, problems))
}

fn read<T: Document>(text: &str, kind: Kind) -> Result<Parsed<T>, Problems> {
    let value = parse_yaml(text)?;
    if value.is_null() {
        return Err(Problem::new("", "the file is empty").with_hint(kind.to_begin_with()).into());
    }
    kind.check(&value).map_err(|problem| located(text, vec![problem]))?;
    Ok(parse(&value))
}

/// Reads YAML or JSON of any shape.
///
/// # Errors
/// Text that is neither: one problem, with line and column.
pub fn parse_yaml(text: &str) -> Result<Value, Problems> {
    within_bounds(text)?;
    serde_saphyr::from_str_with_options(text, options(1)).map_err(|error| syntax_problem(&error).into())
}

pub(crate) fn within_bounds(text: &str) -> Result<(), Problem> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(Problem::new("", format!("the file has more than {TEXT_BYTES_MAX} bytes")));
    }
    Ok(())
}

/// How YAML is read: strictly, and within bounds that no text can exceed.
pub(crate) fn options(max_documents: usize) -> serde_saphyr::Options {
    serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::Error,
        strict_booleans: true,
        with_snippet: false,
        budget: serde_saphyr::budget! {
            // 65,535 rules of some 30 nodes each.
            max_nodes: 2_000_000,
            max_events: 6_000_000,
            // The deepest field has a dozen levels; this leaves room for what is to be reported as misplaced.
            max_depth: 64,
            // What aliases repeat is kept: of a million it was 200 MiB, for a text of a kilobyte.
            max_recorded_anchor_events: 100_000,
            max_documents: max_documents,
        },
    }
}

pub(crate) fn syntax_problem(error: &serde_saphyr::Error) -> Problem {
    let number = |n: u64| u32::try_from(n).ok();
    let location = error.location();
    let said = error.render_with_formatter(&serde_saphyr::UserMessageFormatter);
    let hint = said.starts_with("tabs disallowed").then(|| "indent with spaces".to_owned());
    // The place is said once, before.
    let detail = match location.map(|l| format!(" at line {}, column {}", l.line(), l.column())) {
        Some(place) => said.trim_end_matches(&place),
        None => said.as_str(),
    };
    Problem {
        line: location.and_then(|l| number(l.line())),
        column: location.and_then(|l| number(l.column())),
        hint,
        ..Problem::new("", detail)
    }
}

/// Adds line and column to problems of a document that were found elsewhere.
pub fn locate(text: &str, problems: Problems) -> Problems {
    located(text, problems.0)
}

fn located(text: &str, problems: Vec<Problem>) -> Problems {
    let locator = Locator::new(text);
    let mut problems: Vec<Problem> = problems
        .into_iter()
        .map(|problem| match locator.find(&problem.path) {
            Some(Position { line, column }) => Problem { line: Some(line), column: Some(column), ..problem },
            None => problem,
        })
        .collect();
    problems.sort_by_key(|problem| (problem.line, problem.column));
    Problems(problems)
}

#[cfg(test)]
mod tests;
