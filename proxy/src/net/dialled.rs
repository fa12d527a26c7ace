//! Connections that Squall made lately in place of others. One of them that comes back was redirected itself, and would do
//! so for ever: the rules of the redirect do not know who Squall is.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A connection that comes back does so at once.
const REMEMBERED_FOR: Duration = Duration::from_secs(1);
/// So many at least, as long as they are young, and at most twice as many: more than a worker accepts before it looks at the
/// first of them.
const REMEMBERED_MIN: usize = 1024;

/// A connection by both of its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct AddressPair {
    /// Of whoever began it.
    pub(crate) source: SocketAddr,
    /// Where it was going.
    pub(crate) destination: SocketAddr,
}

/// The connections.
#[derive(Debug, Default)]
pub(crate) struct Dialled(Mutex<Made>);

/// All workers ask under one lock for each connection that they accept, so that none is searched for among the others. They are
/// forgotten together, a set at a time, when they have been remembered for long enough or are too many.
#[derive(Debug, Default)]
struct Made {
    /// Since `began`.
    lately: HashSet<AddressPair>,
    /// Those of before.
    before: HashSet<AddressPair>,
    began: Option<Instant>,
}

impl Dialled {
    /// Remembers a connection.
    pub(crate) fn note(&self, pair: AddressPair, at: Instant) {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let age = at.saturating_duration_since(*made.began.get_or_insert(at));
        if age >= REMEMBERED_FOR || made.lately.len() >= REMEMBERED_MIN {
            made.turn(at);
        }
        if age >= REMEMBERED_FOR * 2 {
            made.before.clear();
        }
        made.lately.insert(pair);
    }

    /// Whether a connection is one of them. The same two ends may be those of another one soon after; then its socket is of
    /// another user.
    pub(crate) fn is_back(&self, pair: AddressPair) -> bool {
        let source = SocketAddr::new(pair.source.ip().to_canonical(), pair.source.port());
        let is_known = {
            let made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            made.has(AddressPair { source, ..pair })
        };
        is_known && owner(source).is_none_or(|uid| uid == rustix::process::geteuid().as_raw())
    }
}

impl Made {
    /// Forgets those of before; the others are those of before now.
    fn turn(&mut self, at: Instant) {
        std::mem::swap(&mut self.lately, &mut self.before);
        self.lately.clear();
        self.began = Some(at);
    }

    fn has(&self, pair: AddressPair) -> bool {
        self.lately.contains(&pair) || self.before.contains(&pair)
    }
}

/// The user whose socket has this address at its own end; `None` when it is not to be found.
fn owner(here: SocketAddr) -> Option<u32> {
    let table = if here.is_ipv4() { "/proc/self/net/tcp" } else { "/proc/self/net/tcp6" };
    let text = std::fs::read_to_string(Path::new(table)).ok()?;
    text.lines().skip(1).find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let is_it = fields.next().and_then(address) == Some(here);
        is_it.then(|| fields.nth(5)?.parse().ok()).flatten()
    })
}

/// `0100007F:1F90`: words in the order of this machine, and the port as a number.
fn address(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.split_once(':')?;
    let word = |at: usize| u32::from_str_radix(host.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    let ip: IpAddr = match host.len() {
        8 => IpAddr::from(word(0)?),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            let mut bytes = [0; 16];
            bytes.iter_mut().zip(words.as_flattened()).for_each(|(byte, from)| *byte = *from);
            IpAddr::from(bytes)
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn what_comes_back_is_known_for_a_moment() {
        for any in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(any).unwrap();
            let there = listener.local_addr().unwrap();
            let client = TcpStream::connect(there).unwrap();
            let here = client.local_addr().unwrap();
            assert_eq!(owner(here), Some(rustix::process::geteuid().as_raw()), "{any}");
            let (dialled, now) = (Dialled::default(), Instant::now());
            let pair = AddressPair { source: here, destination: there };
            let reverse = AddressPair { source: there, destination: here };
            assert!(!dialled.is_back(pair));
            dialled.note(pair, now);
            assert!(dialled.is_back(pair) && !dialled.is_back(reverse));
            dialled.note(reverse, now + REMEMBERED_FOR * 2);
            assert!(!dialled.is_back(pair), "forgotten");
        }
    }

    fn pair(port: u16) -> AddressPair {
        AddressPair { source: ([192, 0, 2, 2], port).into(), destination: ([192, 0, 2, 1], 1).into() }
    }

    #[test]
    fn the_last_ones_are_known_and_there_is_a_bound() {
        let (dialled, now) = (Dialled::default(), Instant::now());
        for port in 0..=u16::MAX {
            dialled.note(pair(port), now);
            let made = dialled.0.lock().unwrap();
            assert!(made.lately.len() + made.before.len() <= REMEMBERED_MIN * 2);
            let oldest = usize::from(port).saturating_sub(REMEMBERED_MIN - 1);
            assert!(made.has(pair(port)) && made.has(pair(u16::try_from(oldest).unwrap())), "{port}");
        }
        assert!(!dialled.0.lock().unwrap().has(pair(0)));
    }

    #[test]
    fn each_is_known_for_its_time_and_not_for_longer_than_twice_that() {
        let step = REMEMBERED_FOR / 8;
        let (dialled, start) = (Dialled::default(), Instant::now());
        for number in 0..64 {
            dialled.note(pair(number), start + step * number.into());
            let made = dialled.0.lock().unwrap();
            for other in 0..=number {
                let age = step * (number - other).into();
                assert!(age >= REMEMBERED_FOR || made.has(pair(other)), "{age:?}");
                assert!(age < REMEMBERED_FOR * 2 || !made.has(pair(other)), "{age:?}");
            }
        }
    }
}
