//! Spreads work over the workers.
//!
//! The kernel gives each connection to a worker by a hash of its addresses (SO_REUSEPORT, socket(7)): of few connections
//! one worker may get most, and an HTTP/2 connection is one worker's however much it carries. So
//! * the worker that accepts a connection [places](Loads::place) it: with itself, unless another one has clearly less
//!   to do;
//! * a worker that is much busier than others hands over a [share](Sharing) of the new streams of its HTTP/2
//!   connections: it goes on to speak with the client, while another worker decides, speaks with the upstream, and
//!   applies faults.
//!
//! Nothing is looked at for a request of HTTP/1, and one number for a stream. Load is measured as time that a worker
//! was busy, since one connection may carry a thousand times more than another.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// What a new connection is taken to add until its work is seen; without it, all that come between two looks would go to
/// the worker that was least busy before they came.
const NEW: usize = 50;
/// So much busier (in parts per thousand of time) is a difference that matters.
const MARGIN: u32 = 200;
/// A worker that is less busy than this keeps up; handing over would only cost.
const CALM: u32 = 500;
/// A worker that is busier than this needs help.
const BUSY: u32 = 700;
/// How far a share moves at each look, in parts per thousand.
const STEP: u32 = 125;
/// Some streams stay, whatever the others could take.
const SHARE_MAX: u32 = 875;

/// What all workers tell each other about themselves.
#[derive(Debug)]
pub(crate) struct Loads(Box<[Load]>);

/// What one worker tells; on a cache line of its own, because others look at it.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Load {
    connections: AtomicUsize,
    /// Share of the last interval, in parts per thousand.
    busy: AtomicU32,
    /// The connections that it had at the end of that interval, and how many of them are left.
    looked_at: AtomicUsize,
    left: AtomicUsize,
    busy_total_us: AtomicU64,
    pub(crate) placed_elsewhere: AtomicU64,
    pub(crate) streams_handed_over: AtomicU64,
}

impl Load {
    /// Open downstream connections.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Relaxed)
    }

    /// All the time that it was busy.
    pub(crate) fn busy_total(&self) -> Duration {
        Duration::from_micros(self.busy_total_us.load(Relaxed))
    }

    /// Notes that it was busy for so long in total, and for this share of the last interval.
    fn note_busy(&self, total: Duration, interval: Duration) {
        let total_us = u64::try_from(total.as_micros()).unwrap_or(u64::MAX);
        let since = u128::from(total_us.saturating_sub(self.busy_total_us.swap(total_us, Relaxed)));
        let share = since * 1000 / interval.as_micros().max(1);
        self.busy.store(u32::try_from(share.min(1000)).unwrap_or(1000), Relaxed);
        self.looked_at.store(self.connections(), Relaxed);
        self.left.store(self.connections(), Relaxed);
    }

    /// What it has to do now: it was busy with connections some of which may be gone, and others have come.
    fn work(&self) -> Work {
        let (connections, before) = (self.connections(), self.looked_at.load(Relaxed));
        let left = self.left.load(Relaxed).min(before);
        let busy = usize::try_from(self.busy.load(Relaxed)).unwrap_or(1000);
        // Without a connection then, it was busy with some that were short, or with the streams of others.
        let of_left = (busy * left).checked_div(before).unwrap_or(busy);
        let busy = of_left + connections.saturating_sub(left).saturating_mul(NEW);
        Work { connections, busy: u32::try_from(busy.min(1000)).unwrap_or(1000) }
    }
}

impl Loads {
    pub(crate) fn of(workers: usize) -> Arc<Self> {
        Arc::new(Self((0..workers).map(|_| Load::default()).collect()))
    }

    /// One for each worker.
    pub(crate) fn each(&self) -> &[Load] {
        &self.0
    }

    /// Open downstream connections of all workers.
    pub(crate) fn connections(&self) -> usize {
        self.0.iter().map(Load::connections).sum()
    }

    /// The worker that a connection goes to which `own` accepted. It counts there until the claim is dropped.
    pub(crate) fn place(self: &Arc<Self>, own: usize) -> Claim {
        let all: Vec<Work> = self.0.iter().map(Load::work).collect();
        let worker = place(own, &all);
        if worker != own {
            self.0[own].placed_elsewhere.fetch_add(1, Relaxed);
        }
        self.0[worker].connections.fetch_add(1, Relaxed);
        Claim { loads: Arc::clone(self), worker }
    }
}

