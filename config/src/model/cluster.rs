//! Clusters and their endpoints.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::{ClientTls, Destination, HostPort, Name};
use crate::defaults;

/// What a cluster's endpoints speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterProtocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, with prior knowledge or by ALPN.
    Http2,
}

/// A version of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// Text.
    V1,
    /// Binary.
    V2,
}

/// A named upstream.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// Unique among clusters.
    pub name: Name,
    /// At least one, unless there are `destinations` or it is the original one of each connection.
    pub endpoints: Vec<Endpoint>,
    /// Requests say themselves where they go, and may go there; in place of endpoints. Where connections go on to their
    /// original destination, those that belong to this cluster. Empty for every other cluster.
    pub destinations: Vec<Destination>,
    /// Connections go where they were going before they were redirected, in place of endpoints; that of a single one has that
    /// as its endpoint.
    pub is_original_dst: bool,
    /// What they speak.
    pub protocol: ClusterProtocol,
    /// TLS to them; with `destinations`, for requests that Squall itself has to put under TLS.
    pub tls: Option<ClientTls>,
    /// With which PROXY protocol header connections begin; only for HTTP/1 and bytes.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// The longest time to a connection, TLS handshake and all.
    pub connect_timeout: Duration,
    /// An idle upstream connection leaves the pool after this long.
    pub idle_timeout: Duration,
    /// The longest time from the first byte of a response head to its last (HTTP/1).
    pub header_timeout: Duration,
    /// The longest time from a request's arrival to the head of its response; `None` (default) leaves it to A.
    pub response_timeout: Option<Duration>,
    /// The most idle connections that one worker keeps to one endpoint.
    pub idle_connections_max: usize,
    /// Which endpoint is next.
    pub load_balancing: LoadBalancing,
    /// When an endpoint that fails is left alone for a while; `None` (default) never.
    pub ejection: Option<Ejection>,
    /// How endpoints are asked whether they are well; `None` (default) not at all.
    pub health_check: Option<HealthCheck>,
    /// Bounds on what is going on with the upstream at once.
    pub caps: Caps,
    /// The server that resolves names of endpoints; `None` takes those of the system.
    pub dns_server: Option<SocketAddr>,
}

impl Cluster {
    /// A cluster of these endpoints, at least one, with the default of everything else.
    pub fn new(name: Name, endpoints: Vec<Endpoint>) -> Self {
        Self {
            name,
            endpoints,
            destinations: Vec::new(),
            is_original_dst: false,
            protocol: ClusterProtocol::Http1,
            tls: None,
            proxy_protocol: None,
            connect_timeout: defaults::CONNECT_TIMEOUT,
            idle_timeout: defaults::CLUSTER_IDLE_TIMEOUT,
            header_timeout: defaults::HEADER_TIMEOUT,
            response_timeout: None,
            idle_connections_max: defaults::IDLE_CONNECTIONS_MAX,
            load_balancing: LoadBalancing::RoundRobin,
            ejection: None,
            health_check: None,
            caps: Caps::default(),
            dns_server: None,
        }
    }
}

impl Cluster {
    /// The cluster of what goes on to its original destination, with the default of everything else.
    pub(crate) fn of_original_dst(name: Name) -> Self {
        Self { is_original_dst: true, ..Self::new(name, Vec::new()) }
    }

    /// Whether requests say themselves where they go.
    pub fn forwards(&self) -> bool {
        !self.destinations.is_empty() && !self.is_original_dst
    }

    /// Whether it has no endpoints of its own, but one for each destination.
    pub fn has_any_destination(&self) -> bool {
        self.endpoints.is_empty()
    }

    /// The cluster of one destination; `None` when no request may go there, and over TLS when the cluster has none.
    pub fn toward(&self, destination: HostPort, over_tls: bool) -> Option<Self> {
        let is_allowed = self.is_original_dst || self.destinations.iter().any(|allowed| allowed.allows(&destination));
        let endpoints = vec![Endpoint::new(destination)];
        let tls = self.tls.clone().filter(|_| over_tls);
        let is_possible = is_allowed && tls.is_some() == over_tls;
        is_possible.then(|| Self { endpoints, destinations: Vec::new(), tls, ..self.clone() })
    }
}

/// Which endpoint is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadBalancing {
    /// In turn, by weight.
    RoundRobin,
    /// The one of two, drawn by weight, that has less going on for its weight. Each worker looks at its own traffic.
    LeastRequest,
}

/// When an endpoint that fails is left alone for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ejection {
    /// So many failures in a row; at least 1.
    pub consecutive_failures: u32,
    /// The first ejection lasts so long, each that follows soon after another one as much longer.
    pub base_time: Duration,
    /// The most endpoints that are ejected at once, in percent of all: 1–100. One always may be.
    pub max_percentage: u8,
    /// Whether an answer with a status of 500 or more is a failure.
    pub server_errors: bool,
}

/// How endpoints are asked whether they are well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is asked.
    pub probe: Probe,
    /// Time between two checks of one endpoint.
    pub interval: Duration,
    /// A check that takes longer has failed.
    pub timeout: Duration,
    /// So many failed checks in a row take an endpoint out; at least 1.
    pub unhealthy_threshold: u32,
    /// So many good ones bring it back; at least 1.
    pub healthy_threshold: u32,
}

/// What a health check asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// A GET of this path, in the cluster's protocol; any answer from 200 to 399 is a good one.
    Http(http::uri::PathAndQuery),
    /// A connection.
    Tcp,
}

/// Bounds on what is going on with an upstream at once, over all workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// The most connections; `None` (default) has no bound.
    pub connections_max: Option<usize>,
    /// The most exchanges; `None` (default) has no bound.
    pub requests_max: Option<usize>,
    /// The most exchanges that wait for one of the connections.
    pub pending_max: usize,
}

impl Default for Caps {
    fn default() -> Self {
        Self { connections_max: None, requests_max: None, pending_max: defaults::PENDING_MAX }
    }
}

/// One address of a cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// `host:port`; the host is a name or an IP address.
    pub address: HostPort,
    /// The address that the host stands for: itself when it is one, and of a name, once that is resolved, one of those
    /// that it has.
    pub ip: Option<IpAddr>,
    /// Free labels that rules may match on.
    pub labels: BTreeMap<String, String>,
    /// Share of the traffic relative to the other endpoints; at least 1.
    pub weight: u32,
}

impl Endpoint {
    /// An endpoint as it is written, without labels.
    pub fn new(address: HostPort) -> Self {
        let ip = address.host.parse().ok();
        Self { address, ip, labels: BTreeMap::new(), weight: defaults::WEIGHT }
    }

    /// Where to connect to; `None` as long as the name is not resolved.
    pub fn socket(&self) -> Option<SocketAddr> {
        self.ip.map(|ip| SocketAddr::new(ip, self.address.port))
    }

    /// Whether it is this one: by its address as written, or by the one that its name stands for.
    pub fn is_at(&self, address: &HostPort) -> bool {
        address.port == self.address.port
            && (address.host == self.address.host || (self.ip.is_some() && address.host.parse().ok() == self.ip))
    }
}
