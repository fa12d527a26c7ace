//! A text condition: exact, prefix, glob or regular expression, compiled once.

use globset::{GlobBuilder, GlobMatcher};
use regex::Regex;

/// A compiled condition on a text.
#[derive(Clone, Debug)]
pub enum Pattern {
    /// Is this text.
    Exact(String),
    /// Begins with it.
    Prefix(String),
    /// `*` within one path segment, `**` across segments, `?`, `[..]`, `{a,b}`.
    Glob(GlobMatcher),
    /// Matches the whole text, in linear time.
    Regex(Regex),
}

impl Pattern {
    /// Compiles a glob; the error says what is wrong with it.
    pub fn glob(text: &str) -> Result<Self, String> {
        let glob = GlobBuilder::new(text).literal_separator(true).build().map_err(|e| e.to_string())?;
        Ok(Self::Glob(glob.compile_matcher()))
    }

    /// Compiles a regular expression, anchored at both ends; the error says what is wrong with it.
    pub fn regex(text: &str) -> Result<Self, String> {
        Regex::new(&format!("^(?:{text})$")).map(Self::Regex).map_err(|e| e.to_string())
    }

    /// Whether the text fulfils the condition.
    pub fn is_match(&self, text: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == text,
            Self::Prefix(prefix) => text.starts_with(prefix.as_str()),
            Self::Glob(glob) => glob.is_match(text),
            Self::Regex(regex) => regex.is_match(text),
        }
    }
}
