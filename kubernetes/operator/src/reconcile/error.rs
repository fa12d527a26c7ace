//! What goes wrong with an object.

use kube::{Resource, ResourceExt as _};

/// Why an object is not reconciled; it is tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The API server does not take a status.
    #[error("the status of {0} cannot be written")]
    Status(String, #[source] kube::Error),
    /// An object that cannot be written as JSON.
    #[error("{0} cannot be read")]
    Unreadable(String, #[source] serde_json::Error),
}

/// For people: what and where.
pub(super) fn title<K: Resource<DynamicType = ()>>(object: &K) -> String {
    let (kind, name) = (K::kind(&()), object.name_any());
    match object.namespace() {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}
