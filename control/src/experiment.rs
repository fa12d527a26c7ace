//! Experiments: what is steady, what is expected, what goes wrong, and what came of it.

mod breaker;
mod durations;
mod evidence;
mod groups;
mod harm;
mod join;
mod looks;
mod phases;
mod pool;
pub mod report;
mod retries;
mod routes;
mod series;
mod statistics;
pub mod study;
#[cfg(test)]
mod tests;
pub mod verdict;
mod wording;
