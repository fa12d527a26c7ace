//! Watches what frames a peer sends: those that cost and mean nothing have a limit.
//!
//! The codec bounds what can be held in memory (streams that were reset before they were accepted, lists of fields and
//! their CONTINUATION frames, small DATA frames). It does not bound work: PING and SETTINGS are to be answered, PRIORITY,
//! empty DATA and unknown frames are to be read, and streams can be opened and taken back without end (CVE-2019-9511 to
//! CVE-2019-9518, CVE-2023-44487).

use std::time::{Duration, Instant};

/// What a peer may spend in one [`WINDOW`]. A client measures its path with a PING a round trip at the most, and sends
/// SETTINGS once.
const ALLOWANCE: u32 = 10_000;
/// The time after which it may spend as much again.
const WINDOW: Duration = Duration::from_secs(1);
/// What a stream costs that is taken back: 2,000 a second. As many as a client gives up whose 200 streams all wait for
/// 100 ms.
const RESET_COST: u32 = 5;

/// How many frames are read before others have their turn: the least of them take some hundred nanoseconds, so that nobody
/// waits for longer than a small part of a millisecond.
const TURN: u32 = 64;
/// How many bytes of a list of fields take as long as one frame: the shortest field has five, and takes 0.2 µs.
const FIELD_BYTES: usize = 32;

/// RFC 9113 §4.1, §3.4.
const HEADER_BYTES: usize = 9;
const PREFACE_BYTES: usize = 24;
const END_STREAM: u8 = 0x1;

/// More came that means nothing than one who is well-behaved would send.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Flood;

/// The frames of one direction of a connection.
#[derive(Debug)]
pub(crate) struct Frames {
    /// Bytes of the preface or of a payload that are still to come.
    payload_left: usize,
    /// The part of a frame's header that has come.
    header: [u8; HEADER_BYTES],
    header_bytes: usize,
    /// How many came since others had their turn, or as much work.
    in_turn: u32,
    left: u32,
    since: Instant,
    has_resets: bool,
}

impl Frames {
    /// Of a client, behind its preface.
    pub(crate) fn of_client() -> Self {
        Self { payload_left: PREFACE_BYTES, ..Self::of_server() }
    }

    /// Of a server.
    pub(crate) fn of_server() -> Self {
        let (header, header_bytes) = ([0; HEADER_BYTES], 0);
        Self {
            payload_left: 0,
            header,
            header_bytes,
            in_turn: 0,
            left: ALLOWANCE,
            since: Instant::now(),
            has_resets: false,
        }
    }

    /// Looks at bytes that came, as far as this turn goes: how many of them that is. The others come again in the next.
    #[inline(always)]
    pub(crate) fn see(&mut self, bytes: &[u8]) -> Result<usize, Flood> {
        let mut rest = bytes;
        loop {
            if self.payload_left >= rest.len() {
                self.payload_left -= rest.len();
                return Ok(bytes.len());
            }
            rest = &rest[self.payload_left..];
            self.payload_left = 0;
            if self.in_turn >= TURN {
                return Ok(bytes.len() - rest.len());
            }
            let n = (HEADER_BYTES - self.header_bytes).min(rest.len());
            self.header[self.header_bytes..self.header_bytes + n].copy_from_slice(&rest[..n]);
            self.header_bytes += n;
            rest = &rest[n..];
            if self.header_bytes < HEADER_BYTES {
                return Ok(bytes.len());
            }
            self.header_bytes = 0;
            self.in_turn += 1;
            let cost = self.begin_payload();
            if self.spends(cost) {
                return Err(Flood);
            }
        }
    }

    /// Whether so many frames came that others are to have their turn first, which is then supposed to happen.
    #[inline(always)]
    pub(crate) fn is_others_turn(&mut self) -> bool {
        let is_theirs = self.in_turn >= TURN;
        if is_theirs {
            self.in_turn = 0;
        }
        is_theirs
    }

    /// Whether a stream was ever taken back.
    #[inline(always)]
    pub(crate) fn has_resets(&self) -> bool {
        self.has_resets
    }

