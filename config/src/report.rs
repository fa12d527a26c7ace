//! Collects problems and reads scalars; every reader notes what is wrong and lets the check go on.

use std::num::NonZeroU64;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::model::name::Name;
use crate::nearest::nearest;
use crate::problem::{Problem, Problems};
use crate::units::{ByteSize, Percentage, UnitError, parse_duration};
use crate::written::Scalar;

/// The problems found so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    problems: Vec<Problem>,
}

impl Report {
    pub(crate) fn add(&mut self, path: impl Into<String>, detail: impl Into<String>, hint: impl Into<String>) {
        self.problems.push(Problem::new(path, detail).with_hint(hint));
    }

    pub(crate) fn add_unit(&mut self, path: &str, error: UnitError) {
        self.add(path, error.detail, error.hint);
    }

    pub(crate) fn into_result(self) -> Result<(), Problems> {
        if self.problems.is_empty() { Ok(()) } else { Err(Problems(self.problems)) }
    }

    /// How many there are, for [`Self::label_since`].
    pub(crate) fn count(&self) -> usize {
        self.problems.len()
    }

    /// Puts `label` before the problems added since there were `count`.
    pub(crate) fn label_since(&mut self, count: usize, label: &str) {
        for problem in self.problems.iter_mut().skip(count) {
            problem.detail = format!("{label}: {}", problem.detail);
        }
    }

    /// The value, or a problem when it was not written.
    pub(crate) fn required<'a, T>(&mut self, path: &str, value: Option<&'a T>, hint: &str) -> Option<&'a T> {
        if value.is_none() {
            self.add(path, "missing", hint);
        }
        value
    }

    pub(crate) fn name(&mut self, path: &str, text: &str) -> Option<Name> {
        if text.is_empty() {
            self.add(path, "missing", "give it a name that is unique among its kind");
            return None;
        }
        Name::new(text).map_err(|detail| self.add(path, detail, "rename it")).ok()
    }

    pub(crate) fn duration(&mut self, path: &str, value: &Scalar) -> Option<Duration> {
        parse_duration(&value.to_string()).map_err(|error| self.add_unit(path, error)).ok()
    }

    pub(crate) fn positive_duration(&mut self, path: &str, value: &Scalar) -> Option<Duration> {
        let duration = self.duration(path, value)?;
        if duration.is_zero() {
            self.add(path, "it must be longer than 0s", "write a duration such as 5s, or remove it");
            return None;
        }
        Some(duration)
    }

    /// A duration above zero, or the default.
    pub(crate) fn duration_or(&mut self, path: &str, value: Option<&Scalar>, default: Duration) -> Duration {
        value.and_then(|value| self.positive_duration(path, value)).unwrap_or(default)
    }

    pub(crate) fn percentage(&mut self, path: &str, value: &Scalar) -> Option<Percentage> {
        value.to_string().parse().map_err(|error| self.add_unit(path, error)).ok()
    }

    pub(crate) fn bytes(&mut self, path: &str, value: &Scalar) -> Option<u64> {
        value.to_string().parse::<ByteSize>().map(|size| size.0).map_err(|error| self.add_unit(path, error)).ok()
    }

    pub(crate) fn positive_bytes(&mut self, path: &str, value: &Scalar) -> Option<NonZeroU64> {
        let bytes = NonZeroU64::new(self.bytes(path, value)?);
        if bytes.is_none() {
            self.add(path, "it must be more than 0", "write a size such as 64B");
        }
        bytes
    }

    /// A count within bounds, or the default.
    pub(crate) fn count_or(
        &mut self,
        path: &str,
        value: Option<u64>,
        bounds: RangeInclusive<usize>,
        default: usize,
    ) -> usize {
        let Some(value) = value else { return default };
        let (min, max) = (bounds.start(), bounds.end());
        match usize::try_from(value) {
            Ok(count) if bounds.contains(&count) => return count,
            Ok(count) if count < *min => {
                self.add(path, format!("{value} is too small"), format!("write at least {min}"));
            }
            _ => self.add(path, format!("{value} is too large"), format!("write at most {max}")),
        }
        default
    }

    /// One of a few words.
    pub(crate) fn word<T: Copy>(&mut self, path: &str, text: &str, words: &[(&str, T)]) -> Option<T> {
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let hint = match nearest(text, known.iter().copied()) {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!("write {}", known.join(" or ")),
        };
        self.add(path, format!("{text:?} is not one of {}", known.join(", ")), hint);
        None
    }

    /// Notes names that occur twice.
    pub(crate) fn unique<'a>(&mut self, kind: &str, names: impl Iterator<Item = &'a str>) {
        let mut seen = std::collections::HashMap::new();
        for (index, name) in names.enumerate().filter(|(_, name)| !name.is_empty()) {
            if let Some(first) = seen.insert(name, index) {
                let detail = format!("the name {name:?} is taken by {kind}[{first}]");
                self.add(format!("{kind}[{index}].name"), detail, "rename one of them");
                seen.insert(name, first);
            }
        }
    }

    /// Notes a reference to something that does not exist.
    pub(crate) fn reference(&mut self, path: &str, kind: &str, name: &str, known: &[&str]) {
        if known.contains(&name) {
            return;
        }
        let hint = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean {near:?}?"),
            None if known.is_empty() => format!("there is no {kind} yet; add one"),
            None => format!("there are: {}", known.join(", ")),
        };
        self.add(path, format!("there is no {kind} {name:?}"), hint);
    }
}
