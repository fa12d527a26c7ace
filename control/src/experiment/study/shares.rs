//! Which share of the traces was looked at when. What is concluded is concluded from traces of which everything was seen.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use squall_fault::trace_share::{TraceShare, is_in_share};

/// Nobody asks for what was longer ago.
const KEPT: Duration = Duration::from_secs(300);

/// More than there ever are: nothing was looked at.
const NOTHING: u8 = u8::MAX;

/// How often all traces were halved, from when on; the last is now.
#[derive(Debug)]
pub(super) struct Shares {
    halvings: VecDeque<(Instant, u8)>,
    most: u8,
    now: TraceShare,
}

impl Shares {
    /// Everything, from that moment on.
    pub(super) fn new(at: Instant) -> Self {
        Self { halvings: VecDeque::from([(at, 0)]), most: 0, now: TraceShare::default() }
    }

    /// From now on it is this share. When another id than before says what is in it, nothing that is under way is known to be
    /// seen to its end.
    pub(super) fn change(&mut self, at: Instant, share: TraceShare) {
        while self.halvings.get(1).is_some_and(|(until, _)| at.saturating_duration_since(*until) > KEPT) {
            self.halvings.pop_front();
        }
        if share.by() != self.now.by() {
            self.halvings.push_back((at, NOTHING));
        }
        self.halvings.push_back((at, share.halvings()));
        self.most = self.most.max(share.halvings());
        self.now = share;
    }

    /// Whether all was seen of a trace with that place, from then until then.
    pub(super) fn cover(&self, place: u64, from: Instant, to: Instant) -> bool {
        let later = self.halvings.iter().skip(1).rev().take_while(|(at, _)| *at > from);
        let during = later.clone().filter(|(at, _)| *at <= to);
        let first = self.halvings.len() - 1 - later.count();
        let at_first = self.halvings[first].1;
        during.map(|(_, halvings)| *halvings).chain([at_first]).all(|halvings| is_in_share(place, halvings))
    }

    /// For how many an exchange stands that began then.
    pub(super) fn weight(&self, at: Instant) -> u64 {
        let then = self.halvings.iter().rev().find(|(from, _)| *from <= at).or(self.halvings.front());
        then.map_or(1, |(_, halvings)| 1 << halvings.min(&63))
    }

    /// Of so many traces one was looked at, when it was fewest.
    pub(super) fn one_in(&self) -> u64 {
        1 << self.most
    }
}

#[cfg(test)]
mod tests {
    use squall_fault::trace_share::SharedId;

    use super::*;

    /// In the half, but not in the quarter.
    const IN_HALF: u64 = u64::MAX / 3;
    const IN_QUARTER: u64 = u64::MAX / 5;
    const IN_NONE: u64 = u64::MAX;

    fn by_trace(halvings: u8) -> TraceShare {
        TraceShare::new(halvings, SharedId::Trace)
    }

    #[test]
    fn a_trace_is_covered_when_it_was_in_the_share_all_the_while() {
        let t = Instant::now();
        let at = |seconds| t + Duration::from_secs(seconds);
        let mut shares = Shares::new(at(0));
        shares.change(at(10), by_trace(2));
        shares.change(at(20), by_trace(1));
        for (place, from, to, expected) in [
            (IN_NONE, 1, 9, true),
            (IN_NONE, 1, 10, false),
            (IN_NONE, 30, 31, false),
            (IN_HALF, 1, 9, true),
            (IN_HALF, 9, 11, false),
            (IN_HALF, 9, 25, false),
            (IN_HALF, 19, 21, false),
            (IN_HALF, 20, 25, true),
            (IN_QUARTER, 1, 25, true),
        ] {
            assert_eq!(shares.cover(place, at(from), at(to)), expected, "{place:x} from {from} to {to}");
        }
        assert_eq!([5, 10, 15, 20, 99].map(|s| shares.weight(at(s))), [1, 4, 4, 2, 2]);
        assert_eq!(shares.one_in(), 4);
    }

    #[test]
    fn nothing_is_covered_while_another_id_takes_over_and_all_that_is_old_is_forgotten() {
        let t = Instant::now();
        let at = |seconds| t + Duration::from_secs(seconds);
        let mut shares = Shares::new(at(0));
        shares.change(at(10), TraceShare::new(2, SharedId::Request));
        assert!(!shares.cover(IN_QUARTER, at(9), at(11)) && shares.cover(IN_QUARTER, at(10), at(11)));
        assert_eq!(shares.weight(at(10)), 4);
        for n in 0..10_000 {
            shares.change(at(20 + n), TraceShare::new(1 + (n % 2) as u8, SharedId::Request));
        }
        assert!(shares.halvings.len() < 310 && shares.one_in() == 4);
    }
}
