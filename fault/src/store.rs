//! The one cell between the writer and the workers.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Cache};

use crate::snapshot::Snapshot;

type Subscriber = Box<dyn Fn(&Arc<Snapshot>) + Send + Sync>;

/// Holds the current snapshot. One writer stores, every worker reads through a [`SnapshotReader`].
pub struct SnapshotStore {
    current: ArcSwap<Snapshot>,
    subscribers: Mutex<Vec<Subscriber>>,
}

impl std::fmt::Debug for SnapshotStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SnapshotStore").field("generation", &self.current.load().generation).finish_non_exhaustive()
    }
}

impl SnapshotStore {
    /// A store that begins with this snapshot.
    pub fn new(first: Snapshot) -> Arc<Self> {
        Arc::new(Self { current: ArcSwap::from_pointee(first), subscribers: Mutex::default() })
    }

    /// The current snapshot, for readers that look rarely.
    pub fn load(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Makes a snapshot current, then tells those that asked with [`Self::on_publish`].
    pub fn publish(&self, snapshot: Arc<Snapshot>) {
        let published = Arc::clone(&snapshot);
        self.current.store(snapshot);
        for tell in self.subscribers.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            tell(&published);
        }
    }

    /// Calls `tell` on the writer's thread after every later publication; it must not block.
    pub fn on_publish(&self, tell: impl Fn(&Arc<Snapshot>) + Send + Sync + 'static) {
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(tell));
    }

    /// A reader for one thread.
    pub fn reader(self: &Arc<Self>) -> SnapshotReader {
        SnapshotReader { cache: Cache::new(StoreAccess(Arc::clone(self))) }
    }
}

struct StoreAccess(Arc<SnapshotStore>);

impl std::ops::Deref for StoreAccess {
    type Target = ArcSwap<Snapshot>;
    fn deref(&self) -> &Self::Target {
        &self.0.current
    }
}

/// Reads the current snapshot without touching a shared cache line while nothing changed.
pub struct SnapshotReader {
    cache: Cache<StoreAccess, Arc<Snapshot>>,
}

impl std::fmt::Debug for SnapshotReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SnapshotReader").finish_non_exhaustive()
    }
}

impl SnapshotReader {
    /// The current snapshot.
    pub fn current(&mut self) -> &Arc<Snapshot> {
        self.cache.load()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;
    use crate::testing::{config, snapshot};

    #[test]
    fn readers_see_what_is_published_and_subscribers_are_told() {
        let store = SnapshotStore::new(snapshot(1, Vec::new()));
        let mut reader = store.reader();
        assert_eq!(reader.current().generation, 1);
        let told = Arc::new(AtomicU64::new(0));
        let teller = Arc::clone(&told);
        store.on_publish(move |snapshot| teller.store(snapshot.generation, Relaxed));
        let next = crate::compile(
            Arc::new(config(Vec::new())),
            Some(&store.load()),
            crate::Stamp { generation: 2, halted: false, seed: 1 },
        );
        store.publish(Arc::new(next));
        assert_eq!((reader.current().generation, store.load().generation, told.load(Relaxed)), (2, 2, 2));
    }
}
