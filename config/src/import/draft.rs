//! A rule in the making.

use crate::spec::{FaultSpec, MatchSpec, Scalar};
use crate::units::Percentage;

/// A rule in the making, and what is known of its distance to its source.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    /// What it was made of, such as `spec.http[0].fault.delay`.
    pub(super) path: String,
    /// Its name; without one it gets the document's and a number.
    pub(super) name: Option<String>,
    pub(super) matches: MatchSpec,
    pub(super) share: Share,
    pub(super) fault: FaultSpec,
    pub(super) ttl: Option<Scalar>,
    /// Conditions of the source that the match does not have: the rule would hit more.
    pub(super) wider: Vec<Missing>,
}

/// A condition of the source that a match cannot have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) path: String,
    pub(super) detail: String,
    pub(super) hint: String,
}

impl Missing {
    pub(super) fn new(path: impl Into<String>, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { path: path.into(), detail: detail.into(), hint: hint.into() }
    }
}

/// The share of what matches.
#[derive(Clone, Debug)]
pub(super) enum Share {
    /// As the source has it.
    Written(Percentage),
    /// The source has none; `meaning` is what its own program does then, completing "no percentage is written, …".
    Absent { path: String, meaning: &'static str },
}

impl Default for Share {
    fn default() -> Self {
        Self::Absent { path: String::new(), meaning: "" }
    }
}
