//! Exchanges that wait for others with the same trace id or request id: a bounded number, for a bounded time.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;

/// A trace id and a request id; 0 is none.
pub(super) type Keys = [u128; 2];

/// Waiting exchanges, by age and by either id.
#[derive(Debug)]
pub(super) struct Pool<T> {
    capacity: usize,
    same_key_max: usize,
    /// From the oldest on; `None` was taken out meanwhile. In boxes, so that a place that is empty costs little.
    places: VecDeque<Option<Box<Waiting<T>>>>,
    /// What the first place is called; the others follow.
    first: u64,
    count: usize,
    by_key: HashMap<u128, Chain, RandomState>,
}

#[derive(Debug)]
struct Waiting<T> {
    keys: Keys,
    since: Instant,
    value: T,
}

/// Who has a key, from the oldest on. Most keys belong to one alone, and cost no allocation.
#[derive(Debug, Default)]
struct Chain {
    first: Option<u64>,
    more: Vec<u64>,
}

impl Chain {
    fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.more.len()
    }

    fn push(&mut self, id: u64, length_max: usize) {
        if self.first.is_none() {
            self.first = Some(id);
            return;
        }
        if self.len() == length_max {
            self.first = Some(self.more.remove(0));
        }
        self.more.push(id);
    }

    /// Whether nobody is left.
    fn remove(&mut self, id: u64) -> bool {
        if self.first == Some(id) {
            self.first = if self.more.is_empty() { None } else { Some(self.more.remove(0)) };
        } else {
            self.more.retain(|other| *other != id);
        }
        self.first.is_none()
    }

    fn ids(&self) -> impl Iterator<Item = u64> {
        self.first.into_iter().chain(self.more.iter().copied())
    }
}

impl<T> Pool<T> {
    /// An empty one. By one id no more than the last `same_key_max`, at least 2, are found.
    pub(super) fn new(capacity: usize, same_key_max: usize) -> Self {
        let (places, by_key) = (VecDeque::new(), HashMap::default());
        Self { capacity, same_key_max, places, first: 0, count: 0, by_key }
    }

    /// Adds one; gives the oldest when there was no room for both.
    pub(super) fn insert(&mut self, keys: Keys, since: Instant, value: T) -> Option<T> {
        // Empty places behind one that waits long count little, but they count.
        let is_full = self.count == self.capacity || self.places.len() == 4 * self.capacity;
        let dropped = if is_full { self.pop() } else { None };
        let id = self.first + self.places.len() as u64;
        for key in distinct(keys) {
            self.by_key.entry(key).or_default().push(id, self.same_key_max);
        }
        self.places.push_back(Some(Box::new(Waiting { keys, since, value })));
        self.count += 1;
        dropped
    }

    /// Takes one out.
    pub(super) fn remove(&mut self, id: u64) -> Option<T> {
        let Waiting { keys, value, .. } = *self.places.get_mut(self.place(id)?)?.take()?;
        self.count -= 1;
        for key in distinct(keys) {
            if self.by_key.get_mut(&key).is_some_and(|chain| chain.remove(id)) {
                self.by_key.remove(&key);
            }
        }
        while let Some(None) = self.places.front() {
            self.places.pop_front();
            self.first += 1;
        }
        debug_assert!(self.count <= self.places.len());
        Some(value)
    }

    /// Takes out the oldest.
    pub(super) fn pop(&mut self) -> Option<T> {
        self.remove(self.first)
    }

    /// Takes out the oldest that has waited for so long.
    pub(super) fn pop_older(&mut self, now: Instant, than: Duration) -> Option<T> {
        let since = self.places.front()?.as_ref()?.since;
        if now.saturating_duration_since(since) >= than { self.pop() } else { None }
    }

    fn place(&self, id: u64) -> Option<usize> {
        usize::try_from(id.checked_sub(self.first)?).ok()
    }

