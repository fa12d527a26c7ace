//! One proxy.

use serde::{Deserialize, Serialize};

/// What a listener remembers of the proxy that it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyOf {
    /// The proxy's name, which may be any text.
    pub name: String,
    /// Where it leads, as it was written; its cluster's endpoint has a host in any case.
    pub upstream: String,
    /// Where it is to listen, as it was written, while it has not been started yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen: Option<String>,
    /// Whether a document has it, and not Toxiproxy's API alone.
    #[serde(skip)]
    pub is_of_file: bool,
}
