//! The statuses that were written last.
//!
//! What is watched is a moment old: without this, an object that is looked at again before its own status has come back would
//! begin anew.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// By the uid of the object.
#[derive(Debug)]
pub(super) struct Told<S>(Mutex<HashMap<String, S>>);

impl<S> Default for Told<S> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<S: Clone> Told<S> {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was written last, by this process or by the one before.
    pub(super) fn last(&self, uid: &str, watched: Option<&S>) -> Option<S> {
        self.lock().get(uid).or(watched).cloned()
    }

    /// It has been written.
    pub(super) fn set(&self, uid: &str, status: S) {
        self.lock().insert(uid.to_owned(), status);
    }

    /// The object is no more.
    pub(super) fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }
}
