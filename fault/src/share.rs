//! Bounds the share of exchanges that are faulted, over a window that slides along.
//!
//! Whenever a fault begins, it and those that began within the window before it are at most the share of the exchanges that
//! were counted in the same time, rounded down; one is always allowed, or else a service with little traffic could not be
//! tried at all. So a window that ends later has at most the share of what was counted in twice its length.

use std::time::Duration;

use squall_config::model::TrafficShare;

/// The window is counted in so many pieces.
const PIECES: u64 = 64;

/// Faults count until they are surely out of the window: in one piece more.
#[expect(clippy::cast_possible_truncation, reason = "65")]
const KEPT: usize = PIECES as usize + 1;

/// What was counted in a piece of the window.
#[derive(Clone, Copy, Debug, Default)]
struct Piece {
    seen: u64,
    faulted: u64,
}

/// How much of the share is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Exchanges that were counted in the window.
    pub seen: u64,
    /// Those that were faulted.
    pub faulted: u64,
}

/// Counts exchanges and faults. Times are since any moment, the same for all.
#[derive(Debug)]
pub(crate) struct Window {
    share: TrafficShare,
    /// The newest piece is number `newest`; each is at its number modulo their count.
    pieces: [Piece; KEPT],
    newest: u64,
}

impl Window {
    pub(crate) fn new(share: TrafficShare) -> Self {
        Self { share, pieces: [Piece::default(); KEPT], newest: 0 }
    }

    pub(crate) fn share(&self) -> TrafficShare {
        self.share
    }

    /// Changes the share alone; what was counted stays.
    pub(crate) fn set_share(&mut self, share: TrafficShare) {
        debug_assert_eq!(self.share.window, share.window, "pieces of another length mean something else");
        self.share = share;
    }

    /// Counts exchanges of which is known that they came after `since`: as if all had come then, so that none counts for
    /// longer than the window.
    pub(crate) fn see(&mut self, n: u64, since: Duration) {
        let number = self.number(since);
        self.advance(number);
        if self.newest - number < PIECES {
            self.piece(number).seen += n;
        }
    }

    /// Counts a fault that begins now, if there is room for it.
    #[must_use]
    pub(crate) fn admit(&mut self, now: Duration) -> bool {
        let Used { seen, faulted } = self.used(now);
        let allowed = u128::from(seen) * u128::from(self.share.max.ppm()) / 1_000_000;
        let is_admitted = u128::from(faulted) < allowed.max(1);
        if is_admitted {
            self.piece(self.newest).faulted += 1;
        }
        is_admitted
    }

    /// What of the window is used now.
    pub(crate) fn used(&mut self, now: Duration) -> Used {
        let number = self.number(now);
        self.advance(number);
        // The oldest piece is only in part within the window: what was seen in it does not count any more, its faults do.
        let oldest = self.newest.checked_sub(PIECES);
        let whole: Piece = self.pieces.iter().fold(Piece::default(), |sum, piece| Piece {
            seen: sum.seen + piece.seen,
            faulted: sum.faulted + piece.faulted,
        });
        let in_part = oldest.map_or(0, |oldest| self.piece(oldest).seen);
        Used { seen: whole.seen - in_part, faulted: whole.faulted }
    }

    fn number(&self, at: Duration) -> u64 {
        let number = at.as_nanos() * u128::from(PIECES) / self.share.window.as_nanos().max(1);
        u64::try_from(number).unwrap_or(u64::MAX)
    }

    fn piece(&mut self, number: u64) -> &mut Piece {
        &mut self.pieces[usize::try_from(number % KEPT as u64).unwrap_or(0)]
    }

    /// Begins new pieces; those that they take the place of are forgotten.
    fn advance(&mut self, to: u64) {
        for number in (self.newest + 1..=to).take(KEPT) {
            *self.piece(number) = Piece::default();
        }
        if to > self.newest + KEPT as u64 {
            self.pieces = [Piece::default(); KEPT];
        }
        self.newest = self.newest.max(to);
    }
}

#[cfg(test)]
#[path = "share_tests.rs"]
mod tests;
