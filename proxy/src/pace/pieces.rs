//! Bytes in pieces, with a pause from the beginning of one to the beginning of the next.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use squall_config::model::{Piece, Slice, SlowBody};
use squall_fault::noise::Noise;

/// What may be done with bytes that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// So many of them may leave; at least one.
    Now(usize),
    /// None before this moment.
    At(Instant),
}

/// Cuts bytes into pieces.
#[derive(Debug)]
pub(crate) struct Pieces {
    cut: Cut,
    every: Duration,
    /// The next piece begins no earlier.
    next_at: Instant,
    is_in_piece: bool,
}

#[derive(Debug)]
enum Cut {
    /// Sizes around a middle, and what is left of the current piece.
    Sizes {
        middle: NonZeroU64,
        variation: u64,
        noise: Noise,
        left: u64,
    },
    Events(EventEnd),
}

impl Pieces {
    /// The pieces of a slowed body.
    pub(crate) fn of_body(slow: &SlowBody, now: Instant) -> Self {
        let cut = match slow.piece {
            Piece::Bytes(size) => Cut::Sizes { middle: size, variation: 0, noise: Noise::new(0), left: size.get() },
            Piece::Event => Cut::Events(EventEnd::default()),
        };
        Self { cut, every: slow.every, next_at: now, is_in_piece: false }
    }

    /// The pieces of a sliced stream.
    pub(crate) fn of_stream(slice: &Slice, seed: u64, now: Instant) -> Self {
        let mut noise = Noise::new(seed);
        let left = noise.size(slice.size, slice.variation).get();
        let cut = Cut::Sizes { middle: slice.size, variation: slice.variation, noise, left };
        Self { cut, every: slice.every, next_at: now, is_in_piece: false }
    }

    /// What of `waiting` may leave now: at most the rest of a piece.
    pub(super) fn ask(&self, waiting: &[u8], now: Instant) -> Leave {
        if !self.is_in_piece && now < self.next_at {
            return Leave::At(self.next_at);
        }
        Leave::Now(match &self.cut {
            Cut::Sizes { left, .. } => usize::try_from(*left).map_or(waiting.len(), |left| left.min(waiting.len())),
            Cut::Events(end) => end.clone().find(waiting).unwrap_or(waiting.len()),
        })
    }

    /// Takes note of bytes that have left, which are of one piece.
    pub(super) fn spend(&mut self, bytes: &[u8], now: Instant) {
        if !self.is_in_piece {
            self.is_in_piece = true;
            self.next_at = now + self.every;
        }
        let has_ended = match &mut self.cut {
            Cut::Sizes { middle, variation, noise, left } => {
                *left = left.saturating_sub(bytes.len() as u64);
                let has_ended = *left == 0;
                if has_ended {
                    *left = noise.size(*middle, *variation).get();
                }
                has_ended
            }
            Cut::Events(end) => end.find(bytes).is_some(),
        };
        self.is_in_piece = !has_ended;
    }
}

/// Finds the blank line behind a server-sent event. Lines end in LF, CR or CRLF. Before an event there is no line.
#[derive(Clone, Debug, Default)]
struct EventEnd {
    is_at_line_start: bool,
    was_cr: bool,
}

impl EventEnd {
    /// How many bytes there are up to the end of an event, with it; goes on from the bytes before.
    fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        for (at, byte) in bytes.iter().enumerate() {
            let is_second_half = std::mem::replace(&mut self.was_cr, *byte == b'\r') && *byte == b'\n';
            if is_second_half {
                continue;
            }
            let is_line_end = matches!(byte, b'\r' | b'\n');
            if is_line_end && self.is_at_line_start {
                let is_crlf = *byte == b'\r' && bytes.get(at + 1) == Some(&b'\n');
                *self = Self { is_at_line_start: false, was_cr: *byte == b'\r' && !is_crlf };
                return Some(at + 1 + usize::from(is_crlf));
            }
            self.is_at_line_start = is_line_end;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use squall_config::model::Phase;

    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn leave(pieces: &mut Pieces, waiting: &mut &[u8], now: Instant) -> Leave {
        let leave = pieces.ask(waiting, now);
        if let Leave::Now(n) = leave {
            pieces.spend(&waiting[..n], now);
            *waiting = &waiting[n..];
        }
        leave
    }

    #[test]
    fn a_piece_may_come_in_parts_and_the_next_one_waits() {
        let start = Instant::now();
        let slow =
            SlowBody { piece: Piece::Bytes(NonZeroU64::new(4).unwrap()), every: ms(10), direction: Phase::Response };
        let mut pieces = Pieces::of_body(&slow, start);
        assert_eq!(leave(&mut pieces, &mut &b"abc"[..], start), Leave::Now(3));
        assert_eq!(leave(&mut pieces, &mut &b"defg"[..], start + ms(3)), Leave::Now(1));
        assert_eq!(leave(&mut pieces, &mut &b"efg"[..], start + ms(4)), Leave::At(start + ms(10)));
        assert_eq!(leave(&mut pieces, &mut &b"efg"[..], start + ms(12)), Leave::Now(3));
    }

    #[test]
    fn slices_vary_within_their_bounds() {
        let start = Instant::now();
        let slice = Slice { size: NonZeroU64::new(10).unwrap(), variation: 5, every: Duration::ZERO, direction: None };
        let (mut pieces, data) = (Pieces::of_stream(&slice, 1, start), vec![0; 10_000]);
        let (mut waiting, mut sizes) = (&data[..], Vec::new());
        while waiting.len() > 15 {
            match leave(&mut pieces, &mut waiting, start) {
                Leave::Now(n) => sizes.push(n),
                at @ Leave::At(_) => panic!("{at:?}"),
            }
        }
        assert_eq!((sizes.iter().min(), sizes.iter().max()), (Some(&5), Some(&15)));
    }

    #[test]
    fn events_end_at_blank_lines_however_they_are_cut() {
        let start = Instant::now();
        for text in ["data: a\n\ndata: b\n\n", "data: a\r\n\r\ndata: b\r\n\r\n", "data: a\r\rdata: b\r\r"] {
            let slow = SlowBody { piece: Piece::Event, every: ms(10), direction: Phase::Response };
            for size in 1..text.len() {
                let (mut pieces, mut now, mut ends) = (Pieces::of_body(&slow, start), start, Vec::new());
                let mut passed = 0;
                for chunk in text.as_bytes().chunks(size) {
                    let mut waiting = chunk;
                    while !waiting.is_empty() {
                        match leave(&mut pieces, &mut waiting, now) {
                            Leave::Now(n) => passed += n,
                            Leave::At(at) => {
                                ends.push(passed);
                                now = at;
                            }
                        }
                    }
                }
                // Between CR and LF there may be a pause: what follows CR belongs to no event.
                let half = text.len() / 2;
                assert!(ends.len() <= 2 && (half - 1..=half).contains(&ends[0]), "{text:?} {size} {ends:?}");
            }
        }
    }
}
