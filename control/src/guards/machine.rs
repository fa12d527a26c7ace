//! The states of a guard: ok, breaching, blind, tripped. What it sees and what the time is come from outside.

use std::time::{Duration, Instant};

use squall_config::model::{Condition, Guard, QueryCondition, WhenBlind};

use super::judge::Finding;

/// How a guard is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Its condition does not hold.
    Ok,
    /// Its condition holds, but not for long enough.
    Breaching {
        /// Since when.
        since: Instant,
    },
    /// Nobody knows whether its condition holds.
    Blind {
        /// Since when.
        since: Instant,
    },
    /// It has stopped all faults, and does nothing more.
    Tripped {
        /// Since when.
        since: Instant,
    },
}

impl State {
    /// The word of the API and of the metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Breaching { .. } => "breaching",
            Self::Blind { .. } => "blind",
            Self::Tripped { .. } => "tripped",
        }
    }

    /// Since when it is so; `None` when it is well.
    pub(crate) fn since(self) -> Option<Instant> {
        match self {
            Self::Ok => None,
            Self::Breaching { since } | Self::Blind { since } | Self::Tripped { since } => Some(since),
        }
    }

    /// All words, in the order of the metrics.
    pub(crate) const WORDS: [&'static str; 4] = ["ok", "breaching", "blind", "tripped"];
}

/// A guard while it watches.
#[derive(Debug)]
pub(crate) struct Machine {
    guard: Guard,
    state: State,
}

/// What a step came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing is another than before.
    Same,
    /// Its state is another one, and all faults go on.
    Changed,
    /// All faults have to stop, for this reason.
    Trip(String),
}

impl Machine {
    /// Begins afresh: well, whatever was before.
    pub(crate) fn new(guard: Guard) -> Self {
        Self { guard, state: State::Ok }
    }

    /// How it is.
    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// Takes in what was found. Once tripped it stays so.
    pub(crate) fn step(&mut self, now: Instant, found: &Finding) -> Step {
        debug_assert!(!found.is_enough || found.since.is_some(), "enough of what does not hold");
        let next = match (self.state, found.since) {
            (State::Tripped { .. }, _) => return Step::Same,
            (State::Blind { since }, _) if found.is_blind => State::Blind { since },
            _ if found.is_blind => State::Blind { since: now },
            (_, Some(_)) if found.is_enough => State::Tripped { since: now },
            (_, Some(since)) => State::Breaching { since },
            (_, None) => State::Ok,
        };
        let before = std::mem::replace(&mut self.state, next);
        match next {
            State::Tripped { .. } => Step::Trip(self.reason(now, found)),
            State::Blind { since } if self.is_blind_too_long(now, since) => {
                self.state = State::Tripped { since: now };
                Step::Trip(self.reason_of_blindness(now, since, found))
            }
            _ if before.as_str() == next.as_str() => Step::Same,
            _ => Step::Changed,
        }
    }

    /// When it trips if nothing changes until then.
    pub(crate) fn due(&self) -> Option<Instant> {
        let Condition::Query(query) = &self.guard.condition else { return None };
        match (self.state, query.when_blind) {
            (State::Breaching { since }, _) => since.checked_add(query.held_for),
            (State::Blind { since }, WhenBlind::HaltAfter(after)) => since.checked_add(after),
            _ => None,
        }
    }

    fn is_blind_too_long(&self, now: Instant, since: Instant) -> bool {
        match &self.guard.condition {
            Condition::Query(QueryCondition { when_blind: WhenBlind::HaltAfter(after), .. }) => {
                now.saturating_duration_since(since) >= *after
            }
            _ => false,
        }
    }

    fn reason_of_blindness(&self, now: Instant, since: Instant, found: &Finding) -> String {
        let (name, trouble) = (&self.guard.name, found.in_words());
        format!("guard {name} is blind for {:.1} s: {trouble}", now.saturating_duration_since(since).as_secs_f64())
    }

    fn reason(&self, now: Instant, found: &Finding) -> String {
        let Guard { name, condition } = &self.guard;
        let held_for = found.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        format!("guard {name}: {condition}; {} in {:.1} s", found.in_words(), held_for.as_secs_f64())
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
