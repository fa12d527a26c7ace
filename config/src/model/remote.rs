//! Conditions that are asked for over HTTP.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;

use super::Bound;
use crate::units::format_duration;

/// Whom to ask, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpTarget {
    /// Absolute: http or https, with a host, without user and password.
    pub url: Uri,
    /// A file with a bearer token to show.
    pub token_file: Option<PathBuf>,
    /// The authorities that vouch for an https address; `None` takes those of the system.
    pub ca: Option<PathBuf>,
    /// An answer that takes longer is none.
    pub timeout: Duration,
    /// From one question to the next; not shorter than `timeout`.
    pub every: Duration,
}

/// A number that Prometheus gives.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryCondition {
    /// Prometheus; the URL is that of its root.
    pub target: HttpTarget,
    /// In PromQL; not empty.
    pub query: String,
    /// How much is too much.
    pub bound: Bound,
    /// How long without a break; at least a second.
    pub held_for: Duration,
    /// What becomes of it without a number.
    pub when_blind: WhenBlind,
}

/// What becomes of a guard that sees nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenBlind {
    /// After so long it stops all faults: who cannot see cannot guard.
    HaltAfter(Duration),
    /// Nothing.
    Ignore,
}

/// Something that has to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeCondition {
    /// What is asked.
    pub target: HttpTarget,
    /// The statuses that are well; not empty.
    pub statuses: Vec<RangeInclusive<u16>>,
    /// So many failures in a row; at least one.
    pub failures: u32,
}

impl ProbeCondition {
    /// Whether an answer with this status is well.
    pub fn accepts(&self, status: u16) -> bool {
        self.statuses.iter().any(|range| range.contains(&status))
    }
}

impl fmt::Display for HttpTarget {
    /// Without a query, which may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = self.url.authority().map_or("", |authority| authority.as_str());
        write!(f, "{}://{authority}{}", self.url.scheme_str().unwrap_or("http"), self.url.path())
    }
}

impl fmt::Display for QueryCondition {
    /// As in `up{job="a"} below 1 for 1m`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} for {}", self.query, self.bound, format_duration(self.held_for))
    }
}

impl fmt::Display for ProbeCondition {
    /// As in `3 failed probes of http://127.0.0.1:8000/healthz in a row`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed probes of {} in a row", self.failures, self.target)
    }
}
