//! Admits only requests whose framing has one possible reading (RFC 9112 §2.2, §5, §6, §7.1).
//!
//! The HTTP/1 parser behind this gate is lenient in places where two programs could disagree about where a message
//! ends; that disagreement is what request smuggling lives on. The gate sees each byte first. A request that is not
//! beyond doubt never reaches the parser: a marker request takes its place, so that the answer
//! ([`Refusal`]) leaves in order, after the answers to whatever was pipelined before it.
//!
//! Pure: bytes in, admitted bytes out; [`super::gated_io`] does the I/O.

use std::borrow::Cow;

use super::chunks::Chunks;
use super::head::{BodyLength, check_head, find_head_end};
use super::refusal::Refusal;

/// The method of the request that stands in for a refused one; its target names the refusal.
pub(crate) const REFUSED_METHOD: &str = "SQUALL-REFUSED";

/// What the gate does with the next byte.
#[derive(Debug)]
enum Phase {
    /// It belongs to a request head (or to empty lines before one).
    Head,
    /// It belongs to a body of known length.
    Body { left: u64 },
    /// It belongs to a chunked body.
    Chunked(Chunks),
    /// The client asked to switch protocols; what follows waits for the upstream's answer.
    Undecided,
    /// The protocol was switched; bytes pass.
    Tunnel,
    /// A request was refused; nothing passes any more.
    Closed,
}

/// What came of some input.
#[derive(Debug)]
pub(crate) struct Admitted<'a> {
    /// Pass these on.
    pub(crate) bytes: Cow<'a, [u8]>,
    /// The body of a request that had been admitted before turned out broken.
    pub(crate) is_body_broken: bool,
}

/// Watches the request side of one HTTP/1 connection.
#[derive(Debug)]
pub(crate) struct Gate {
    phase: Phase,
    /// Bytes of an incomplete head, or bytes that wait while [`Phase::Undecided`].
    held: Vec<u8>,
    /// How much of `held` was searched for the end of the head.
    searched: usize,
    head_bytes_max: usize,
}

impl Gate {
    pub(crate) fn new(head_bytes_max: usize) -> Self {
        Self { phase: Phase::Head, held: Vec::new(), searched: 0, head_bytes_max }
    }

    /// Whether a head has begun to arrive and is not complete.
    pub(crate) fn is_in_head(&self) -> bool {
        matches!(self.phase, Phase::Head) && !self.held.is_empty()
    }

    /// Whether the gate wants no input until [`Self::decide`].
    pub(crate) fn is_undecided(&self) -> bool {
        matches!(self.phase, Phase::Undecided)
    }

