//! Seeing it: counters of each worker, their exposition, the access log, traces, and who watches.

pub(crate) mod access_log;
mod families;
pub(crate) mod metrics;
pub(crate) mod notes;
pub(crate) mod outcome;
pub(crate) mod shard;
pub(crate) mod tap;
pub(crate) mod totals;
pub(crate) mod trace;
