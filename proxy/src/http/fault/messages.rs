//! Counts the messages of a gRPC body.

use std::num::NonZeroU32;

/// Length-prefixed messages (gRPC over HTTP/2, "Length-Prefixed-Message"): one byte of flags, four of length, the rest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Messages {
    /// Messages that may still pass.
    left: u32,
    prefix: [u8; 5],
    /// How much of the prefix is there.
    n_prefix: usize,
    /// Bytes of the current message that are still to come.
    rest: u64,
}

impl Messages {
    pub(super) fn new(count: NonZeroU32) -> Self {
        Self { left: count.get(), prefix: [0; 5], n_prefix: 0, rest: 0 }
    }

    /// Whether all that may pass has passed.
    pub(super) fn are_over(&self) -> bool {
        self.left == 0
    }

    /// How many of these bytes belong to messages that may pass.
    pub(super) fn allow(&self, bytes: &[u8]) -> usize {
        let mut ahead = *self;
        ahead.advance(bytes)
    }

    /// Goes over bytes up to the end of the last message that may pass; how many those were.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while self.left > 0 && at < bytes.len() {
            if self.n_prefix < self.prefix.len() {
                self.prefix[self.n_prefix] = bytes[at];
                self.n_prefix += 1;
                at += 1;
                let [_flags, length @ ..] = self.prefix;
                self.rest = u64::from(u32::from_be_bytes(length));
            } else {
                let n = usize::try_from(self.rest).unwrap_or(usize::MAX).min(bytes.len() - at);
                at += n;
                self.rest -= n as u64;
            }
            if self.n_prefix == self.prefix.len() && self.rest == 0 {
                self.left -= 1;
                self.n_prefix = 0;
            }
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(length: u8) -> Vec<u8> {
        let mut bytes = vec![0, 0, 0, 0, length];
        bytes.extend(std::iter::repeat_n(7, length.into()));
        bytes
    }

    proptest! {
        #[test]
        fn so_many_messages_pass_however_they_are_cut(
            lengths in prop::collection::vec(0u8..20, 1..6),
            count in 1u32..6,
            size in 1usize..30,
        ) {
            let all: Vec<u8> = lengths.iter().flat_map(|length| message(*length)).collect();
            let expected: usize = lengths.iter().take(count as usize).map(|length| usize::from(*length) + 5).sum();
            let (mut messages, mut passed) = (Messages::new(NonZeroU32::new(count).unwrap()), 0);
            for piece in all.chunks(size) {
                let allowed = messages.allow(piece);
                prop_assert_eq!(messages.advance(&piece[..allowed]), allowed);
                passed += allowed;
            }
            prop_assert_eq!(passed, expected);
            prop_assert_eq!(messages.are_over(), lengths.len() >= count as usize);
        }
    }
}
