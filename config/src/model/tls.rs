//! TLS of listeners and clusters.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::DestinationHost;

/// A certificate and its private key, as PEM files.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyPairFiles {
    /// The certificate, then those of the authorities between it and the root.
    pub cert: PathBuf,
    /// The private key of the certificate.
    pub key: PathBuf,
}

/// TLS on a listener.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ListenerTls {
    /// It ends here; what is inside is what the listener's protocol says.
    Terminate(ServerTls),
    /// It is looked at and passed on untouched.
    Passthrough,
}

impl ListenerTls {
    /// What is needed to end it here.
    pub fn server(&self) -> Option<&ServerTls> {
        match self {
            Self::Terminate(server) => Some(server),
            Self::Passthrough => None,
        }
    }
}

/// TLS that ends at a listener.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerTls {
    /// What it shows.
    pub identity: KeyPairFiles,
    /// The authorities whose clients it serves; `None` serves clients without a certificate.
    pub client_ca: Option<PathBuf>,
}

/// HTTPS that a forward proxy opens, for the destinations that the operator lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intercept {
    /// Whose; at least one, and never all.
    pub names: Vec<DestinationHost>,
    /// The authority that vouches for them.
    pub authority: KeyPairFiles,
}

impl Intercept {
    /// Whether connections to this host are opened.
    pub fn covers(&self, host: &str) -> bool {
        self.names.iter().any(|name| name.allows(host))
    }
}

/// TLS to the endpoints of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientTls {
    /// The authorities that vouch for the endpoints; `None` takes those of the system.
    pub ca: Option<PathBuf>,
    /// The name or IP address that their certificates must have; `None` takes the host of each endpoint.
    pub server_name: Option<Arc<str>>,
    /// What Squall shows when it is asked who it is.
    pub identity: Option<KeyPairFiles>,
}

impl ServerTls {
    /// Every file that is read for it.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.identity.files().chain(self.client_ca.as_deref())
    }
}

impl ClientTls {
    /// Every file that is read for it.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.identity.iter().flat_map(KeyPairFiles::files).chain(self.ca.as_deref())
    }
}

impl KeyPairFiles {
    /// Both.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        [self.cert.as_path(), self.key.as_path()].into_iter()
    }
}
