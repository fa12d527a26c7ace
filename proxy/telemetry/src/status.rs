//! How endpoints and certificates are at the moment.

use std::net::SocketAddr;
use std::path::PathBuf;

use squall_config::model::Endpoint;

/// An address that a cluster has at the moment, or a name of it that has none.
#[derive(Clone, Debug)]
pub struct EndpointStatus {
    /// As it is written, with its labels and its weight.
    pub written: Endpoint,
    /// Where its traffic goes; `None` when the name has no address.
    pub address: Option<SocketAddr>,
    /// `healthy`, `ejected`, `failing` (its health checks fail) or `unresolved`.
    pub health: &'static str,
}

/// A certificate of the configuration, as it is in use.
#[derive(Clone, Debug)]
pub struct CertificateStatus {
    /// What shows it: `listener`, `cluster` or `control`.
    pub kind: &'static str,
    /// The name of that; `api` for the control API.
    pub name: String,
    /// The file that it was read from.
    pub file: PathBuf,
    /// When its time ends, in seconds of Unix time; `None` when none was loaded.
    pub not_after: Option<i64>,
    /// What is wrong with the files as they are now; then those before are in use.
    pub error: Option<String>,
}
