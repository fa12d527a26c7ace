//! Seeing it: counters of each worker, their exposition, the access log, traces.

pub(crate) mod access_log;
pub(crate) mod metrics;
pub(crate) mod shard;
pub(crate) mod trace;
