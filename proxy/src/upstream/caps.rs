//! Bounds on what is going on with one upstream at once, over all workers.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::Duration;

use squall_config::model::Caps;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{ErrorKind, ProxyError};

/// Labels of the bounds.
pub(crate) const CAPS: [&str; 3] = ["connections", "pending", "requests"];

/// What was turned away, by bound; outlives changes of the cluster.
#[derive(Debug, Default)]
pub(crate) struct Overflows([AtomicU64; CAPS.len()]);

impl Overflows {
    /// So many, in the order of [`CAPS`].
    pub(crate) fn get(&self) -> [u64; CAPS.len()] {
        self.0.each_ref().map(|count| count.load(Relaxed))
    }

    fn count(&self, cap: &'static str) -> ProxyError {
        if let Some(index) = CAPS.iter().position(|label| *label == cap) {
            self.0[index].fetch_add(1, Relaxed);
        }
        ProxyError::caused_by(ErrorKind::Overflow, format!("too many {cap}"))
    }
}

/// The right to a connection, for as long as it is open; nothing where there is no bound, which is why it is boxed: it moves
/// with every connection.
pub(crate) type ConnectionPermit = Option<Box<OwnedSemaphorePermit>>;

/// What one cluster has open. Relaxed: the counts guard no other memory.
#[derive(Debug)]
pub(crate) struct SharedCaps {
    caps: Caps,
    connections: Option<Arc<Semaphore>>,
    pending: AtomicUsize,
    requests: AtomicUsize,
    overflows: Arc<Overflows>,
}

impl SharedCaps {
    pub(crate) fn new(caps: Caps, overflows: Arc<Overflows>) -> Self {
        let permits = caps.connections_max.map(|max| Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS))));
        Self { caps, connections: permits, pending: AtomicUsize::new(0), requests: AtomicUsize::new(0), overflows }
    }

    /// The right to one more connection, at once or not at all.
    pub(crate) fn try_connect(&self) -> Result<ConnectionPermit, ProxyError> {
        let Some(permits) = &self.connections else { return Ok(None) };
        let permit = Arc::clone(permits).try_acquire_owned().map_err(|_full| self.overflows.count("connections"))?;
        Ok(Some(Box::new(permit)))
    }

    /// The right to one more connection; waits for it within `limit`, unless enough others do.
    pub(crate) async fn connect(&self, limit: Duration) -> Result<ConnectionPermit, ProxyError> {
        let Some(permits) = &self.connections else { return Ok(None) };
        if let Ok(permit) = Arc::clone(permits).try_acquire_owned() {
            return Ok(Some(Box::new(permit)));
        }
        if self.caps.pending_max == 0 {
            return Err(self.overflows.count("connections"));
        }
        let Some(_waiting) = Slot::take(&self.pending, self.caps.pending_max) else {
            return Err(self.overflows.count("pending"));
        };
        match tokio::time::timeout(limit, Arc::clone(permits).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Some(Box::new(permit))),
            // It is never closed; the time was up.
            Ok(Err(_)) | Err(_) => Err(self.overflows.count("connections")),
        }
    }

    /// Whether no connection is left.
    pub(crate) fn is_full(&self) -> bool {
        self.connections.as_ref().is_some_and(|permits| permits.available_permits() == 0)
    }

    /// Whether somebody waits for a connection, so that none should be kept idle.
    pub(crate) fn has_waiters(&self) -> bool {
        self.pending.load(Relaxed) > 0
    }

    /// Begins an exchange, which is to be given back to [`Self::end_request`]; whether it counts.
    pub(crate) fn begin_request(&self) -> Result<bool, ProxyError> {
        let Some(max) = self.caps.requests_max else { return Ok(false) };
        match add_below(&self.requests, max) {
            true => Ok(true),
            false => Err(self.overflows.count("requests")),
        }
    }

    /// Ends an exchange that counts.
    pub(crate) fn end_request(&self) {
        let before = self.requests.fetch_sub(1, Relaxed);
        debug_assert!(before > 0, "an exchange ends once");
    }
}

fn add_below(count: &AtomicUsize, max: usize) -> bool {
    count.fetch_update(Relaxed, Relaxed, |n| (n < max).then_some(n + 1)).is_ok()
}

/// A place in a bounded count; given back on drop.
#[derive(Debug)]
struct Slot<'a>(&'a AtomicUsize);

impl<'a> Slot<'a> {
    fn take(count: &'a AtomicUsize, max: usize) -> Option<Self> {
        add_below(count, max).then(|| Self(count))
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let before = self.0.fetch_sub(1, Relaxed);
        debug_assert!(before > 0, "a place is given back once");
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn caps(connections: usize, pending: usize) -> SharedCaps {
        let caps = Caps { connections_max: Some(connections), requests_max: Some(2), pending_max: pending };
        SharedCaps::new(caps, Arc::default())
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn waiters_get_what_is_given_back_and_no_more_than_may_wait() {
        let caps = caps(1, 1);
        let held = caps.connect(SECOND).await.expect("the first one");
        assert!(caps.try_connect().is_err() && !caps.has_waiters());
        let mut waiting = std::pin::pin!(caps.connect(SECOND));
        assert!(waiting.as_mut().now_or_never().is_none() && caps.has_waiters());
        assert!(caps.connect(SECOND).now_or_never().expect("at once").is_err());
        drop(held);
        let held = waiting.await.expect("it was given back");
        assert!(!caps.has_waiters());
        assert!(caps.connect(Duration::from_millis(20)).await.is_err(), "nothing is given back in time");
        drop(held);
        assert_eq!(caps.overflows.get(), [2, 1, 0]);
    }

    #[test]
    fn exchanges_are_bounded() {
        let caps = caps(1, 0);
        let begin = || caps.begin_request().map_err(|error| error.kind);
        assert_eq!([begin(), begin(), begin()], [Ok(true), Ok(true), Err(ErrorKind::Overflow)]);
        caps.end_request();
        assert_eq!(begin(), Ok(true));
        assert_eq!(caps.overflows.get(), [0, 0, 1]);
    }
}
