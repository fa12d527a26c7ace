//! What objects mean. Checking takes milliseconds, and a spec does not change within a generation.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::ResourceExt as _;
use kube::{Resource, core::ObjectMeta};
use serde::Serialize;
use serde_json::Value;
use squall_config::Problems;

use super::error::{Error, title};

/// What an object means, or what is wrong with it.
pub(super) type Verdict<T> = Arc<Result<T, Problems>>;

/// By the uid of the object: its generation, and what was found.
type Found<T> = HashMap<String, (Option<i64>, Verdict<T>)>;

/// What has been checked, for one generation of each object.
#[derive(Debug)]
pub(super) struct Checked<T>(Mutex<Found<T>>);

impl<T> Default for Checked<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Checked<T> {
    fn lock(&self) -> MutexGuard<'_, Found<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks an object, unless that has been done.
    pub(super) fn of<K>(
        &self,
        object: &K,
        check: impl FnOnce(&Value) -> Result<T, Problems>,
    ) -> Result<Verdict<T>, Error>
    where
        K: Resource<DynamicType = ()> + Serialize,
    {
        let uid = object.uid().unwrap_or_default();
        let ObjectMeta { generation, .. } = object.meta();
        if let Some((_, verdict)) = self.lock().get(&uid).filter(|(checked, _)| checked == generation) {
            return Ok(Arc::clone(verdict));
        }
        let value = serde_json::to_value(object).map_err(|error| Error::Unreadable(title(object), error))?;
        let verdict = Arc::new(check(&value));
        self.lock().insert(uid, (*generation, Arc::clone(&verdict)));
        Ok(verdict)
    }

    /// The object is no more.
    pub(super) fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }
}