    /// Whether a request was refused, so that all further input is thrown away.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// Takes input and says what of it may pass.
    pub(crate) fn admit<'a>(&mut self, input: &'a [u8]) -> Admitted<'a> {
        if self.held.is_empty() {
            let (admitted, outcome) = self.advance(input);
            if outcome.is_ok() {
                self.hold(&input[admitted..]);
            }
            return self.conclude(Cow::Borrowed(&input[..admitted]), outcome);
        }
        let mut all = std::mem::take(&mut self.held);
        all.extend_from_slice(input);
        let (admitted, outcome) = self.advance(&all);
        if outcome.is_ok() {
            self.hold(&all[admitted..]);
        }
        all.truncate(admitted);
        self.conclude(Cow::Owned(all), outcome)
    }

    /// Refuses what is held, for a reason from outside (the head took too long); returns what passes instead.
    pub(crate) fn refuse(&mut self, refusal: Refusal) -> Vec<u8> {
        self.phase = Phase::Closed;
        self.held = Vec::new();
        marker(refusal)
    }

    /// Ends [`Phase::Undecided`]: the upstream switched protocols, or did not. Returns what passes now.
    pub(crate) fn decide(&mut self, is_tunnel: bool) -> Vec<u8> {
        debug_assert!(self.is_undecided());
        let held = std::mem::take(&mut self.held);
        if is_tunnel {
            self.phase = Phase::Tunnel;
            return held;
        }
        self.phase = Phase::Head;
        self.admit(&held).bytes.into_owned()
    }

    /// Keeps what was not admitted, if more input can change that.
    fn hold(&mut self, rest: &[u8]) {
        if matches!(self.phase, Phase::Head | Phase::Undecided) {
            self.held.extend_from_slice(rest);
        }
    }

    fn conclude<'a>(&mut self, bytes: Cow<'a, [u8]>, outcome: Result<(), Stop>) -> Admitted<'a> {
        match outcome {
            Ok(()) => Admitted { bytes, is_body_broken: false },
            Err(stop) => {
                self.phase = Phase::Closed;
                self.held = Vec::new();
                let mut bytes = bytes.into_owned();
                match stop {
                    Stop::Refuse(refusal) => bytes.extend(marker(refusal)),
                    Stop::BodyBroken => return Admitted { bytes: bytes.into(), is_body_broken: true },
                }
                Admitted { bytes: bytes.into(), is_body_broken: false }
            }
        }
    }

    /// Walks over the input as far as it can be admitted.
    ///
    /// A request that begins in this input and turns out bad in it is not admitted at all.
    fn advance(&mut self, input: &[u8]) -> (usize, Result<(), Stop>) {
        let mut at = 0;
        let mut request_start = None;
        while at < input.len() {
            let rest = &input[at..];
            match &mut self.phase {
                Phase::Head => match self.head(rest) {
                    Ok(Some(len)) => {
                        request_start = Some(at);
                        at += len;
                    }
                    Ok(None) => return (at, Ok(())),
                    Err(refusal) => return (at, Err(Stop::Refuse(refusal))),
                },
                Phase::Body { left } => {
                    let taken = (*left).min(rest.len() as u64);
                    *left -= taken;
                    at += usize::try_from(taken).unwrap_or(rest.len());
                    if *left == 0 {
                        self.phase = Phase::Head;
                    }
                }
                Phase::Chunked(chunks) => match chunks.advance(rest) {
                    Ok((taken, is_done)) => {
                        at += taken;
                        if is_done {
                            self.phase = Phase::Head;
                        }
                    }
                    Err(refusal) => {
                        return match request_start {
                            Some(start) => (start, Err(Stop::Refuse(refusal))),
                            None => (at, Err(Stop::BodyBroken)),
                        };
                    }
                },
                Phase::Undecided => return (at, Ok(())),
                Phase::Tunnel => return (input.len(), Ok(())),
                Phase::Closed => return (at, Ok(())),
            }
        }
        (at, Ok(()))
    }

    /// Checks the head at the beginning of `rest`; its length, or `None` while it is incomplete.
    fn head(&mut self, rest: &[u8]) -> Result<Option<usize>, Refusal> {
        let searched = std::mem::take(&mut self.searched).min(rest.len());
        let Some(end) = find_head_end(rest, searched)? else {
            if rest.len() > self.head_bytes_max {
                return Err(Refusal::HeadTooLarge);
            }
            self.searched = rest.len();
            return Ok(None);
        };
        if end > self.head_bytes_max {
            return Err(Refusal::HeadTooLarge);
        }
        let head = check_head(&rest[..end])?;
        self.phase = match head.body {
            _ if head.is_upgrade => Phase::Undecided,
            BodyLength::None => Phase::Head,
            BodyLength::Bytes(left) => Phase::Body { left },
            BodyLength::Chunked => Phase::Chunked(Chunks::new()),
        };
        Ok(Some(end))
    }
}

enum Stop {
    Refuse(Refusal),
    BodyBroken,
}

fn marker(refusal: Refusal) -> Vec<u8> {
    format!("{REFUSED_METHOD} /{} HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n", refusal.label()).into_bytes()
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
