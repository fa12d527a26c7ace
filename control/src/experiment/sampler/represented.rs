//! Whether what is looked at stands for all, while only what has an id of Squall's own is looked at.
//!
//! How many exchanges there are of each direction is counted, looked at or not. With a share of one in 32, there should be 32
//! times as many calls of A as are looked at. When there are more, A makes calls that belong to no request, or passes on ids for
//! some requests only, or callers began to bring ids: nobody knows what becomes of those. When there are fewer, ids are made that
//! are always in the share.
//!
//! What is compared are exchanges that began and ended since the comparison began. Those that are under way are not known one by
//! one, so that their number lies between two bounds, and only what lies outside of both is a difference. Traces are in the share
//! by chance, and with each all of its calls: the deviation is that of a sum of so many clusters.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use squall_config::model::Direction;
use squall_telemetry::{Outcome, Traffic};

/// Such a share may be missing, or too many: as much as the share of joined calls can be wrong by it.
const TOLERATED: f64 = 0.1;

/// So many standard deviations more are chance.
const DEVIATIONS: f64 = 4.0;

/// With fewer exchanges nothing is said: whether they come in clusters is not known yet.
const EXCHANGES_MIN: f64 = 500.0;

/// After this a comparison begins anew, so that a change shows.
const WINDOW: Duration = Duration::from_secs(30);

/// A comparison.
#[derive(Debug, Default)]
pub(super) struct Represented {
    since: Option<Instant>,
    inbound: Side,
    outbound: Side,
}

/// Of one direction.
#[derive(Debug, Default)]
struct Side {
    /// Exchanges that had begun and ended at the start of the comparison.
    at_first: Totals,
    /// Exchanges that were looked at, and how many of each trace.
    seen: u64,
    by_place: HashMap<u64, u64, RandomState>,
    /// The sum of the squares of those numbers.
    squares: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    begun: u64,
    ended: u64,
}

impl Totals {
    fn of(traffic: &Traffic, direction: Direction) -> Self {
        let totals = traffic.totals.iter().filter(|totals| totals.direction == direction);
        totals.fold(Self::default(), |sum, totals| Self {
            begun: sum.begun + totals.begun,
            ended: sum.ended + totals.ended,
        })
    }
}

impl Represented {
    /// Goes on with the comparison: with what ended since the last look. Says whether it may still be that a share that is
    /// halved so often stands for all.
    pub(super) fn look(&mut self, now: Instant, traffic: &Traffic, outcomes: &[Outcome], halvings: u8) -> bool {
        let totals = [Direction::Inbound, Direction::Outbound].map(|direction| Totals::of(traffic, direction));
        let Some(since) = self.since.filter(|since| now.saturating_duration_since(*since) < WINDOW) else {
            let [inbound, outbound] = totals.map(|at_first| Side { at_first, ..Side::default() });
            *self = Self { since: Some(now), inbound, outbound };
            return true;
        };
        for outcome in outcomes.iter().filter(|outcome| outcome.began >= since) {
            match outcome.direction {
                Direction::Inbound => self.inbound.add(outcome.place),
                Direction::Outbound => self.outbound.add(outcome.place),
            }
        }
        let [inbound, outbound] = totals;
        self.inbound.stands_for(inbound, halvings) && self.outbound.stands_for(outbound, halvings)
    }
}

impl Side {
    fn add(&mut self, place: u64) {
        let of_trace = self.by_place.entry(place).or_default();
        self.squares += 2 * *of_trace + 1;
        *of_trace += 1;
        self.seen += 1;
    }

    /// Whether it can be by chance that so many were looked at.
    fn stands_for(&self, now: Totals, halvings: u8) -> bool {
        let since = |read: fn(Totals) -> u64| read(now).saturating_sub(read(self.at_first));
        let (begun, under_way) = (since(|totals| totals.begun), now.begun.saturating_sub(now.ended));
        let most = begun.min(since(|totals| totals.ended));
        let least = begun.saturating_sub(under_way).min(most);
        let cluster = if self.seen == 0 { 1.0 } else { self.squares as f64 / self.seen as f64 };
        let expected = |all: u64| {
            let expected = all as f64 / 2.0_f64.powi(i32::from(halvings));
            (expected, DEVIATIONS * (expected * cluster).sqrt())
        };
        let ((least, less), (most, more)) = (expected(least), expected(most));
        let seen = self.seen as f64;
        let is_few = least >= EXCHANGES_MIN && seen < (1.0 - TOLERATED) * least - less;
        let is_many = seen >= EXCHANGES_MIN && seen > (1.0 + TOLERATED) * most + more;
        !is_few && !is_many
    }
}

#[cfg(test)]
#[path = "represented_tests.rs"]
mod tests;