    /// What the frame costs whose header has come.
    fn begin_payload(&mut self) -> u32 {
        let [high, middle, low, kind, flags, ..] = self.header;
        self.payload_left = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        match kind {
            // DATA: without a byte, and without an end.
            0 => u32::from(self.payload_left == 0 && flags & END_STREAM == 0),
            // HEADERS, PUSH_PROMISE and CONTINUATION: bounded by what they are about.
            1 | 5 | 9 => {
                self.in_turn += u32::try_from(self.payload_left / FIELD_BYTES).unwrap_or(TURN);
                0
            }
            // WINDOW_UPDATE: the same.
            8 => 0,
            // RST_STREAM
            3 => {
                self.has_resets = true;
                RESET_COST
            }
            // PRIORITY, SETTINGS, PING, GOAWAY, and what nobody knows.
            _ => 1,
        }
    }

    /// Whether that is too much.
    fn spends(&mut self, cost: u32) -> bool {
        if let Some(left) = self.left.checked_sub(cost) {
            self.left = left;
            return false;
        }
        // The one look at the clock, when it has come to that.
        let now = Instant::now();
        let is_flood = now.saturating_duration_since(self.since) < WINDOW;
        (self.left, self.since) = (ALLOWANCE, now);
        is_flood
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let [_, high, middle, low] = u32::try_from(payload).unwrap_or(0).to_be_bytes();
        [&[high, middle, low, kind, flags, 0, 0, 0, 1][..], &vec![0xff; payload]].concat()
    }

    /// Whether these bytes are too much, in as many turns as they take.
    fn is_flood(frames: &mut Frames, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let _others_had_theirs = frames.is_others_turn();
            match frames.see(bytes) {
                Ok(n) => bytes = &bytes[n..],
                Err(Flood) => return true,
            }
        }
        false
    }

    /// After how many of these frames, in pieces of this size, it is a flood.
    fn limit_of(frame: &[u8], piece: usize) -> Option<usize> {
        let mut frames = Frames::of_client();
        let bytes = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame.repeat(2 * ALLOWANCE as usize)].concat();
        let at = bytes.chunks(piece).position(|piece| is_flood(&mut frames, piece))?;
        Some(((at + 1) * piece).saturating_sub(PREFACE_BYTES) / frame.len())
    }

    #[test]
    fn frames_that_mean_nothing_have_a_limit_however_they_are_cut() {
        let allowance = ALLOWANCE as usize;
        for (name, frame, limit) in [
            ("PING", frame(6, 0, 8), allowance),
            ("SETTINGS", frame(4, 0, 0), allowance),
            ("PRIORITY", frame(2, 0, 5), allowance),
            ("empty DATA", frame(0, 0, 0), allowance),
            ("RST_STREAM", frame(3, 0, 4), allowance / RESET_COST as usize),
            ("unknown", frame(0xbe, 0, 300), allowance),
        ] {
            for piece in [1, 7, 9, 13, 4096] {
                let found = limit_of(&frame, piece);
                assert!(
                    found.is_some_and(|n| n.abs_diff(limit) <= 4096 / frame.len() + 1),
                    "{name} by {piece}: {found:?}"
                );
            }
        }
    }

    #[test]
    fn what_carries_something_has_none_here() {
        for frame in [frame(0, 0, 1), frame(0, END_STREAM, 0), frame(1, 4, 20), frame(8, 0, 4), frame(9, 0, 5)] {
            assert_eq!(limit_of(&frame, 100), None, "{:?}", &frame[..5]);
        }
    }

    /// How many of these frames are of each turn, when all of them come at once.
    fn turns_of(frame: &[u8], n: usize) -> Vec<usize> {
        let (mut frames, bytes) = (Frames::of_server(), frame.repeat(n));
        let (mut rest, mut turns) = (&bytes[..], Vec::new());
        while !rest.is_empty() {
            let _others_had_theirs = frames.is_others_turn();
            let n = frames.see(rest).unwrap_or(0);
            assert!(n > 0 && n % frame.len() == 0, "{n} bytes of frames of {}", frame.len());
            turns.push(n / frame.len());
            rest = &rest[n..];
        }
        turns
    }

    #[test]
    fn a_turn_has_so_many_frames_however_many_come() {
        assert_eq!(turns_of(&frame(6, 0, 8), 200), [64, 64, 64, 8]);
        assert_eq!(turns_of(&frame(0, 0, 16 * 1024), 65), [64, 1], "the bytes of a body are no work here");
        assert_eq!(turns_of(&frame(9, 0, 1000), 5), [2, 2, 1], "those of a list of fields are");
        assert_eq!(turns_of(&frame(1, 4, 60), 40), [32, 8]);
    }
}
