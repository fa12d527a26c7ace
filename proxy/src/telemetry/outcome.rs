//! What is noted of each HTTP exchange while an experiment runs, so that calls to A can be joined with those that A makes.
//!
//! [`observing`] is a worker's part of it, [`noting`] follows one exchange: of its request it wants ids ([`ids`]), of its
//! answer the [`shape`], for people the [`route`]. [`buffer`] keeps what is noted until somebody takes it.

pub(crate) mod buffer;
pub(crate) mod ids;
pub(crate) mod noting;
pub(crate) mod observing;
mod route;
mod shape;

use std::hash::{BuildHasher as _, Hasher as _};

use foldhash::fast::FixedState;
use squall_telemetry::{Observation, Outcome};

/// A hash that is the same on every worker, and for the same `seed` alone.
fn hash<'a>(seed: u64, parts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    let mut hasher = FixedState::with_seed(seed).build_hasher();
    for part in parts {
        hasher.write(part);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests;
