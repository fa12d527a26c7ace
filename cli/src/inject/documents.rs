//! A text as its documents, each of which is left as it was written unless it changes.

use std::borrow::Cow;

use serde_json::Value;
use serde_saphyr::options::DuplicateKeyPolicy;
use squall_config::Problem;

use super::order::{Arranged, Written};
use crate::exit::Failure;

/// A part of a text: a document, with the markers and comments around it.
#[derive(Debug)]
pub(super) struct Part<'a> {
    pub(super) text: &'a str,
    /// The line of the file in which it begins, from 1.
    pub(super) line: usize,
    is_json: bool,
}

/// A document that was read.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) value: Value,
    written: Written,
}

/// The parts of a text; together they are the text.
pub(super) fn parts(text: &str) -> Vec<Part<'_>> {
    let is_json =
        text.trim_start().starts_with(['{', '[']) && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    if is_json {
        return vec![Part { text, line: 1, is_json }];
    }
    // `---` and `...` at the beginning of a line are markers wherever they stand, in texts of several lines too
    // (YAML 1.2.2 §9.1.2).
    let (mut parts, mut begin, mut first, mut at) = (Vec::new(), 0, 1, 0);
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        let end = at + line.len();
        let (cut, next) = match () {
            () if is_marker(line, "---") && !is_head(&text[begin..at]) => (at, number),
            () if is_marker(line, "...") => (end, number + 1),
            () => (begin, first),
        };
        if cut > begin {
            parts.push(Part { text: &text[begin..cut], line: first, is_json });
            (begin, first) = (cut, next);
        }
        at = end;
    }
    if begin < text.len() {
        parts.push(Part { text: &text[begin..], line: first, is_json });
    }
    parts
}

fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker).is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
}

/// Whether these lines belong to the marker that follows: directives, and comments with them.
fn is_head(text: &str) -> bool {
    text.lines().any(|line| line.starts_with('%')) && text.lines().all(|line| is_beside(line) || line.starts_with('%'))
}

/// A line in which nothing is said.
fn is_beside(line: &str) -> bool {
    let line = line.trim_start();
    line.is_empty() || line.starts_with('#')
}

impl Part<'_> {
    /// Reads it; `None` when there is none in it.
    pub(super) fn document(&self) -> Result<Option<Document>, Problem> {
        if self.text.lines().all(is_beside) {
            return Ok(None);
        }
        let written = self.read()?;
        let value = written.value();
        Ok((!value.is_null()).then_some(Document { value, written }))
    }

    fn read(&self) -> Result<Written, Problem> {
        if self.is_json {
            return serde_json::from_str(self.text).map_err(|error| Problem {
                line: u32::try_from(error.line()).ok(),
                column: u32::try_from(error.column()).ok(),
                ..problem(error.to_string())
            });
        }
        serde_saphyr::from_str_with_options(self.text, options()).map_err(|error| {
            // Read once more where it stands in the file: messages speak of other lines, too.
            let placed = "\n".repeat(self.line - 1) + self.text;
            let error = serde_saphyr::from_str_with_options::<Written>(&placed, options()).err().unwrap_or(error);
            let place = |number: u64| u32::try_from(number).ok();
            Problem {
                line: error.location().and_then(|location| place(location.line())),
                column: error.location().and_then(|location| place(location.column())),
                ..problem(error.render_with_formatter(&serde_saphyr::UserMessageFormatter))
            }
        })
    }

    /// Its text with another value; the same text when the value is the same.
    pub(super) fn with(&self, document: &Document, value: &Value) -> Result<Cow<'_, str>, Failure> {
        if *value == document.value {
            return Ok(Cow::Borrowed(self.text));
        }
        let arranged = Arranged { value, order: Some(&document.written) };
        if self.is_json {
            let text = serde_json::to_string_pretty(&arranged).map_err(anyhow::Error::from)?;
            return Ok(Cow::Owned(text + "\n"));
        }
        let body = serde_saphyr::to_string_with_options(&arranged, style())
            .map_err(|error| anyhow::anyhow!("cannot write YAML: {error}"))?;
        let (head, end) = (self.head(), if self.is_ended() { "...\n" } else { "" });
        Ok(Cow::Owned(format!("{head}{body}{end}")))
    }

    /// The markers, directives and comments before the first line of the document.
    fn head(&self) -> String {
        let mut head = String::new();
        for line in self.text.split_inclusive('\n') {
            let is_bare_marker = is_marker(line, "---") && is_beside(line.trim_start_matches('-'));
            if !is_beside(line) && !line.starts_with('%') && !is_bare_marker {
                // What stands behind a marker on its line is the document.
                head.push_str(if is_marker(line, "---") { "---\n" } else { "" });
                break;
            }
            head.push_str(line);
        }
        head
    }

    fn is_ended(&self) -> bool {
        self.text.lines().last().is_some_and(|line| is_marker(line, "..."))
    }
}

fn problem(detail: String) -> Problem {
    Problem { path: String::new(), line: None, column: None, detail, hint: None }
}

/// Manifests are read as kubectl reads them: `yes` is true, and `0400` is octal.
fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::Error,
        strict_booleans: false,
        legacy_octal_numbers: true,
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_nodes: 2_000_000,
            max_events: 6_000_000,
            // The schemas in definitions of resources go deep.
            max_depth: 200,
        },
    }
}

/// They are written so that readers of YAML 1.1 and of 1.2 get the same; long lines stay whole.
fn style() -> serde_saphyr::SerializerOptions {
    serde_saphyr::ser_options! {
        compact_list_indent: true,
        folded_wrap_chars: 1 << 20,
    }
}

#[cfg(test)]
#[path = "documents_tests.rs"]
mod tests;
