//! A worker's part of an observation.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use super::buffer::Buffer;
use super::route::Routes;
use super::{Observation, Outcome};

/// An observation as one worker sees it, from its beginning to its end.
#[derive(Debug)]
pub(crate) struct Observing {
    pub(super) observation: Arc<Observation>,
    /// Tells it from those before and after.
    number: u64,
    buffer: Arc<Buffer>,
    pub(super) routes: RefCell<Routes>,
    is_over: Cell<bool>,
}

impl Observing {
    pub(crate) fn new(number: u64, observation: Arc<Observation>, buffer: Arc<Buffer>) -> Self {
        Self { observation, number, buffer, routes: RefCell::default(), is_over: Cell::new(false) }
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
