//! What is wrong, where, and how to fix it.

use std::fmt;

/// One thing that is wrong with a document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problem {
    /// The field, as in `rules[3].fault.delay`; empty for the document itself.
    pub path: String,
    /// Line in the file, from 1, when the document came from a file.
    pub line: Option<u32>,
    /// Column in the file, in characters from 1, when the document came from a file.
    pub column: Option<u32>,
    /// What is wrong.
    pub detail: String,
    /// How to fix it.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem without position.
    pub fn new(path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { path: path.into(), detail: detail.into(), ..Self::default() }
    }

    /// Adds how to fix it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.path.is_empty() { "document" } else { &self.path })?;
        match (self.line, self.column) {
            (Some(line), Some(column)) => write!(f, " (line {line}, column {column})")?,
            (Some(line), None) => write!(f, " (line {line})")?,
            (None, _) => {}
        }
        write!(f, ": {}", self.detail)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}

/// All that is wrong with a document; never empty when it is an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

/// serde's words for people who do not write Rust.
pub(crate) fn humanize(message: &str) -> String {
    let Some((found, expected)) = message
        .strip_prefix("invalid type: ")
        .or_else(|| message.strip_prefix("invalid value: "))
        .and_then(|m| m.split_once(", expected "))
    else {
        return message.to_owned();
    };
    let expected = match expected {
        "u64" | "u32" | "usize" => "a whole number, not negative",
        "a boolean" => "true or false",
        "a string" => "a text",
        "a sequence" => "a list",
        "a map" => "an object",
        other => other,
    };
    let found = found
        .replace("map", "an object")
        .replace("sequence", "a list")
        .replace("null", "nothing")
        .replace("string ", "the text ")
        .replace("boolean ", "")
        .replace("integer ", "the number ")
        .replace("floating point ", "the number ");
    format!("expected {expected}, found {found}")
}
