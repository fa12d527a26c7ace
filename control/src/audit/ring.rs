//! The last entries, as lines of JSON: few and short enough to be kept in memory.

use std::collections::VecDeque;
use std::sync::Arc;

/// Entries that are kept in memory.
pub(crate) const ENTRIES_MAX: usize = 1000;

/// A thousand entries of the usual 300 bytes, with room for some of a whole set of rules.
const BYTES_MAX: usize = 1 << 20;

/// The last entries.
#[derive(Debug, Default)]
pub(super) struct Ring {
    lines: VecDeque<Arc<str>>,
    n_bytes: usize,
    last_id: u64,
}

impl Ring {
    /// The number of the next entry.
    pub(super) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// The next number is the one after this.
    pub(super) fn continue_after(&mut self, id: u64) {
        self.last_id = id;
    }

    /// Keeps a line; the oldest make room.
    pub(super) fn push(&mut self, line: Arc<str>) {
        self.n_bytes += line.len();
        self.lines.push_back(line);
        while self.lines.len() > ENTRIES_MAX || (self.n_bytes > BYTES_MAX && self.lines.len() > 1) {
            self.n_bytes -= self.lines.pop_front().map_or(0, |line| line.len());
        }
        debug_assert_eq!(self.n_bytes, self.lines.iter().map(|line| line.len()).sum::<usize>());
    }

    /// The last lines, in order.
    pub(super) fn last(&self, limit: usize) -> Vec<Arc<str>> {
        self.lines.iter().skip(self.lines.len().saturating_sub(limit)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_make_room_by_number_and_by_size() {
        let mut ring = Ring::default();
        for n in 0..ENTRIES_MAX + 5 {
            ring.push(n.to_string().into());
        }
        assert_eq!((ring.lines.len(), &*ring.lines[0]), (ENTRIES_MAX, "5"));
        assert_eq!(ring.last(2).iter().map(|line| &**line).collect::<Vec<_>>(), ["1003", "1004"]);
        assert_eq!(ring.last(ENTRIES_MAX * 2).len(), ENTRIES_MAX);
        ring.push("x".repeat(BYTES_MAX).into());
        assert_eq!(ring.lines.len(), 1, "one is always there");
        ring.push("y".into());
        assert_eq!(ring.last(9).len(), 1);
    }
}
