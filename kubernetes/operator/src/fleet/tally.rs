//! What a rule matched and faulted, in all sidecars that ever had it.

use std::collections::BTreeMap;

/// How often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) matched: u64,
    pub(crate) injected: u64,
}

impl Counts {
    /// Each of them by itself.
    fn with(self, other: Self, both: fn(u64, u64) -> u64) -> Self {
        Self { matched: both(self.matched, other.matched), injected: both(self.injected, other.injected) }
    }

    fn plus(self, other: Self) -> Self {
        self.with(other, u64::saturating_add)
    }
}

/// The counts of one FaultRule. They never fall: a sidecar that goes, or that begins to count anew, leaves what it counted.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) namespace: String,
    pub(super) name: String,
    /// Told before this controller was started. Sidecars that were there then go on counting, so it is a floor, not a part.
    told: Counts,
    /// Of counters that are no more.
    settled: Counts,
    /// By the uid of the pod.
    running: BTreeMap<String, Counts>,
}

impl Tally {
    pub(super) fn new(namespace: &str, name: &str, told: Counts) -> Self {
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        Self { namespace, name, told, settled: Counts::default(), running: BTreeMap::new() }
    }

    /// A sidecar has counted so far.
    pub(super) fn count(&mut self, pod: &str, counts: Counts) {
        let before = self.running.get(pod).copied().unwrap_or_default();
        if counts.matched < before.matched || counts.injected < before.injected {
            self.settle(pod);
        }
        self.running.insert(pod.to_owned(), counts);
    }

    /// A sidecar counts no more.
    pub(super) fn settle(&mut self, pod: &str) {
        if let Some(counts) = self.running.remove(pod) {
            self.settled = self.settled.plus(counts);
        }
    }

    /// All together.
    pub(super) fn total(&self) -> Counts {
        self.running.values().fold(self.settled, |total, counts| total.plus(*counts)).with(self.told, u64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(matched: u64, injected: u64) -> Counts {
        Counts { matched, injected }
    }

    #[test]
    fn counts_never_fall() {
        let mut tally = Tally::new("shop", "slow", counts(7, 3));
        assert_eq!(tally.total(), counts(7, 3));
        tally.count("a", counts(10, 2));
        tally.count("b", counts(5, 1));
        assert_eq!(tally.total(), counts(15, 3));
        tally.count("a", counts(4, 1)); // started again
        assert_eq!(tally.total(), counts(19, 4));
        tally.settle("b");
        tally.settle("c");
        assert_eq!(tally.total(), counts(19, 4));
        tally.count("a", counts(6, 2));
        assert_eq!(tally.total(), counts(21, 5));
    }
}
