//! What one worker counts. Each value has one writer, so that counting is a load and a store, never a locked
//! instruction; the scraper reads from its own thread and adds the workers up.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use squall_config::model::{Direction, Name};

use crate::error::ErrorKind;
use crate::tls::accept::Handshake;

/// A number with one writer.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Takes one away from a count that goes both ways.
    pub(crate) fn subtract_one(&self) {
        debug_assert!(self.get() > 0, "a count went below zero");
        self.0.store(self.0.load(Relaxed).wrapping_sub(1), Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Upper bounds of the latency buckets, in seconds; the last bucket is +Inf. A call on the same machine takes a few hundred
/// microseconds, and whoever waits longer than a minute has given up.
pub(crate) const BUCKETS: [f64; 18] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

const BUCKETS_NS: [u64; BUCKETS.len()] = {
    let mut ns = [0; BUCKETS.len()];
    let mut i = 0;
    while i < BUCKETS.len() {
        // Whole nanoseconds of at most a minute.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "constant, at most 6e10")]
        {
            ns[i] = (BUCKETS[i] * 1e9) as u64;
        }
        i += 1;
    }
    ns
};

/// A histogram of durations.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    pub(crate) buckets: [Count; BUCKETS.len() + 1],
    pub(crate) sum_ns: Count,
}

impl Histogram {
    pub(crate) fn observe(&self, duration: Duration) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BUCKETS_NS.partition_point(|bound| *bound < ns);
        self.buckets[bucket].add(1);
        self.sum_ns.add(ns);
    }
}

/// Who made the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The upstream, whatever was added to it on the way.
    Upstream,
    /// A rule.
    Injected,
    /// Squall, because something failed.
    Proxy,
}

impl Origin {
    pub(crate) const ALL: [Self; 3] = [Self::Upstream, Self::Injected, Self::Proxy];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Upstream => "upstream",
            Self::Injected => "injected",
            Self::Proxy => "proxy",
        }
    }
}

/// Labels of the status classes; `none` is an exchange that ended without a response head.
pub(crate) const STATUS_CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// Why Squall ended what a client did, for the sake of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// A head, or the beginning of HTTP/2, that did not become whole in time.
    SlowHead,
    /// A body that did not go on, or an answer that was not taken.
    Stalled,
    /// Frames that cost and mean nothing, or requests that are taken back.
    Flood,
}

impl Cut {
    pub(crate) const ALL: [Self; 3] = [Self::SlowHead, Self::Stalled, Self::Flood];

    /// The value of the metric label.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::SlowHead => "slow_head",
            Self::Stalled => "stalled",
            Self::Flood => "flood",
        }
    }
}

/// What is counted for one listener.
#[derive(Debug, Default)]
pub(crate) struct ListenerShard {
    /// Exchanges that began; those that did not end yet are in flight.
    pub(crate) begun: Count,
    /// By origin and status class.
    pub(crate) requests: [[Count; 6]; 3],
    pub(crate) duration: Histogram,
    pub(crate) bytes_request: Count,
    pub(crate) bytes_response: Count,
    pub(crate) connections: Count,
    /// TCP connections that were relayed, from their beginnings on.
    pub(crate) relays: Count,
    /// Connections that should have begun with a PROXY protocol header.
    pub(crate) proxy_headers_refused: Count,
    /// In the order of [`Cut::ALL`].
    pub(crate) cuts: [Count; Cut::ALL.len()],
    /// TLS handshakes by how they ended, in the order of [`Handshake::ALL`].
    pub(crate) handshakes: [Count; Handshake::ALL.len()],
}

impl ListenerShard {
    /// Counts a TLS handshake.
    pub(crate) fn count_handshake(&self, end: Handshake) {
        self.handshakes[end as usize].add(1);
    }

    /// Counts a client that was cut.
    pub(crate) fn count_cut(&self, why: Cut) {
        self.cuts[why as usize].add(1);
    }

