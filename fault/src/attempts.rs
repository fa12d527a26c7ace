//! How often a request has been tried, for callers that do not say.

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasherDefault;
use std::sync::{Mutex, PoisonError};

/// At a thousand new requests a second a retry is recognised for 16 s; 16,384 entries of about 32 bytes are half a MiB.
const KEYS_MAX: usize = 16_384;

/// Counts requests with the same key, of all workers. The key that came first leaves first.
///
/// The lock is taken for requests that match a rule with `sample: {attempt: N}` and for no other.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    seen: Mutex<Seen>,
}

/// Hash keys are numbers that are mixed already, and the map is bounded: no keys of chance are needed.
#[derive(Debug, Default)]
struct Seen {
    counts: HashMap<u64, u32, BuildHasherDefault<DefaultHasher>>,
    order: VecDeque<u64>,
}

impl Attempts {
    /// Counts one more; returns which it is, from 1.
    pub(crate) fn count(&self, key: u64) -> u32 {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Seen { counts, order } = &mut *seen;
        if let Some(count) = counts.get_mut(&key) {
            *count = count.saturating_add(1);
            return *count;
        }
        if order.len() >= KEYS_MAX
            && let Some(oldest) = order.pop_front()
        {
            counts.remove(&oldest);
        }
        order.push_back(key);
        counts.insert(key, 1);
        debug_assert_eq!(counts.len(), order.len(), "every key is in both");
        1
    }

    /// Which the next one would be.
    pub(crate) fn next(&self, key: u64) -> u32 {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.counts.get(&key).map_or(1, |count| count.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_counted_apart_and_looking_counts_nothing() {
        let attempts = Attempts::default();
        assert_eq!([1, 2, 1, 1, 2].map(|key| attempts.count(key)), [1, 1, 2, 3, 2]);
        assert_eq!([1, 2, 3].map(|key| attempts.next(key)), [4, 3, 1]);
        assert_eq!([1, 2, 3].map(|key| attempts.next(key)), [4, 3, 1]);
    }

    #[test]
    fn the_oldest_leave() {
        let attempts = Attempts::default();
        let max = KEYS_MAX as u64;
        (0..max).for_each(|key| {
            attempts.count(key);
        });
        assert_eq!(attempts.count(0), 2);
        attempts.count(max);
        assert_eq!([0, 1, max].map(|key| attempts.next(key)), [1, 2, 2]);
        (0..4 * max).for_each(|key| {
            attempts.count(key);
        });
        assert_eq!(attempts.seen.lock().unwrap_or_else(PoisonError::into_inner).counts.len(), KEYS_MAX);
    }
}
