//! Whether the process can do what it is for, and what it still waits for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is missing, by the part that misses it. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Health(Arc<Mutex<BTreeMap<&'static str, String>>>);

impl Health {
    fn missing(&self) -> MutexGuard<'_, BTreeMap<&'static str, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A part cannot do its work, and why.
    pub(crate) fn waits(&self, part: &'static str, why: impl Into<String>) {
        self.missing().insert(part, why.into());
    }

    /// A part can do its work.
    pub(crate) fn is_well(&self, part: &'static str) {
        self.missing().remove(part);
    }

    /// What is missing, a line for each part; `None` when nothing is.
    pub(crate) fn problem(&self) -> Option<String> {
        let missing = self.missing();
        let lines: Vec<String> = missing.iter().map(|(part, why)| format!("{part}: {why}")).collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::Health;

    #[test]
    fn it_is_well_when_every_part_is() {
        let health = Health::default();
        assert_eq!(health.problem(), None);
        health.waits("tls", "no certificate yet");
        health.waits("controller", "no answer of the API server");
        let other = health.clone();
        other.is_well("tls");
        assert_eq!(health.problem().as_deref(), Some("controller: no answer of the API server"));
        other.is_well("controller");
        assert_eq!(health.problem(), None);
    }
}
