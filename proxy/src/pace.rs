//! How fast bytes may leave: a rate, and pieces with pauses between them. Pure; whoever moves the bytes asks and waits.

pub(crate) mod pieces;
pub(crate) mod throttle;

use std::time::Instant;

use pieces::Pieces;
use throttle::TokenBucket;

pub(crate) use pieces::Leave;

/// All that slows down one direction.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    pub(crate) throttle: Option<TokenBucket>,
    pub(crate) pieces: Option<Pieces>,
}

impl Pace {
    /// What of `waiting`, which is not empty, may leave now.
    pub(crate) fn ask(&mut self, waiting: &[u8], now: Instant) -> Leave {
        let piece = match self.pieces.as_ref().map(|pieces| pieces.ask(waiting, now)) {
            None => waiting.len(),
            Some(Leave::Now(bytes)) => bytes,
            Some(later) => return later,
        };
        match &mut self.throttle {
            None => Leave::Now(piece),
            Some(bucket) => match bucket.allowance(piece, now) {
                0 => Leave::At(bucket.ready_at(piece)),
                granted => Leave::Now(granted),
            },
        }
    }

    /// Takes note of bytes that have left.
    pub(crate) fn spend(&mut self, left: &[u8], now: Instant) {
        if let Some(pieces) = &mut self.pieces {
            pieces.spend(left, now);
        }
        if let Some(bucket) = &mut self.throttle {
            bucket.spend(left.len());
        }
    }
}
