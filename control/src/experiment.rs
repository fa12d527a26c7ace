//! Experiments: what is steady, what is expected, what goes wrong, and what came of it.
//!
//! The life of a run: somebody asks for it ([`start`] checks whether it can be now, the [`board`] takes it), the [`runner`] begins a
//! [`run`] and looks several times a second. The run asks the [`steady`] state, the guards ([`guarding`]) and the [`study`] of the
//! exchanges how things are, and the [`machine`] what follows from it: the rules that are in force, the phase, the end. At the end
//! the [`verdict`] is drawn from the [`report`], which the [`archive`] keeps. Only the runner, what it has [`asking`], and the archive
//! do I/O; only the run reads the clock.

pub(crate) mod archive;
mod asking;
pub(crate) mod board;
mod breaker;
mod durations;
mod evidence;
mod groups;
mod guarding;
mod harm;
mod join;
mod looks;
mod machine;
mod measure;
mod phases;
pub(crate) mod plan;
mod pool;
pub mod report;
mod retries;
mod routes;
mod run;
pub(crate) mod runner;
mod series;
pub(crate) mod start;
mod statistics;
mod steady;
pub mod study;
#[cfg(test)]
mod tests;
pub mod verdict;
mod wording;
