//! What has gone through the listeners, in numbers that are compared with those of a moment before.

use squall_config::model::{Direction, Name};

/// What has gone through the listeners since the start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Traffic {
    /// Upper bounds of the buckets of durations, in seconds and rising; what is beyond the last is in one more.
    pub duration_bounds: &'static [f64],
    /// Of each listener with each cluster, in any order.
    pub totals: Vec<TrafficTotals>,
}

/// What has gone from one listener to one cluster since the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrafficTotals {
    /// The listener.
    pub listener: Name,
    /// The cluster that its traffic goes to.
    pub cluster: Name,
    /// The listener's.
    pub direction: Direction,
    /// Connections of clients that are open.
    pub connections: u64,
    /// Bytes of bodies and streams towards the cluster.
    pub bytes_request: u64,
    /// Bytes of bodies and streams from the cluster.
    pub bytes_response: u64,
    /// HTTP exchanges that began.
    pub begun: u64,
    /// Exchanges that ended.
    pub ended: u64,
    /// Those of them that a rule ended.
    pub injected: u64,
    /// Of the others those that got no answer, or one with a status from 500 on.
    pub failed: u64,
    /// How many took how long, in buckets by [`Traffic::duration_bounds`].
    pub durations: Vec<u64>,
}
