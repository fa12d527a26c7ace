//! Toxiproxy's HTTP API.

use std::net::SocketAddr;

/// Toxiproxy's HTTP API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToxiproxyApi {
    /// Where it listens; port 0 lets the system choose.
    pub address: SocketAddr,
    /// Whether it serves whoever reaches it; else only this machine, and where there is a token file only who has a token.
    pub is_open: bool,
}
