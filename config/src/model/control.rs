//! The control API: where it listens, and who may call it.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::tls::ServerTls;

/// The control API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlApi {
    /// Where it listens.
    pub address: ControlAddress,
    /// The file of the tokens that may call it; `None` asks nobody for one.
    pub token_file: Option<PathBuf>,
    /// What it shows under TLS; `None` is plain HTTP. Never on a Unix socket.
    pub tls: Option<ServerTls>,
}

impl ControlApi {
    /// Without tokens and TLS.
    pub fn at(address: SocketAddr) -> Self {
        Self { address: ControlAddress::Tcp(address), token_file: None, tls: None }
    }

    /// Whether somebody who reaches the address has to show who they are.
    pub(crate) fn asks_who(&self) -> bool {
        self.token_file.is_some() || self.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some())
    }
}

/// Where the control API listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlAddress {
    /// An address and a port; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl ControlAddress {
    /// The address, when it is no socket in the file system.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    /// Whether programs of this machine alone reach it.
    pub fn is_local(&self) -> bool {
        self.tcp().is_none_or(|address| address.ip().to_canonical().is_loopback())
    }
}

impl fmt::Display for ControlAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
