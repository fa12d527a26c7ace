//! Clusters and their endpoints.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Name;

/// What a cluster's endpoints speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterProtocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
}

/// A named upstream.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// Unique among clusters.
    pub name: Name,
    /// At least one.
    pub endpoints: Vec<Endpoint>,
    /// What they speak.
    pub protocol: ClusterProtocol,
    /// The longest time to a connection.
    pub connect_timeout: Duration,
    /// An idle upstream connection leaves the pool after this long.
    pub idle_timeout: Duration,
    /// The longest time from a request sent to the head of its response; `None` (default) leaves it to A.
    pub response_timeout: Option<Duration>,
    /// The most idle connections that one worker keeps to one endpoint.
    pub idle_connections_max: usize,
}

/// One address of a cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// `host:port`; the host is a name or an IP address.
    pub address: HostPort,
    /// Free labels that rules may match on.
    pub labels: BTreeMap<String, String>,
    /// Share of the traffic relative to the other endpoints; at least 1.
    pub weight: u32,
}

/// A host (name or IP address, without brackets) and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// Name or IP address.
    pub host: std::sync::Arc<str>,
    /// 1–65535.
    pub port: u16,
}

impl std::fmt::Display for HostPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}
