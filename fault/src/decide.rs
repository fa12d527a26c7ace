//! What happens to this request, to this connection? Pure, but for the counts of the rules that match.

use std::time::Duration;

use squall_config::model::Delay;

use crate::meta::{ConnectionMeta, RequestMeta};
use crate::plan::{FaultPlan, RuleIndex};
use crate::snapshot::{CompiledListener, Snapshot};

/// Decides once for one request.
pub fn decide_request(snapshot: &Snapshot, listener: &CompiledListener, request: &RequestMeta<'_>) -> FaultPlan {
    let _ = (snapshot, listener, request);
    FaultPlan::EMPTY
}

/// Decides for one connection and one rule (a connection decides anew for each rule that appears while it is open,
/// and never twice for the same one). Steps of delays carry no latency: a stream draws it for each chunk.
pub fn decide_connection(snapshot: &Snapshot, rule: RuleIndex, connection: &ConnectionMeta<'_>) -> FaultPlan {
    let _ = (snapshot, rule, connection);
    FaultPlan::EMPTY
}

/// Draws latencies for the chunks of one delayed stream; the n-th draw depends on the seed alone.
#[derive(Debug)]
pub struct LatencyStream {
    delay: Delay,
}

impl LatencyStream {
    /// A stream of draws of `delay`.
    pub fn new(delay: Delay, seed: u64) -> Self {
        let _ = seed;
        Self { delay }
    }

    /// The next latency, at most `delay.max`.
    pub fn next_latency(&mut self) -> Duration {
        self.delay.max
    }
}
