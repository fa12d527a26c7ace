//! What was found about a condition at one moment.

use std::fmt;
use std::time::Instant;

use super::account::Requests;

/// What was found about a condition at one moment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Finding {
    /// Since when the condition holds; `None` when it does not.
    pub(crate) since: Option<Instant>,
    /// It has held for long enough.
    pub(crate) is_enough: bool,
    /// What is measured now; `None` when there is nothing to measure.
    pub(crate) value: Option<f64>,
    /// Where the condition is one on a share: the requests since then.
    pub(crate) over: Option<Requests>,
    /// What the value is in.
    pub(crate) unit: Unit,
    /// What went wrong when it was looked for.
    pub(crate) trouble: Option<String>,
    /// There should be something to measure, and nobody knows what it is.
    pub(crate) is_blind: bool,
}

impl Finding {
    /// Nothing to measure, and so nothing that is wrong.
    pub(crate) fn nothing(unit: Unit) -> Self {
        Self { since: None, is_enough: false, value: None, over: None, unit, trouble: None, is_blind: false }
    }

    /// What is measured, in words.
    pub(crate) fn in_words(&self) -> String {
        let share = if self.unit == Unit::PercentSlower { "took longer" } else { "failed" };
        let bad = self.over.and_then(Requests::share).map(|share| share * 100.0);
        match (self.over.zip(bad), self.value) {
            (Some((requests, percent)), _) => format!("{percent:.2} % of {:.0} requests {share}", requests.all),
            (None, Some(value)) => format!("{}{}", number(value), self.unit),
            (None, None) => self.trouble.clone().unwrap_or_else(|| "nothing".to_owned()),
        }
    }
}

/// Without digits that say nothing.
fn number(value: f64) -> String {
    if value.abs() >= 1e6 || (value != 0.0 && value.abs() < 1e-3) {
        return format!("{value:e}");
    }
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// What a value is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Percent of the requests, which failed.
    Percent,
    /// Percent of the requests, which took longer than the bound.
    PercentSlower,
    /// Requests.
    Requests,
    /// Requests a second.
    PerSecond,
    /// What only the query knows.
    Number,
    /// A status of HTTP.
    Status,
}

impl Unit {
    /// As the API says it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Percent => "% failed",
            Self::PercentSlower => "% slower",
            Self::Requests => "requests",
            Self::PerSecond => "requests/s",
            Self::Number => "",
            Self::Status => "status",
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number => Ok(()),
            _ => write!(f, " {}", self.as_str()),
        }
    }
}

/// Since when something holds without a break.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Holding(Option<Instant>);

impl Holding {
    /// Notes whether it holds.
    pub(crate) fn step(&mut self, now: Instant, holds: bool) -> Option<Instant> {
        self.0 = if holds { Some(self.0.unwrap_or(now)) } else { None };
        self.0
    }
}
