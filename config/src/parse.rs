//! Value → Spec, with every misplaced or mistyped field at once.
//!
//! serde ends at the first wrong type. Here the wrong field is noted, taken out and the rest is read again, so that one
//! answer names them all. Fields of a Spec are optional, so what remains can always be read.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::path::{Path, Step, render};
use crate::problem::{Problem, Problems, humanize};
use crate::schema::Document;
use crate::vocabulary::Vocabulary;

/// Reading goes on after this many wrong types at most; each costs one more pass over the document.
const WRONG_TYPES_MAX: usize = 50;

/// What could be read, and what could not.
pub(crate) struct Parsed<T> {
    /// Without the fields in `removed`; `None` when not even the document had the right shape.
    pub(crate) spec: Option<T>,
    pub(crate) problems: Vec<Problem>,
    /// Fields of a wrong type.
    pub(crate) removed: Removed,
}

/// Reads the body of an API call: a [`RuleSpec`](crate::spec::RuleSpec), [`RulesSpec`](crate::spec::RulesSpec),
/// [`ConfigSpec`](crate::spec::ConfigSpec) or [`ExperimentDocument`](crate::spec::ExperimentDocument).
///
/// # Errors
/// All unknown fields (with what may have been meant) and all fields of a wrong type.
pub fn parse_value<T: Document>(value: &Value) -> Result<T, Problems> {
    parse(value).whole()
}

/// Reads many as [`parse_value`] reads one, each on its own. Which fields there are is looked up once for all, which otherwise is
/// most of what a rule takes.
pub fn parse_values<'a, T: Document>(values: impl IntoIterator<Item = &'a Value>) -> Vec<Result<T, Problems>> {
    let vocabulary = Vocabulary::of::<T>();
    values.into_iter().map(|value| parse_knowing(&vocabulary, value).whole()).collect()
}

impl<T> Parsed<T> {
    fn whole(self) -> Result<T, Problems> {
        match self.spec {
            Some(spec) if self.problems.is_empty() => Ok(spec),
            _ => Err(Problems(self.problems)),
        }
    }
}

pub(crate) fn parse<T: Document>(value: &Value) -> Parsed<T> {
    parse_knowing(&Vocabulary::of::<T>(), value)
}

fn parse_knowing<T: Document>(vocabulary: &Vocabulary, value: &Value) -> Parsed<T> {
    let mut value = value.clone();
    let mut removed = Removed::default();
    let mut problems = Vec::new();
    // serde would take a list for an object, its items for the fields in order; nobody means that.
    let lists = vocabulary.lists_for_objects(&value);
    problems.extend(
        lists.iter().take(WRONG_TYPES_MAX).map(|path| Problem::new(render(path), "expected an object, found a list")),
    );
    for path in lists.iter().rev() {
        if !remove(&mut value, path) {
            return Parsed { spec: None, problems, removed };
        }
        removed.push(path);
    }
    loop {
        let finished = match read(&value) {
            Ok(spec) => Some(spec),
            Err((path, message)) => {
                problems.push(Problem::new(render(&removed.original(&path)), humanize(&message)));
                if problems.len() < WRONG_TYPES_MAX && remove(&mut value, &path) {
                    removed.push(&path);
                    continue;
                }
                None
            }
        };
        let unknown = vocabulary.unknown_fields(&value);
        problems.extend(unknown.iter().map(|path| vocabulary.unknown_field(&removed.original(path))));
        return Parsed { spec: finished, problems, removed };
    }
}

/// One attempt; the error is the place and the message.
pub(crate) fn read<'de, T: Deserialize<'de>, D>(deserializer: D) -> Result<T, (Path, String)>
where
    D: Deserializer<'de, Error = serde_json::Error>,
{
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let path = error.path().iter().filter_map(step).collect();
        (path, error.into_inner().to_string())
    })
}

fn step(segment: &serde_path_to_error::Segment) -> Option<Step> {
    match segment {
        serde_path_to_error::Segment::Seq { index } => Some(Step::Index(*index)),
        serde_path_to_error::Segment::Map { key } => Some(Step::Key(key.clone())),
        _ => None,
    }
}

/// Takes the value at `path` out; `false` when there is none or it is the document itself.
fn remove(value: &mut Value, path: &[Step]) -> bool {
    let Some((last, parents)) = path.split_last() else { return false };
    let parent = parents.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get_mut(key),
        Step::Index(index) => value.get_mut(index),
    });
    match (parent, last) {
        (Some(Value::Object(map)), Step::Key(key)) => map.remove(key).is_some(),
        (Some(Value::Array(list)), Step::Index(index)) if *index < list.len() => {
            list.remove(*index);
            true
        }
        _ => false,
    }
}

/// The fields taken out so far. Items that are taken out of a list shift those behind; this tells the original places.
#[derive(Debug, Default)]
pub(crate) struct Removed(Vec<Path>);

impl Removed {
    fn push(&mut self, path: &[Step]) {
        let original = self.original(path);
        self.0.push(original);
    }

    /// The place in the document of what is at `path` in what remains of it.
    pub(crate) fn original(&self, path: &[Step]) -> Path {
        let mut original = Path::new();
        for step in path {
            let step = match step {
                Step::Index(index) => Step::Index(self.shifted(*index, |list| list == original)),
                Step::Key(key) => Step::Key(key.clone()),
            };
            original.push(step);
        }
        original
    }

    /// `index` in what remains of a list, counted in the whole list.
    fn shifted(&self, index: usize, is_list: impl Fn(&[Step]) -> bool) -> usize {
        let gone = self.0.iter().filter_map(|path| match path.split_last() {
            Some((Step::Index(gone), list)) if is_list(list) => Some(*gone),
            _ => None,
        });
        let mut gone: Vec<usize> = gone.collect();
        gone.sort_unstable();
        gone.iter().fold(index, |index, gone| if *gone <= index { index + 1 } else { index })
    }

    /// [`Self::original`] of a path that is written out.
    pub(crate) fn original_text(&self, path: &str) -> String {
        if self.0.is_empty() {
            return path.to_owned();
        }
        let mut original = String::new();
        for part in path.split_inclusive(']') {
            let index =
                part.rsplit_once('[').and_then(|(list, index)| Some((list, index.strip_suffix(']')?.parse().ok()?)));
            match index {
                Some((list, index)) => {
                    original.push_str(list);
                    let index = self.shifted(index, |gone| render(gone) == original);
                    original.push_str(&format!("[{index}]"));
                }
                None => original.push_str(part),
            }
        }
        original
    }

    /// The places, as people read them.
    pub(crate) fn rendered(&self) -> Vec<String> {
        self.0.iter().map(|path| render(path)).collect()
    }
}

#[cfg(test)]
mod tests;