    /// Those that share an id with `keys`, once each.
    pub(super) fn find(&self, keys: Keys) -> impl Iterator<Item = (u64, Keys, &T)> {
        let [first, second] = distinct_or_none(keys);
        let by_first = first.and_then(|key| self.by_key.get(&key)).into_iter().flat_map(Chain::ids);
        let by_second = second.and_then(|key| self.by_key.get(&key)).into_iter().flat_map(Chain::ids);
        let found = by_first.map(|id| (id, false)).chain(by_second.map(|id| (id, true)));
        found.filter_map(move |(id, is_by_second)| {
            let waiting = self.places.get(self.place(id)?)?.as_ref()?;
            let is_twice = is_by_second && first.is_some_and(|key| waiting.keys.contains(&key));
            (!is_twice).then_some((id, waiting.keys, &waiting.value))
        })
    }

    /// Whether so many have this id that not all are found by it.
    pub(super) fn is_crowded(&self, key: u128) -> bool {
        self.by_key.get(&key).is_some_and(|chain| chain.len() >= self.same_key_max)
    }
}

fn distinct(keys: Keys) -> impl Iterator<Item = u128> {
    distinct_or_none(keys).into_iter().flatten()
}

fn distinct_or_none([trace, request]: Keys) -> [Option<u128>; 2] {
    [(trace != 0).then_some(trace), (request != 0 && request != trace).then_some(request)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_found_by_either_id_once() {
        let (mut pool, now) = (Pool::new(8, 8), Instant::now());
        assert_eq!(pool.insert([1, 2], now, "both"), None);
        assert_eq!(pool.insert([1, 0], now, "trace"), None);
        assert_eq!(pool.insert([0, 2], now, "request"), None);
        let found = |pool: &Pool<&'static str>, keys| pool.find(keys).map(|(_, _, v)| *v).collect::<Vec<_>>();
        assert_eq!(found(&pool, [1, 2]), ["both", "trace", "request"]);
        assert_eq!(found(&pool, [0, 1]), ["both", "trace"], "an id is an id, whichever field it stood in");
        assert_eq!(found(&pool, [0, 0]), Vec::<&str>::new());
        let id = pool.find([1, 0]).next().unwrap().0;
        assert_eq!(pool.remove(id), Some("both"));
        assert_eq!(pool.remove(id), None);
        assert_eq!(found(&pool, [1, 2]), ["trace", "request"]);
    }

    #[test]
    fn the_oldest_makes_room_and_time_ends_the_wait() {
        let (mut pool, now) = (Pool::new(2, 8), Instant::now());
        let at = |seconds| now + Duration::from_secs(seconds);
        assert_eq!(pool.insert([1, 0], at(0), 1), None);
        assert_eq!(pool.insert([2, 0], at(1), 2), None);
        assert_eq!(pool.insert([3, 0], at(2), 3), Some(1));
        assert_eq!(pool.pop_older(at(5), Duration::from_secs(5)), None);
        assert_eq!(pool.pop_older(at(6), Duration::from_secs(5)), Some(2));
        assert_eq!((pool.pop(), pool.pop()), (Some(3), None));
        assert!(pool.by_key.is_empty() && pool.places.is_empty());
    }

    #[test]
    fn neither_one_id_for_all_nor_a_long_run_fills_it() {
        let (mut pool, now) = (Pool::new(100, 8), Instant::now());
        for n in 0..10_000_u128 {
            pool.insert([7, 1000 + n], now, n);
            let old = pool.find([0, 1000 + n - n % 3]).next().map(|(id, ..)| id);
            old.and_then(|id| pool.remove(id));
        }
        assert!(pool.find([7, 0]).count() <= 8);
        assert!(pool.count <= 100 && pool.places.len() <= 400, "{} {}", pool.count, pool.places.len());
    }

    #[test]
    fn one_that_waits_long_does_not_hold_places_for_ever() {
        let (mut pool, now) = (Pool::new(100, 8), Instant::now());
        pool.insert([1, 0], now, 0);
        let dropped = (2..1_000).find_map(|n| {
            let dropped = pool.insert([n, 0], now, n);
            let id = pool.find([n, 0]).next().map(|(id, ..)| id);
            id.and_then(|id| pool.remove(id));
            dropped
        });
        assert_eq!((dropped, pool.count, pool.places.len()), (Some(0), 0, 0));
    }
}