    /// Counts a finished exchange.
    pub(crate) fn count_request(&self, origin: Origin, status: Option<u16>, duration: Duration) {
        let class = status.map_or(0, |s| usize::from(s / 100).min(5));
        self.requests[origin as usize][class].add(1);
        self.duration.observe(duration);
    }
}

/// Labels of the results of connecting.
pub(crate) const CONNECT_RESULTS: [&str; 6] = ["ok", "refused", "timeout", "resolve_failed", "failed", "tls"];

/// What is counted for one cluster.
#[derive(Debug, Default)]
pub(crate) struct ClusterShard {
    pub(crate) connections: [Count; CONNECT_RESULTS.len()],
}

impl ClusterShard {
    /// Counts an attempt to connect.
    pub(crate) fn count_connection(&self, error: Option<ErrorKind>) {
        let result = match error {
            None => 0,
            Some(ErrorKind::ConnectRefused) => 1,
            Some(ErrorKind::ConnectTimeout) => 2,
            Some(ErrorKind::ResolveFailed) => 3,
            Some(kind) if kind.is_of_tls() => 5,
            Some(_) => 4,
        };
        self.connections[result].add(1);
    }
}

/// A listener with its labels.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ListenerKey {
    pub(crate) listener: Name,
    pub(crate) cluster: Name,
    pub(crate) direction: Direction,
}

/// A kind of fault that a rule injects on a listener.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FaultKey {
    pub(crate) rule: Name,
    pub(crate) kind: &'static str,
    pub(crate) listener: ListenerKey,
}

/// What is counted for one kind of fault of one rule.
#[derive(Debug, Default)]
pub(crate) struct FaultShard {
    pub(crate) injected: Count,
    pub(crate) latency: Histogram,
}

/// Series of rules that are gone stay until there are so many of them; then they are forgotten all at once.
const FAULT_SERIES_MAX: usize = 4096;

/// All that one worker counts.
#[derive(Debug, Default)]
pub(crate) struct Shard {
    pub(crate) listeners: Mutex<HashMap<ListenerKey, Arc<ListenerShard>>>,
    pub(crate) clusters: Mutex<HashMap<Name, Arc<ClusterShard>>>,
    pub(crate) faults: Mutex<HashMap<FaultKey, Arc<FaultShard>>>,
}

impl Shard {
    /// The counters of a listener; looked up when a snapshot is adopted, not for each request.
    pub(crate) fn listener(&self, key: &ListenerKey) -> Arc<ListenerShard> {
        let mut map = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(map.entry(key.clone()).or_default())
    }

    /// Requests that ended and TCP connections that began, over all listeners.
    pub(crate) fn exchanges(&self) -> u64 {
        let map = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        let of =
            |shard: &ListenerShard| shard.requests.iter().flatten().chain([&shard.relays]).map(Count::get).sum::<u64>();
        map.values().map(|shard| of(shard)).sum()
    }

    /// The counters of a cluster; looked up when a snapshot is adopted.
    pub(crate) fn cluster(&self, name: &Name) -> Arc<ClusterShard> {
        let mut map = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(map.entry(name.clone()).or_default())
    }

    /// The counters of a fault; looked up for each injected fault, which is the exception.
    pub(crate) fn fault(&self, key: &FaultKey) -> Arc<FaultShard> {
        let mut map = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = map.get(key) {
            return Arc::clone(found);
        }
        if map.len() >= FAULT_SERIES_MAX {
            map.clear();
        }
        Arc::clone(map.entry(key.clone()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_into_their_buckets() {
        let histogram = Histogram::default();
        for us in [0, 100, 101, 1_000, 2_000, 100_000, 101_000, 120_000_000] {
            histogram.observe(Duration::from_micros(us));
        }
        let counts: Vec<u64> = histogram.buckets.iter().map(Count::get).collect();
        assert_eq!(counts, [2, 1, 0, 1, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(histogram.sum_ns.get(), 120_204_201_000);
    }
}
