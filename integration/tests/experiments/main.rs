//! Experiments: what a run does to traffic, what it concludes, and how it ends.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

mod ends;
mod ready_made;
mod refusals;
mod verdicts;
mod world;
