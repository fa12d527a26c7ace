//! Which objects there are, of all kinds.
//!
//! An object can go while it waits for its turn, and while the API server takes its status. Whoever orders looks here before:
//! otherwise what is gone would be ordered once more, and nothing would come that ends it.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// By uid.
#[derive(Debug, Default)]
pub(super) struct There(Mutex<HashSet<String>>);

impl There {
    fn lock(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The watch has shown this object.
    pub(super) fn add(&self, uid: Option<String>) {
        self.lock().extend(uid);
    }

    /// The watch, or a list, says that it is no more.
    pub(super) fn remove(&self, uid: &str) {
        self.lock().remove(uid);
    }

    /// Whether it is still there.
    pub(super) fn has(&self, uid: &str) -> bool {
        self.lock().contains(uid)
    }
}
