//! How often a source may try a token that is wrong. The clock is the caller's.
//!
//! Each source has a bucket of tries that fills up again over time. Tokens are too long to be guessed; the bound keeps a
//! client with an old token from filling the log, and a guesser from trying at the speed of the machine.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Tries at once: more than somebody needs who looks for the right one of a few tokens.
pub(super) const TRIES_MAX: u32 = 10;
/// One more try after each of these: ten in a minute.
const TRY_EVERY: Duration = Duration::from_secs(6);
/// Sources that are remembered: at some 100 bytes each, a tenth of a mebibyte. The one that waits least makes room.
const SOURCES_MAX: usize = 1024;

/// Where calls come from, as far as tries are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum AttemptSource {
    /// An address; of IPv6 the network of the last router (RFC 4291 §2.5.4), in which anybody has all addresses.
    Network(IpAddr),
    /// A user of this machine, on a Unix socket.
    User(u32),
}

impl AttemptSource {
    pub(super) fn of_address(ip: IpAddr) -> Self {
        Self::Network(match ip.to_canonical() {
            IpAddr::V6(ip) if !ip.is_loopback() => IpAddr::from((u128::from(ip) & (u128::MAX << 64)).to_be_bytes()),
            ip => ip,
        })
    }
}

/// The tries of all sources that have some behind them.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    /// When the bucket of each source is full again.
    full_at: HashMap<AttemptSource, Instant>,
}

impl Attempts {
    /// Notes a wrong token.
    pub(super) fn note(&mut self, source: AttemptSource, now: Instant) {
        if !self.full_at.contains_key(&source) && self.full_at.len() >= SOURCES_MAX {
            self.make_room(now);
        }
        let full_at = self.full_at.entry(source).or_insert(now);
        *full_at = (*full_at).max(now) + TRY_EVERY;
        debug_assert!(self.full_at.len() <= SOURCES_MAX, "bounded");
    }

    /// How long the source has to wait until it has a try; `None` when it has one.
    pub(super) fn wait(&self, source: AttemptSource, now: Instant) -> Option<Duration> {
        let missing = self.full_at.get(&source)?.saturating_duration_since(now);
        let allowed = TRY_EVERY * (TRIES_MAX - 1);
        missing.checked_sub(allowed).filter(|wait| !wait.is_zero())
    }

    fn make_room(&mut self, now: Instant) {
        self.full_at.retain(|_, full_at| *full_at > now);
        if self.full_at.len() >= SOURCES_MAX
            && let Some(least) = self.full_at.iter().min_by_key(|(_, full_at)| **full_at).map(|(source, _)| *source)
        {
            self.full_at.remove(&least);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(n: u32) -> AttemptSource {
        AttemptSource::of_address(IpAddr::from(n.to_be_bytes()))
    }

    #[test]
    fn ten_tries_then_one_every_six_seconds() {
        let (mut attempts, start) = (Attempts::default(), Instant::now());
        for _ in 0..TRIES_MAX {
            assert_eq!(attempts.wait(source(1), start), None);
            attempts.note(source(1), start);
        }
        assert_eq!(attempts.wait(source(1), start), Some(TRY_EVERY));
        assert_eq!(attempts.wait(source(2), start), None, "others are left alone");
        let later = start + TRY_EVERY;
        assert_eq!(attempts.wait(source(1), later), None);
        attempts.note(source(1), later);
        assert_eq!(attempts.wait(source(1), later), Some(TRY_EVERY));
        // All are back after a minute, and no more than all.
        let minute = later + TRY_EVERY * TRIES_MAX;
        (0..TRIES_MAX).for_each(|_| attempts.note(source(1), minute));
        assert_eq!(attempts.wait(source(1), minute), Some(TRY_EVERY));
    }

    #[test]
    fn memory_is_bounded_and_those_that_wait_longest_are_kept() {
        let (mut attempts, now) = (Attempts::default(), Instant::now());
        (0..=TRIES_MAX).for_each(|_| attempts.note(source(0), now));
        for n in 1..u32::try_from(2 * SOURCES_MAX).unwrap() {
            attempts.note(source(n), now);
        }
        assert_eq!(attempts.full_at.len(), SOURCES_MAX);
        assert!(attempts.wait(source(0), now).is_some(), "a flood of others does not set a guesser free");
    }

    #[test]
    fn a_network_of_ipv6_is_one_source() {
        let of = |text: &str| AttemptSource::of_address(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
    }

    proptest::proptest! {
        #[test]
        fn no_source_gets_more_tries_than_its_share(pauses in proptest::collection::vec(0_u64..20_000, 1..200)) {
            let (mut attempts, start) = (Attempts::default(), Instant::now());
            let (mut now, mut n_tries) = (start, 0_u32);
            for pause in pauses {
                now += Duration::from_millis(pause);
                if attempts.wait(source(1), now).is_none() {
                    attempts.note(source(1), now);
                    n_tries += 1;
                }
                let share = TRIES_MAX + u32::try_from((now - start).as_secs() / TRY_EVERY.as_secs()).unwrap();
                proptest::prop_assert!(n_tries <= share + 1, "{n_tries} of {share}");
            }
        }
    }
}
