//! Value → the fields that are read; all others are told of.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::parse;
use crate::path::{Path, Step, render};
use crate::problem::{Problem, humanize};

use super::sheet::Sheet;

/// A field that has a place elsewhere than in a rule: its path with `[]` for every index, and what is to be known of it.
pub(super) type Elsewhere = (&'static str, &'static str);

/// What names a document, and the bookkeeping of Kubernetes: it says nothing of faults.
const BOOKKEEPING: [&str; 6] = ["apiVersion", "kind", "metadata", "status", "type", "name"];

/// Reads what there are fields for. A field in `elsewhere` becomes a note, any other one without a field here a loss.
pub(super) fn read<T: DeserializeOwned>(
    value: &Value,
    elsewhere: &[Elsewhere],
    sheet: &mut Sheet<'_>,
) -> Result<T, Problem> {
    let mut ignored = BTreeSet::new();
    let mut note = |path: serde_ignored::Path<'_>| {
        ignored.insert(ignored_path(&path));
    };
    // One type for whatever is read: what several documents have is then compiled once.
    let mut note: &mut dyn FnMut(serde_ignored::Path<'_>) = &mut note;
    let read = parse::read(serde_ignored::Deserializer::new(value, &mut note))
        .map_err(|(path, message)| Problem::new(render(&path), humanize(&message)))?;
    for path in ignored {
        if path.first().is_some_and(|step| matches!(step, Step::Key(key) if BOOKKEEPING.contains(&key.as_str()))) {
            continue;
        }
        let path = render(&path);
        let shape = without_indices(&path);
        let known = elsewhere.iter().find(|(field, _)| *field == shape);
        match known {
            Some((_, detail)) => sheet.note(path, *detail, ""),
            None => sheet.differs(path, "this field is not known here and was left out", "look whether it matters"),
        }
    }
    Ok(read)
}

fn ignored_path(path: &serde_ignored::Path<'_>) -> Path {
    use serde_ignored::Path as Ignored;
    let (parent, step) = match path {
        Ignored::Root => return Path::new(),
        Ignored::Seq { parent, index } => (parent, Some(Step::Index(*index))),
        Ignored::Map { parent, key } => (parent, Some(Step::Key(key.clone()))),
        Ignored::Some { parent } | Ignored::NewtypeStruct { parent } | Ignored::NewtypeVariant { parent } => {
            (parent, None)
        }
    };
    let mut steps = ignored_path(parent);
    steps.extend(step);
    steps
}

fn without_indices(path: &str) -> String {
    let mut text = String::new();
    let mut is_inside = false;
    for c in path.chars() {
        is_inside = is_inside && c != ']';
        if !is_inside {
            text.push(c);
        }
        is_inside = is_inside || c == '[';
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_does_not_count() {
        assert_eq!(without_indices("spec.http[12].match[0].port"), "spec.http[].match[].port");
        assert_eq!(without_indices("a.b"), "a.b");
    }
}
