//! What has gone through a listener, in numbers that are compared with those of a moment before.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use squall_telemetry::TrafficTotals;

use super::shard::{BUCKETS, Count, ListenerKey, Origin, STATUS_CLASSES, Shard};

/// Upper bounds of [`TrafficTotals::durations`] in seconds, as [`Traffic`](squall_telemetry::Traffic) has them.
pub const DURATION_BOUNDS: &[f64] = &BUCKETS;

/// Adds the workers up.
pub(crate) fn totals(shards: &[Arc<Shard>]) -> Vec<TrafficTotals> {
    let mut all: HashMap<ListenerKey, TrafficTotals> = HashMap::new();
    for shard in shards {
        for (key, counts) in shard.listeners.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let total = all.entry(key.clone()).or_insert_with(|| TrafficTotals {
                listener: key.listener.clone(),
                cluster: key.cluster.clone(),
                direction: key.direction,
                connections: 0,
                bytes_request: 0,
                bytes_response: 0,
                begun: 0,
                ended: 0,
                injected: 0,
                failed: 0,
                durations: vec![0; BUCKETS.len() + 1],
            });
            for (origin, by_class) in Origin::ALL.into_iter().zip(&counts.requests) {
                let ended: u64 = by_class.iter().map(Count::get).sum();
                total.ended += ended;
                match origin {
                    Origin::Injected => total.injected += ended,
                    Origin::Upstream | Origin::Proxy => total.failed += failed(by_class),
                }
            }
            for (sum, count) in total.durations.iter_mut().zip(&counts.duration.buckets) {
                *sum += count.get();
            }
            total.connections += counts.connections.get();
            total.bytes_request += counts.bytes_request.get();
            total.bytes_response += counts.bytes_response.get();
            // Read last: an exchange that ended meanwhile has begun as well.
            total.begun += counts.begun.get();
        }
    }
    all.into_values().collect()
}

fn failed(by_class: &[Count; STATUS_CLASSES.len()]) -> u64 {
    const { assert!(STATUS_CLASSES.len() == 6) };
    let [none, _, _, _, _, server_error] = by_class;
    none.get() + server_error.get()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use squall_config::model::{Direction, Name};

    use super::*;

    #[test]
    fn workers_are_added_up_and_what_was_injected_is_told_apart() {
        let key = |listener: &str| ListenerKey {
            listener: Name::new(listener).unwrap(),
            cluster: Name::new("b").unwrap(),
            direction: Direction::Outbound,
        };
        let shards = [Arc::new(Shard::default()), Arc::new(Shard::default())];
        for shard in &shards {
            let counts = shard.listener(&key("one"));
            for (origin, status) in [
                (Origin::Upstream, Some(200)),
                (Origin::Upstream, Some(404)),
                (Origin::Upstream, Some(500)),
                (Origin::Proxy, Some(503)),
                (Origin::Proxy, Some(400)),
                (Origin::Proxy, None),
                (Origin::Injected, Some(503)),
                (Origin::Injected, None),
            ] {
                counts.begun.add(1);
                counts.count_request(origin, status, Duration::from_millis(20));
            }
            counts.begun.add(1);
            counts.connections.add(3);
            counts.bytes_request.add(100);
            counts.bytes_response.add(1_000);
        }
        shards[1].listener(&key("two"));
        let mut all = totals(&shards);
        all.sort_by_key(|total| total.listener.to_string());
        let one = &all[0];
        assert_eq!((one.begun, one.ended, one.injected, one.failed), (18, 16, 4, 6));
        assert_eq!((one.connections, one.bytes_request, one.bytes_response), (6, 200, 2_000));
        let bucket = DURATION_BOUNDS.iter().position(|bound| *bound >= 0.02).unwrap();
        assert_eq!((one.durations[bucket], one.durations.iter().sum::<u64>()), (16, 16));
        assert_eq!((all[1].listener.as_str(), all[1].begun, all.len()), ("two", 0, 2));
    }
}
