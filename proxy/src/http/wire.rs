//! What a downstream HTTP connection, its exchanges and the worker's sweeper tell each other.

use std::cell::{Cell, RefCell};
use std::task::Waker;
use std::time::{Duration, Instant};

/// Shared by the socket, the exchanges and the sweeper of one connection.
#[derive(Debug)]
pub(crate) struct Wire {
    waker: RefCell<Option<Waker>>,
    is_expired: Cell<bool>,
    exchanges: Cell<u32>,
    idle_since: Cell<Instant>,
    head_since: Cell<Option<Instant>>,
}

impl Wire {
    pub(crate) fn new() -> Self {
        Self {
            waker: RefCell::default(),
            is_expired: Cell::new(false),
            exchanges: Cell::new(0),
            idle_since: Cell::new(Instant::now()),
            head_since: Cell::new(None),
        }
    }

    /// Asks to be woken by an expiry or a drain.
    pub(crate) fn register(&self, waker: &Waker) {
        let mut known = self.waker.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
    }

    /// Makes the connection look at what changed.
    pub(crate) fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Notes whether an incomplete head, or the beginning of HTTP/2, is waiting for the rest of it.
    pub(crate) fn set_in_head(&self, is_in_head: bool) {
        if is_in_head != self.head_since.get().is_some() {
            self.head_since.set(is_in_head.then(Instant::now));
        }
    }

    /// An exchange began.
    pub(crate) fn begin(&self) {
        self.exchanges.set(self.exchanges.get() + 1);
    }

    /// An exchange ended.
    pub(crate) fn end(&self, now: Instant) {
        debug_assert!(self.exchanges.get() > 0, "an exchange ended that did not begin");
        self.exchanges.set(self.exchanges.get().saturating_sub(1));
        self.set_idle_since(now);
    }

    /// Idleness counts from here.
    pub(crate) fn set_idle_since(&self, now: Instant) {
        self.idle_since.set(now);
    }

    /// Whether no exchange is going on.
    pub(crate) fn is_idle(&self) -> bool {
        self.exchanges.get() == 0
    }

    /// Whether a time limit ended the connection.
    pub(crate) fn is_expired(&self) -> bool {
        self.is_expired.get()
    }

    /// Ends the connection if it is over one of its limits; called now and then by the worker's sweeper, so that no
    /// request has to set a timer. At its next look an incomplete head of HTTP/1 is answered, any other connection is closed.
    pub(crate) fn sweep(&self, now: Instant, header_timeout: Duration, idle_timeout: Option<Duration>) {
        let is_over = |since: Instant, limit: Duration| now.saturating_duration_since(since) > limit;
        let is_late = match self.head_since.get() {
            Some(since) => is_over(since, header_timeout),
            None => self.is_idle() && idle_timeout.is_some_and(|limit| is_over(self.idle_since.get(), limit)),
        };
        if is_late {
            self.is_expired.set(true);
            self.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_late_head_and_a_long_idleness_expire() {
        let (wire, start) = (Wire::new(), Instant::now());
        wire.sweep(start + SECOND, SECOND * 2, Some(SECOND * 5));
        assert!(!wire.is_expired());
        wire.set_in_head(true);
        wire.sweep(start + SECOND * 3, SECOND * 2, Some(SECOND * 5));
        assert!(wire.is_expired());

        let wire = Wire::new();
        wire.begin();
        wire.sweep(start + SECOND * 9, SECOND, Some(SECOND * 5));
        assert!(!wire.is_expired(), "an exchange is going on");
        wire.end(start + SECOND * 9);
        wire.sweep(start + SECOND * 13, SECOND, Some(SECOND * 5));
        assert!(!wire.is_expired());
        wire.sweep(start + SECOND * 15, SECOND, None);
        assert!(!wire.is_expired(), "no limit");
        wire.sweep(start + SECOND * 15, SECOND, Some(SECOND * 5));
        assert!(wire.is_expired());
    }
}
