//! Experiments: what is steady, what is expected, what goes wrong, and what came of it.

pub mod report;
