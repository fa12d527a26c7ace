//! A DNS server whose answers a test changes while it runs.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What the server knows of a name; of others it says that they do not exist.
#[derive(Debug, Clone)]
struct Zone {
    addresses: Vec<Ipv4Addr>,
    ttl: u32,
    delay: Duration,
    /// Says that it cannot tell (SERVFAIL).
    is_broken: bool,
}

#[derive(Debug, Default)]
struct State {
    zones: HashMap<String, Zone>,
    /// How often the IPv4 addresses of a name were asked for.
    queries: HashMap<String, usize>,
}

/// A server on loopback, over UDP. Its thread ends with the process.
#[derive(Debug)]
pub struct Dns {
    /// Where it listens.
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

const A: u16 = 1;

impl Dns {
    /// Knows no name.
    ///
    /// # Panics
    /// When no socket can be had.
    pub fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a loopback port is free");
        let address = socket.local_addr().expect("a bound socket has an address");
        let state = Arc::<Mutex<State>>::default();
        let of_thread = Arc::clone(&state);
        std::thread::spawn(move || {
            let (socket, mut buffer) = (Arc::new(socket), [0; 4096]);
            while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
                let Some(query) = Query::parse(&buffer[..length]) else { continue };
                let zone = note(&of_thread, &query);
                let (socket, answer) = (Arc::clone(&socket), query.answer(zone.as_ref()));
                // Each on a thread of its own, so that a slow name does not hold up the others.
                std::thread::spawn(move || {
                    crate::wait::pause(zone.map_or(Duration::ZERO, |zone| zone.delay));
                    let _ = socket.send_to(&answer, peer);
                });
            }
        });
        Self { address, state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on a name has these addresses, for so many seconds.
    pub fn set(&self, name: &str, addresses: &[Ipv4Addr], ttl: u32) {
        let zone = Zone { addresses: addresses.to_vec(), ttl, delay: Duration::ZERO, is_broken: false };
        self.state().zones.insert(name.to_owned(), zone);
    }

    /// From now on the answers about a name take so long.
    pub fn slow_down(&self, name: &str, delay: Duration) {
        if let Some(zone) = self.state().zones.get_mut(name) {
            zone.delay = delay;
        }
    }

    /// From now on the server cannot tell.
    pub fn break_down(&self, name: &str) {
        if let Some(zone) = self.state().zones.get_mut(name) {
            zone.is_broken = true;
        }
    }

    /// How often the IPv4 addresses of a name were asked for.
    pub fn queries(&self, name: &str) -> usize {
        self.state().queries.get(name).copied().unwrap_or(0)
    }
}

fn note(state: &Mutex<State>, query: &Query) -> Option<Zone> {
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    if query.kind == A {
        *state.queries.entry(query.name.clone()).or_default() += 1;
    }
    state.zones.get(&query.name).cloned()
}

/// A query with one question (RFC 1035 §4.1).
struct Query {
    id: [u8; 2],
    name: String,
    kind: u16,
    /// As it came, to be repeated.
    question: Vec<u8>,
}

impl Query {
    fn parse(bytes: &[u8]) -> Option<Self> {
        const HEADER: usize = 12;
        let id = bytes.get(..2)?.try_into().ok()?;
        let (mut at, mut labels) = (HEADER, Vec::new());
        loop {
            let length = usize::from(*bytes.get(at)?);
            at += 1;
            if length == 0 {
                break;
            }
            labels.push(String::from_utf8_lossy(bytes.get(at..at + length)?).to_ascii_lowercase());
            at += length;
        }
        let kind = u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?);
        let question = bytes.get(HEADER..at + 4)?.to_vec();
        Some(Self { id, name: labels.join("."), kind, question })
    }

    fn answer(&self, zone: Option<&Zone>) -> Vec<u8> {
        let (code, addresses, ttl) = match zone {
            None => (3, &[][..], 0),
            Some(zone) if zone.is_broken => (2, &[][..], 0),
            Some(zone) if self.kind == A => (0, &zone.addresses[..], zone.ttl),
            Some(_) => (0, &[][..], 0),
        };
        let count = u16::try_from(addresses.len()).unwrap_or(0).to_be_bytes();
        let mut answer = self.id.to_vec();
        // A response, recursion desired and available; one question, the answers, nothing more.
        answer.extend([0x81, 0x80 | code, 0, 1, count[0], count[1], 0, 0, 0, 0]);
        answer.extend(&self.question);
        for address in addresses {
            // The name of the question, A, IN.
            answer.extend([0xC0, 12, 0, 1, 0, 1]);
            answer.extend(ttl.to_be_bytes());
            answer.extend([0, 4]);
            answer.extend(address.octets());
        }
        answer
    }
}
