//! What the two ends of one downstream HTTP connection (its socket and its exchanges) tell each other.
//!
//! Both live on one worker; the atomics are there because the HTTP library wants a connection that can be upgraded to
//! be `Send`. They are uncontended.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::Waker;
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;

/// Milliseconds are counted from here.
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

/// No head is arriving.
const NONE: u64 = u64::MAX;

/// How the upstream answered an offer to switch protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// 101: bytes from now on.
    Tunnel,
    /// Anything else: HTTP goes on.
    Http,
}

/// Shared by the socket, the exchanges and the sweeper of one connection.
#[derive(Debug)]
pub(crate) struct Wire {
    waker: AtomicWaker,
    decision: AtomicU8,
    is_expired: AtomicBool,
    exchanges: AtomicU32,
    idle_since_ms: AtomicU64,
    head_since_ms: AtomicU64,
}

impl Wire {
    pub(crate) fn new() -> Self {
        Self {
            waker: AtomicWaker::new(),
            decision: AtomicU8::new(0),
            is_expired: AtomicBool::new(false),
            exchanges: AtomicU32::new(0),
            idle_since_ms: AtomicU64::new(millis(Instant::now())),
            head_since_ms: AtomicU64::new(NONE),
        }
    }

    /// Asks to be woken by a decision or an expiry.
    pub(crate) fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Tells the socket how an offered upgrade ended.
    pub(crate) fn decide(&self, decision: Decision) {
        self.decision.store(if decision == Decision::Tunnel { 1 } else { 2 }, Relaxed);
        self.waker.wake();
    }

    /// The decision, once.
    pub(crate) fn take_decision(&self) -> Option<Decision> {
        match self.decision.swap(0, Relaxed) {
            1 => Some(Decision::Tunnel),
            2 => Some(Decision::Http),
            _ => None,
        }
    }

    /// Notes whether an incomplete head is waiting for the rest of it.
    pub(crate) fn set_in_head(&self, is_in_head: bool) {
        let was_in_head = self.head_since_ms.load(Relaxed) != NONE;
        if is_in_head != was_in_head {
            self.head_since_ms.store(if is_in_head { millis(Instant::now()) } else { NONE }, Relaxed);
        }
    }

    /// An exchange began.
    pub(crate) fn begin(&self) {
        self.exchanges.fetch_add(1, Relaxed);
    }

    /// An exchange ended.
    pub(crate) fn end(&self, now: Instant) {
        let before = self.exchanges.fetch_sub(1, Relaxed);
        debug_assert!(before > 0, "an exchange ended that did not begin");
        self.idle_since_ms.store(millis(now), Relaxed);
    }

    /// Whether no exchange is going on.
    pub(crate) fn is_idle(&self) -> bool {
        self.exchanges.load(Relaxed) == 0
    }

    /// Whether a time limit ended the connection.
    pub(crate) fn is_expired(&self) -> bool {
        self.is_expired.load(Relaxed)
    }

    /// Ends the connection if it is over one of its limits; called now and then by the worker's sweeper, so that no
    /// request has to set a timer.
    pub(crate) fn sweep(&self, now: Instant, header_timeout: Duration, idle_timeout: Option<Duration>) {
        let now = millis(now);
        let head_since = self.head_since_ms.load(Relaxed);
        let is_head_late = head_since != NONE && now.saturating_sub(head_since) > whole_millis(header_timeout);
        let idle_for = now.saturating_sub(self.idle_since_ms.load(Relaxed));
        let is_idle_long =
            head_since == NONE && self.is_idle() && idle_timeout.is_some_and(|t| idle_for > whole_millis(t));
        if is_head_late || is_idle_long {
            self.expire();
        }
    }

    /// Ends the connection at its next read: an incomplete head is answered, an idle connection is closed.
    pub(crate) fn expire(&self) {
        self.is_expired.store(true, Relaxed);
        self.waker.wake();
    }
}

fn millis(at: Instant) -> u64 {
    whole_millis(at.saturating_duration_since(*EPOCH))
}

fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(NONE - 1)
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
