//! Joins each call to A with the calls that A made for it, by trace id or request id.
//!
//! Exchanges come as they end, from several workers, in any order: calls before the call to A that they were made for, or
//! after it, when A did not wait for them. So each waits for the others. Where A is called several times in a trace (tried
//! again, or called by what it calls), a call belongs to the call to A that it shares most ids with, was under way when it
//! began, and began last.

use std::time::{Duration, Instant};

use squall_config::model::Direction;
use squall_telemetry::Outcome;

use super::pool::{Keys, Pool};

/// So many exchanges wait, of either direction.
const WAITING_MAX: usize = 65_536;

/// So many calls to A with one id are told apart. An id that more have, such as one that a load generator never changes, says
/// nothing, and is left aside; it must not cost a look at all of them for each of them either.
const SAME_ID_ROOTS_MAX: usize = 8;

/// So many calls with one id are joined.
const SAME_ID_CALLS_MAX: usize = 256;

/// A call to A waits so long for calls that end after it.
const GRACE: Duration = Duration::from_secs(1);

/// And so long when no call that a rule matched is known: one that a fault holds may go on long after A gave up on it.
const GRACE_UNMATCHED: Duration = Duration::from_secs(5);

/// A call waits so long for the call to A that it was made for.
pub(super) const ORPHANED_AFTER: Duration = Duration::from_secs(30);

/// A call to A, with the calls that A made for it, in no particular order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Root {
    pub(super) inbound: Outcome,
    pub(super) calls: Vec<Outcome>,
}

/// What is no longer waited for.
#[derive(Debug, PartialEq)]
pub(super) enum Joined {
    /// No more calls are expected.
    Root(Root),
    /// A call that belongs to nothing.
    Orphan(Outcome),
}

/// Exchanges that wait for each other.
#[derive(Debug)]
pub(super) struct Join {
    roots: Pool<Outcome>,
    /// Those whose first grace is over.
    unmatched: Pool<Root>,
    calls: Pool<Outcome>,
    lost: u64,
}

impl Join {
    /// With nothing in it.
    pub(super) fn new() -> Self {
        let roots = Pool::new(WAITING_MAX, SAME_ID_ROOTS_MAX);
        let unmatched = Pool::new(WAITING_MAX, SAME_ID_ROOTS_MAX);
        Self { roots, unmatched, calls: Pool::new(WAITING_MAX, SAME_ID_CALLS_MAX), lost: 0 }
    }

    /// How many exchanges there was no room for.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    /// Takes in an exchange that was seen at `now`.
    pub(super) fn insert(&mut self, now: Instant, outcome: Outcome) {
        let keys = keys(&outcome);
        let pool = match outcome.direction {
            Direction::Inbound => &mut self.roots,
            Direction::Outbound => &mut self.calls,
        };
        self.lost += u64::from(pool.insert(keys, now, outcome).is_some());
    }

    /// Gives what has waited long enough. A call to A that ended before rules were in force, which they are since
    /// `in_force_since`, is not waited for as one that a fault may hold a call of: it is what the faulted ones are compared with, and
    /// has to be known before them.
    pub(super) fn settle(&mut self, now: Instant, in_force_since: Option<Instant>, mut each: impl FnMut(Joined)) {
        while let Some(inbound) = self.roots.pop_older(now, GRACE) {
            let root = self.collect(Root { inbound, calls: Vec::new() });
            let may_be_held = in_force_since.is_some_and(|since| root.inbound.ended >= since);
            if !may_be_held || root.calls.iter().any(|call| call.matched.is_some()) {
                each(Joined::Root(root));
            } else {
                self.lost += u64::from(self.unmatched.insert(keys(&root.inbound), now, root).is_some());
            }
        }
        while let Some(root) = self.unmatched.pop_older(now, GRACE_UNMATCHED - GRACE) {
            let root = self.collect(root);
            each(Joined::Root(root));
        }
        while let Some(call) = self.calls.pop_older(now, ORPHANED_AFTER) {
            each(Joined::Orphan(call));
        }
    }

    /// Gives all, because nothing more will come.
    pub(super) fn finish(&mut self, mut each: impl FnMut(Joined)) {
        while let Some(root) = self.unmatched.pop() {
            let root = self.collect(root);
            each(Joined::Root(root));
        }
        while let Some(inbound) = self.roots.pop() {
            let root = self.collect(Root { inbound, calls: Vec::new() });
            each(Joined::Root(root));
        }
        while let Some(call) = self.calls.pop() {
            each(Joined::Orphan(call));
        }
    }

    /// Takes the waiting calls that belong to this call to A and to no other.
    fn collect(&mut self, mut root: Root) -> Root {
        let is_crowded = |key| self.roots.is_crowded(key) || self.unmatched.is_crowded(key);
        let keys = keys(&root.inbound).map(|key| if is_crowded(key) { 0 } else { key });
        let own = |(id, call_keys, call): (u64, Keys, &Outcome)| {
            let mine = Fit::of(&root.inbound, call, call_keys)?;
            (Some(mine) >= self.best_other(call, call_keys)).then_some(id)
        };
        let ids: Vec<u64> = self.calls.find(keys).filter_map(own).collect();
        root.calls.extend(ids.into_iter().filter_map(|id| self.calls.remove(id)));
        root
    }

    /// How well the best of the waiting calls to A fits.
    fn best_other(&self, call: &Outcome, call_keys: Keys) -> Option<Fit> {
        let first = self.roots.find(call_keys).filter_map(|(_, _, other)| Fit::of(other, call, call_keys));
        let second =
            self.unmatched.find(call_keys).filter_map(|(_, _, other)| Fit::of(&other.inbound, call, call_keys));
        first.chain(second).max()
    }
}

fn keys(outcome: &Outcome) -> Keys {
    [outcome.trace, outcome.request_id]
}

/// How well a call fits to a call to A; the greater, the better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Fit {
    same_keys: usize,
    is_within: bool,
    began: Instant,
}

impl Fit {
    /// `None` when the call came first, or shares no id.
    fn of(inbound: &Outcome, call: &Outcome, call_keys: Keys) -> Option<Self> {
        let own = keys(inbound);
        let same_keys = call_keys.iter().filter(|key| **key != 0 && own.contains(key)).count();
        let is_within = call.began <= inbound.ended;
        (same_keys > 0 && inbound.began <= call.began).then_some(Self { same_keys, is_within, began: inbound.began })
    }
}

#[cfg(test)]
#[path = "join_tests.rs"]
mod tests;
