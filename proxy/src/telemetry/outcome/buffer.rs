//! What a worker noted and nobody has taken yet.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use super::Outcome;

/// As many exchanges as one worker keeps between two looks: 7 MiB of them, and a fraction of a second at full speed.
pub(super) const OUTCOMES_MAX: usize = 32 * 1024;

/// Filled by one worker, and emptied several times a second; each holds the lock for a few instructions.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    kept: Mutex<Kept>,
    /// How many there were at the last look: so much room is ready for the next ones.
    last: AtomicUsize,
}

#[derive(Debug, Default)]
struct Kept {
    /// Which observation they are of.
    observation: u64,
    outcomes: Vec<Outcome>,
    lost: u64,
}

impl Buffer {
    /// Keeps an outcome of the observation with this number, or counts it as lost; what is left of others is forgotten.
    pub(super) fn push(&self, observation: u64, outcome: Outcome) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.observation != observation {
            *kept = Kept { observation, ..Kept::default() };
        }
        if kept.outcomes.len() < OUTCOMES_MAX {
            kept.outcomes.push(outcome);
        } else {
            kept.lost += 1;
        }
    }

    /// Takes what was kept of the observation with this number; gives how many were lost.
    pub(crate) fn take(&self, observation: u64, into: &mut Vec<Outcome>) -> u64 {
        let room = Vec::with_capacity(self.last.load(Relaxed));
        let kept = {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *kept, Kept { observation, outcomes: room, lost: 0 })
        };
        if kept.observation != observation {
            return 0;
        }
        self.last.store(kept.outcomes.len(), Relaxed);
        if into.is_empty() {
            *into = kept.outcomes;
        } else {
            into.extend(kept.outcomes);
        }
        kept.lost
    }
}