/// A connection that counts as a worker's.
#[derive(Debug)]
#[must_use = "the load counts until it is dropped"]
pub(crate) struct Claim {
    loads: Arc<Loads>,
    pub(crate) worker: usize,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let load = &self.loads.0[self.worker];
        let connections = load.connections.fetch_sub(1, Relaxed) - 1;
        load.left.fetch_min(connections, Relaxed);
    }
}

/// What a worker has to do.
#[derive(Clone, Copy, Debug)]
struct Work {
    connections: usize,
    busy: u32,
}

impl Work {
    /// Whether moving a connection from `other` to here is worth the way.
    fn is_clearly_less_than(self, other: Self) -> bool {
        if self.busy.abs_diff(other.busy) > MARGIN {
            return self.busy < other.busy;
        }
        other.connections > self.connections + self.connections / 8
    }
}

fn place(own: usize, all: &[Work]) -> usize {
    let better = all.iter().enumerate().filter(|(_, work)| work.is_clearly_less_than(all[own]));
    better.min_by_key(|(_, work)| (work.busy / MARGIN, work.connections)).map_or(own, |(worker, _)| worker)
}

/// How much of the streams of its HTTP/2 connections a worker hands over, and to whom.
///
/// An integral controller: while the worker is busier than others by [`MARGIN`] the share grows step by step, and it
/// shrinks again when the worker is calm or others have become busier.
#[derive(Debug, Default)]
pub(crate) struct Sharing {
    /// In parts per thousand.
    share: u32,
    /// What the streams since the last one that was handed over add up to.
    due: u32,
    /// Workers with less to do, taken in turns.
    helpers: Vec<usize>,
    turn: usize,
}

impl Sharing {
    /// Notes how busy worker `own` was in the last interval, and moves the share towards where all are equally busy.
    pub(crate) fn adjust(&mut self, loads: &Loads, own: usize, total: Duration, interval: Duration) {
        loads.0[own].note_busy(total, interval);
        let busy: Vec<u32> = loads.0.iter().map(|load| load.busy.load(Relaxed)).collect();
        self.move_share(own, &busy);
    }

    fn move_share(&mut self, own: usize, busy: &[u32]) {
        let less_busy = |worker: &usize| busy[*worker] + MARGIN < busy[own];
        let helpers: Vec<usize> = (0..busy.len()).filter(less_busy).collect();
        if busy[own] > BUSY && !helpers.is_empty() {
            self.helpers = helpers;
            self.share = (self.share + STEP).min(SHARE_MAX);
        } else if busy[own] < CALM || busy.iter().any(|other| *other > busy[own] + MARGIN) {
            self.share = self.share.saturating_sub(STEP);
        }
        debug_assert!(self.share == 0 || !self.helpers.is_empty(), "a share for nobody");
    }

