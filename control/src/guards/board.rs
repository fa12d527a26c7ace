//! How the guards are, for those who ask.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use schemars::JsonSchema;
use serde::Serialize;
use squall_config::model::{Guard, Name};

use super::judge::Finding;
use super::machine::State;
use crate::text::rfc3339;

/// A guard in numbers, for the metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardStats {
    /// Its name.
    pub name: String,
    /// One of [`GuardStats::STATES`].
    pub state: &'static str,
    /// How often it stopped all faults.
    pub trips: u64,
}

impl GuardStats {
    /// What a guard can be.
    pub const STATES: [&'static str; State::WORDS.len()] = State::WORDS;
}

/// A guard.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "GuardStatus")]
pub(crate) struct GuardOut {
    /// Its name.
    name: String,
    /// Its condition, in words.
    condition: String,
    /// `ok`; `breaching`, its condition holds, but not for long enough; `blind`, nobody knows whether it holds; or `tripped`: it
    /// has stopped all faults, until somebody resumes.
    state: &'static str,
    /// Since when it is breaching, blind or tripped; null when it is ok. RFC 3339.
    since: Option<String>,
    /// What was measured last; null when there was nothing to measure.
    value: Option<f64>,
    /// What the value is in.
    unit: &'static str,
    /// What went wrong when it looked last; null when nothing did.
    trouble: Option<String>,
    /// Why it tripped; null when it did not.
    reason: Option<String>,
}

/// How the guards are, in the order of the configuration.
#[derive(Debug, Default)]
pub(crate) struct GuardBoard(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    shown: Vec<Shown>,
    /// By guard; those of guards that are gone stay, as counters do.
    trips: BTreeMap<Name, u64>,
}

#[derive(Clone, Debug)]
struct Shown {
    guard: Guard,
    state: State,
    found: Option<Finding>,
    reason: Option<String>,
}

impl GuardBoard {
    /// These are the guards now; what is known of those that stay is kept.
    pub(super) fn set(&self, guards: &[Guard]) {
        let mut entries = self.entries();
        let fresh = |guard: &Guard| Shown { guard: guard.clone(), state: State::Ok, found: None, reason: None };
        let before = std::mem::take(&mut entries.shown);
        let kept = |guard: &Guard| before.iter().find(|shown| shown.guard == *guard).cloned();
        entries.shown = guards.iter().map(|guard| kept(guard).unwrap_or_else(|| fresh(guard))).collect();
        for guard in guards {
            entries.trips.entry(guard.name.clone()).or_default();
        }
    }

    /// Notes how a guard is.
    pub(super) fn note(&self, name: &Name, state: State, found: &Finding) {
        let mut entries = self.entries();
        if let Some(shown) = entries.shown.iter_mut().find(|shown| shown.guard.name == *name) {
            shown.state = state;
            shown.found = Some(found.clone());
            shown.reason = shown.reason.take().filter(|_| matches!(state, State::Tripped { .. }));
        }
    }

    /// Notes that a guard has stopped all faults.
    pub(super) fn note_trip(&self, name: &Name, reason: &str) {
        let mut entries = self.entries();
        *entries.trips.entry(name.clone()).or_default() += 1;
        if let Some(shown) = entries.shown.iter_mut().find(|shown| shown.guard.name == *name) {
            shown.reason = Some(reason.to_owned());
        }
    }

    /// For `/v1/status`.
    pub(crate) fn out(&self) -> Vec<GuardOut> {
        let (wall, now) = (SystemTime::now(), Instant::now());
        let at = |since: Instant| rfc3339(wall.checked_sub(now.saturating_duration_since(since)).unwrap_or(wall));
        let out = |shown: &Shown| GuardOut {
            name: shown.guard.name.to_string(),
            condition: shown.guard.condition.to_string(),
            state: shown.state.as_str(),
            since: shown.state.since().map(at),
            value: shown.found.as_ref().and_then(|found| found.value),
            unit: shown.found.as_ref().map_or("", |found| found.unit.as_str()),
            trouble: shown.found.as_ref().and_then(|found| found.trouble.clone()),
            reason: shown.reason.clone(),
        };
        self.entries().shown.iter().map(out).collect()
    }

    /// The guards in numbers, in the order of the configuration.
    pub(crate) fn stats(&self) -> Vec<GuardStats> {
        let entries = self.entries();
        let stats = entries.shown.iter().map(|shown| GuardStats {
            name: shown.guard.name.to_string(),
            state: shown.state.as_str(),
            trips: entries.trips.get(&shown.guard.name).copied().unwrap_or(0),
        });
        stats.collect()
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
