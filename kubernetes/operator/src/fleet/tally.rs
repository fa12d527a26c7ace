//! What a rule matched and faulted, in all sidecars that ever had it.

use std::collections::BTreeMap;

/// (matched, injected).
type Counts = (u64, u64);

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
        Self { namespace, name, told, settled: (0, 0), running: BTreeMap::new() }
    }

    /// A sidecar has counted so far.
    pub(super) fn count(&mut self, pod: &str, counts: Counts) {
        let before = self.running.get(pod).copied().unwrap_or_default();
        if counts.0 < before.0 || counts.1 < before.1 {
            self.settle(pod);
        }
        self.running.insert(pod.to_owned(), counts);
    }

    /// A sidecar counts no more.
    pub(super) fn settle(&mut self, pod: &str) {
        if let Some(counts) = self.running.remove(pod) {
            self.settled = sum(self.settled, counts);
        }
    }

    /// All together.
    pub(super) fn total(&self) -> Counts {
        let total = self.running.values().fold(self.settled, |total, counts| sum(total, *counts));
        (total.0.max(self.told.0), total.1.max(self.told.1))
    }
}

fn sum(a: Counts, b: Counts) -> Counts {
    (a.0.saturating_add(b.0), a.1.saturating_add(b.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_never_fall() {
        let mut tally = Tally::new("shop", "slow", (7, 3));
        assert_eq!(tally.total(), (7, 3));
        tally.count("a", (10, 2));
        tally.count("b", (5, 1));
        assert_eq!(tally.total(), (15, 3));
        tally.count("a", (4, 1)); // started again
        assert_eq!(tally.total(), (19, 4));
        tally.settle("b");
        tally.settle("c");
        assert_eq!(tally.total(), (19, 4));
        tally.count("a", (6, 2));
        assert_eq!(tally.total(), (21, 5));
    }
}
