//! A worker's part of an observation.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use opentelemetry_sdk::trace::{IdGenerator as _, RandomIdGenerator};
use rand::Rng as _;
use rand_pcg::Pcg64Mcg;
use squall_fault::trace_share::{TraceShare, own_id};

use super::buffer::Buffer;
use super::ids::as_random_uuid;
use super::route::Routes;
use super::{Observation, Outcome};

/// The share of all traces that is noted, the same for all workers at any moment ([`TraceShare::to_bits`]). Written seldom.
pub(crate) type SharedShare = Arc<AtomicU32>;

/// What each worker begins an observation with.
#[derive(Clone, Debug)]
pub(crate) struct Beginning {
    /// Tells it from those before and after.
    pub(crate) number: u64,
    pub(crate) observation: Arc<Observation>,
    pub(crate) share: SharedShare,
}

/// An observation as one worker sees it, from its beginning to its end.
#[derive(Debug)]
pub(crate) struct Observing {
    pub(super) observation: Arc<Observation>,
    number: u64,
    buffer: Arc<Buffer>,
    share: SharedShare,
    /// Draws new ids, and places of what has none.
    draws: RefCell<Pcg64Mcg>,
    pub(super) routes: RefCell<Routes>,
    is_over: Cell<bool>,
}

impl Observing {
    pub(crate) fn new(beginning: Beginning, buffer: Arc<Buffer>) -> Self {
        let Beginning { number, observation, share } = beginning;
        let seed = u128::from_be_bytes(RandomIdGenerator::default().new_trace_id().to_bytes());
        let (draws, routes) = (RefCell::new(Pcg64Mcg::new(seed)), RefCell::default());
        Self { observation, number, buffer, share, draws, routes, is_over: Cell::new(false) }
    }

    /// The share of all traces that is noted now.
    pub(super) fn share(&self) -> TraceShare {
        TraceShare::from_bits(self.share.load(Relaxed))
    }

    /// A place for an exchange without ids.
    pub(super) fn draw(&self) -> u64 {
        self.draws.borrow_mut().next_u64()
    }

    /// An id that nobody has drawn before, and that Squall knows again.
    pub(super) fn draw_id(&self) -> u128 {
        let mut draws = self.draws.borrow_mut();
        as_random_uuid(own_id(u128::from(draws.next_u64()) << 64 | u128::from(draws.next_u64())))
    }

    /// Exchanges that are still going on are not noted any more.
    pub(crate) fn end(&self) {
        self.is_over.set(true);
    }

    /// Keeps an outcome, unless the observation has ended meanwhile.
    pub(super) fn note(&self, outcome: Outcome) {
        if !self.is_over.get() {
            self.buffer.push(self.number, outcome);
        }
    }
}
