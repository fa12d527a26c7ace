//! The controller of a cluster.

use std::path::PathBuf;

use http::Uri;

/// The controller of a cluster, whose orders Squall follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Controller {
    /// Absolute: https, with a host, without user, path and query.
    pub url: Uri,
    /// The authorities that vouch for it; `None` takes those of the system.
    pub ca: Option<PathBuf>,
    /// A file with a bearer token to show.
    pub token_file: Option<PathBuf>,
    /// A file with the labels of the pod, as the downward API writes them.
    pub labels_file: Option<PathBuf>,
}
