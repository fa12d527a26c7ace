//! Experiments: what is steady, what is expected, what goes wrong, and what came of it.
//!
//! The life of a run: somebody asks for it (`start` checks whether it can be now, the `board` takes it), the `runner` begins a
//! `run` and looks several times a second. The run asks the `steady` state, the guards (`guarding`) and the `study` of the
//! exchanges how things are, and the `machine` what follows from it: the rules that are in force, the phase, the end. How many
//! exchanges are looked at says the `sampler`. At the end
//! the `verdict` is drawn from the `report`, which the `archive` keeps. Only the runner, what it has `asking`, and the archive
//! do I/O; only the run reads the clock.

pub(crate) mod archive;
mod asking;
pub(crate) mod board;
mod guarding;
mod machine;
mod measure;
mod ordered;
pub(crate) mod plan;
pub(crate) mod report;
mod run;
pub(crate) mod runner;
mod sampler;
pub(crate) mod start;
mod steady;
mod study;
#[cfg(test)]
mod tests;
mod verdict;
