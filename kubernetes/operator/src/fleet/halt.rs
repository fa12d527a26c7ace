//! Halts of the whole fleet, or of some namespaces.

use super::ordered::Rank;

/// A ClusterHalt.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Halt {
    /// Which of several is told as the reason.
    pub(crate) rank: Rank,
    /// What it is called.
    pub(crate) name: String,
    /// Why.
    pub(crate) reason: String,
    /// In these; empty is in all.
    pub(crate) namespaces: Vec<String>,
}

impl Halt {
    /// Whether pods of this namespace halt.
    pub(crate) fn covers(&self, namespace: &str) -> bool {
        self.namespaces.is_empty() || self.namespaces.iter().any(|covered| covered == namespace)
    }

    /// Why, as sidecars are told.
    pub(super) fn text(&self) -> String {
        match self.reason.as_str() {
            "" => format!("ClusterHalt {}", self.name),
            reason => format!("ClusterHalt {}: {reason}", self.name),
        }
    }
}
