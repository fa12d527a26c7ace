//! Listeners.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Intercept, ListenerTls, Name, ServerNames};

/// Which side of Service A a listener stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Calls to A.
    Inbound,
    /// Calls that A makes.
    Outbound,
}

impl Direction {
    /// The metric label and the word of the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

/// What a listener expects downstream to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerProtocol {
    /// HTTP/1.1, and HTTP/2 by prior knowledge.
    Http,
    /// Bytes.
    Tcp,
    /// HTTP/1, the HTTP/2 preface, else bytes; silence for `detect_timeout` means bytes.
    Auto,
}

/// A socket that accepts downstream connections.
#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    /// Unique among listeners.
    pub name: Name,
    /// Port 0 lets the system choose.
    pub address: SocketAddr,
    /// One that is not accepts nothing.
    pub is_enabled: bool,
    /// Which side of A.
    pub direction: Direction,
    /// What downstream speaks.
    pub protocol: ListenerProtocol,
    /// The cluster that gets the traffic; exists.
    pub cluster: Name,
    /// Whether clients speak TLS.
    pub tls: Option<ListenerTls>,
    /// The clusters, which exist, that get the traffic for some server names instead; empty without `tls`.
    pub server_names: ServerNames,
    /// The HTTPS that is opened here on its way to destinations; only with such a cluster, and without `tls`.
    pub intercept: Option<Intercept>,
    /// How connections go on to where they were going; only with such a cluster.
    pub original_dst: Option<OriginalDst>,
    /// Whether connections begin with a PROXY protocol header.
    pub accepts_proxy_protocol: bool,
    /// The longest time from the first byte of a request head to its last, and of a TLS handshake.
    pub header_timeout: Duration,
    /// A downstream connection without an exchange (HTTP) or a byte (TCP) for this long is closed; `None` never.
    pub idle_timeout: Option<Duration>,
    /// A client that is waited for within an exchange, and moves nothing for this long (at most twice that), is cut: the body
    /// of a request that is not answered yet, or the rest of an answer. `None` never.
    pub stall_timeout: Option<Duration>,
    /// How long `auto` waits for the first byte before it takes the connection for TCP.
    pub detect_timeout: Duration,
    /// Counts the starts of a listener that was made at run time and whose connections end with it: when it is gone, or
    /// another start of it is there. `None` lets them live to their end.
    pub start: Option<u64>,
}

/// What a listener does with connections that were redirected to it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OriginalDst {
    /// The clusters, beside that of the listener, that some of the destinations belong to; in the order of the file.
    pub clusters: Vec<Name>,
    /// Connections to these ports are bytes, whatever comes first.
    pub opaque_ports: Vec<u16>,
    /// They come by TPROXY: the address that they came to is the one that they were going to.
    pub is_transparent: bool,
}

impl Listener {
    /// Every cluster, besides its own, that some of its traffic goes to; perhaps several times.
    pub fn other_clusters(&self) -> impl Iterator<Item = &Name> {
        self.server_names.clusters().chain(self.original_dst.iter().flat_map(|original| &original.clusters))
    }

    /// Whether TLS handshakes of clients end here.
    pub fn ends_tls(&self) -> bool {
        self.intercept.is_some() || self.tls.as_ref().is_some_and(|tls| tls.server().is_some())
    }

    /// Whether some of its traffic goes to this cluster.
    pub fn leads_to(&self, cluster: &Name) -> bool {
        self.cluster == *cluster || self.other_clusters().any(|other| other == cluster)
    }
}