    /// The worker that the next stream goes to; `None` when it stays.
    pub(crate) fn next(&mut self) -> Option<usize> {
        self.due += self.share;
        if self.due < 1000 {
            return None;
        }
        self.due -= 1000;
        self.turn = (self.turn + 1) % self.helpers.len().max(1);
        self.helpers.get(self.turn).copied()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn work(connections: usize, busy: u32) -> Work {
        Work { connections, busy }
    }

    #[test]
    fn a_connection_stays_unless_another_worker_has_clearly_less_to_do() {
        assert_eq!(place(0, &[work(0, 0), work(0, 0)]), 0);
        assert_eq!(place(0, &[work(1, 0), work(0, 0)]), 1);
        assert_eq!(place(0, &[work(36, 0), work(32, 0)]), 0, "not worth the way");
        assert_eq!(place(0, &[work(37, 0), work(32, 0)]), 1);
        assert_eq!(place(0, &[work(1, 900), work(64, 100)]), 1, "one that carries much");
        assert_eq!(place(0, &[work(64, 100), work(1, 900)]), 0);
        assert_eq!(place(2, &[work(9, 0), work(3, 0), work(12, 0), work(5, 0)]), 1, "the one with least");
    }

    #[test]
    fn claims_count_where_they_were_placed() {
        let loads = Loads::of(2);
        let claims: Vec<Claim> = (0..10).map(|_| loads.place(0)).collect();
        assert_eq!((loads.0[0].connections(), loads.0[1].connections(), loads.connections()), (5, 5, 10));
        assert_eq!(loads.0[0].placed_elsewhere.load(Relaxed), 5);
        drop(claims);
        assert_eq!(loads.connections(), 0);
    }

    /// Connections by worker after so many were accepted by the first one.
    fn placed(loads: &Arc<Loads>, n: usize) -> (Vec<Claim>, Vec<usize>) {
        let claims = (0..n).map(|_| loads.place(0)).collect();
        (claims, loads.each().iter().map(Load::connections).collect())
    }

    fn note(loads: &Loads, worker: usize, busy_ms: u64) {
        loads.0[worker]
            .note_busy(loads.0[worker].busy_total() + Duration::from_millis(busy_ms), Duration::from_secs(1));
    }

    #[test]
    fn work_that_has_gone_drives_nobody_away() {
        let loads = Loads::of(2);
        let (before, spread) = placed(&loads, 16);
        assert_eq!(spread, [8, 8]);
        note(&loads, 0, 0);
        note(&loads, 1, 1000);
        drop(before);
        assert_eq!(placed(&loads, 16).1, [8, 8]);
    }

    #[test]
    fn who_carries_much_is_spared_but_not_for_ever() {
        let loads = Loads::of(2);
        let (_heavy, spread) = placed(&loads, 1);
        assert_eq!(spread, [1, 0]);
        note(&loads, 0, 1000);
        note(&loads, 1, 0);
        let (_light, spread) = placed(&loads, 10);
        assert_eq!(spread, [1, 10]);
        let (_more, spread) = placed(&loads, 53);
        assert!(spread[0] >= 24, "they may carry much as well: {spread:?}");
    }

    #[test]
    fn busy_time_becomes_a_share_of_the_interval() {
        let (load, second) = (Load::default(), Duration::from_secs(1));
        for (total_ms, share) in [(250, 250), (250, 0), (1_250, 1000), (9_000, 1000)] {
            load.note_busy(Duration::from_millis(total_ms), second);
            assert_eq!(load.busy.load(Relaxed), share);
        }
        assert_eq!(load.busy_total(), Duration::from_secs(9));
    }

    /// Streams handed over out of `n`, by worker.
    fn handed(sharing: &mut Sharing, n: usize, workers: usize) -> Vec<usize> {
        let mut to = vec![0; workers];
        for worker in (0..n).filter_map(|_| sharing.next()) {
            to[worker] += 1;
        }
        to
    }

    #[test]
    fn who_keeps_up_shares_nothing() {
        let mut sharing = Sharing::default();
        for busy in [[0, 0], [BUSY, 0], [1000, 900], [300, 1000]] {
            sharing.move_share(0, &busy);
            assert_eq!(handed(&mut sharing, 1000, 2), [0, 0]);
        }
    }

    #[test]
    fn a_share_grows_step_by_step_goes_to_all_helpers_and_shrinks_again() {
        let mut sharing = Sharing::default();
        sharing.move_share(1, &[100, 1000, 300, 900]);
        assert_eq!(handed(&mut sharing, 1600, 4), [100, 0, 100, 0], "an eighth");
        for _ in 0..20 {
            sharing.move_share(1, &[100, 1000, 300, 900]);
        }
        assert_eq!(handed(&mut sharing, 1600, 4), [700, 0, 700, 0], "not all");
        sharing.move_share(1, &[850, 800, 850, 900]);
        assert_eq!(handed(&mut sharing, 1600, 4), [700, 0, 700, 0], "all are equally busy: so it stays");
        for _ in 0..7 {
            sharing.move_share(1, &[100, 100, 100, 100]);
        }
        assert_eq!(handed(&mut sharing, 1600, 4), [0; 4]);
    }

    proptest! {
        /// One connection that asks for `demand` of work a stream-interval; a part of the work of each stream (what
        /// speaks with the client) stays, the rest follows the share.
        #[test]
        fn one_heavy_connection_comes_to_rest(demand in 1100u32..3000, stays in 200u32..600, workers in 2usize..9) {
            let (mut sharing, mut busy, mut shares) = (Sharing::default(), vec![0; workers], Vec::new());
            for _ in 0..60 {
                let mobile = demand * (1000 - stays) / 1000;
                let away = mobile * sharing.share / 1000;
                busy[0] = (demand - away).min(1000);
                let others = u32::try_from(workers).unwrap() - 1;
                busy[1..].fill((away / others).min(1000));
                sharing.move_share(0, &busy);
                shares.push(sharing.share);
            }
            let last = &shares[40..];
            let swing = last.iter().max().unwrap() - last.iter().min().unwrap();
            prop_assert!(swing <= STEP, "{shares:?}");
            prop_assert!(sharing.share > 0);
        }
    }
}
