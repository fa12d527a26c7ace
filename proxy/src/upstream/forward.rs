//! Upstreams that requests name themselves: a cluster of each destination, made when it is first asked for.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::uri::Scheme;
use http::{Method, Version, request};
use squall_config::model::{Cluster, ClusterProtocol, HostPort};

use super::cluster::{ClusterState, EndpointState};
use super::registry::Registry;
use crate::http::refusal::Refusal;

/// Destinations that one worker remembers; the one that was not used for longest makes room.
const DESTINATIONS_MAX: usize = 256;
/// A destination that nobody asked for so long is forgotten, with its connections.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(300);

/// A cluster whose requests say themselves where they go, or whose connections go on to where they were going, on one worker.
#[derive(Debug)]
pub(crate) struct Forward {
    /// What its destinations have in common.
    of: Rc<ClusterState>,
    registry: Arc<Registry>,
    known: RefCell<Vec<Known>>,
}

#[derive(Debug)]
struct Known {
    target: Target,
    cluster: Rc<ClusterState>,
    used: Instant,
}

impl Forward {
    /// Of a cluster that is such a one.
    pub(crate) fn of(cluster: &Rc<ClusterState>, registry: &Arc<Registry>) -> Option<Rc<Self>> {
        let new = || Self { of: Rc::clone(cluster), registry: Arc::clone(registry), known: RefCell::default() };
        cluster.cluster.has_any_destination().then(|| Rc::new(new()))
    }

    /// The upstream of a request that says itself where it goes, or whose connection was opened on its way to `bound`, or
    /// redirected.
    #[cold]
    pub(crate) fn toward(
        &self,
        bound: Option<&Destination>,
        head: &request::Parts,
        now: Instant,
    ) -> Result<Rc<ClusterState>, Refusal> {
        let has_tls = self.of.cluster.tls.is_some();
        let target = match bound {
            Some(original) if self.of.cluster.is_original_dst => {
                let is_http2 = head.version == Version::HTTP_2;
                // As if nobody stood between the two.
                let protocol = Some(if is_http2 { ClusterProtocol::Http2 } else { ClusterProtocol::Http1 });
                Target { destination: original.clone(), over_tls: has_tls, protocol }
            }
            Some(opened) => Target { destination: opened.clone(), over_tls: true, protocol: None },
            None => Target::of(head)?,
        };
        if target.over_tls && !has_tls {
            return Err(Refusal::NoDestination);
        }
        self.cluster_of(target, now)
    }

    /// The upstream of a connection of bytes that was redirected on its way to `bound`.
    pub(crate) fn toward_original(
        &self,
        bound: Option<&Destination>,
        now: Instant,
    ) -> Result<Rc<ClusterState>, Refusal> {
        let destination = bound.ok_or(Refusal::NoDestination)?.clone();
        self.cluster_of(Target { destination, over_tls: self.of.cluster.tls.is_some(), protocol: None }, now)
    }

    /// The upstream of a destination, when requests may go there.
    fn cluster_of(&self, target: Target, now: Instant) -> Result<Rc<ClusterState>, Refusal> {
        let mut known = self.known.borrow_mut();
        if let Some(found) = known.iter_mut().find(|known| known.target == target) {
            found.used = now;
            return Ok(Rc::clone(&found.cluster));
        }
        let toward = self.of.cluster.toward(target.destination.host_port(), target.over_tls);
        let toward = toward.ok_or(Refusal::DestinationNotAllowed)?;
        let cluster = Cluster { protocol: target.protocol.unwrap_or(toward.protocol), ..toward };
        let shared = self.registry.cluster(&Arc::new(cluster));
        // One endpoint has no turns to draw.
        let cluster = ClusterState::new(shared, Arc::clone(&self.of.shard), 0);
        if known.len() == DESTINATIONS_MAX {
            let oldest = (0..known.len()).min_by_key(|at| known[*at].used).unwrap_or(0);
            known.swap_remove(oldest);
        }
        known.push(Known { target, cluster: Rc::clone(&cluster), used: now });
        Ok(cluster)
    }

    /// Whether this process listens there itself.
    pub(crate) fn leads_back(&self, endpoint: &EndpointState) -> bool {
        endpoint.endpoint().socket().is_some_and(|address| self.registry.own.are_reached_by(address))
    }

    /// Forgets what was not used for long; sweeps the rest.
    pub(crate) fn sweep(&self, now: Instant) {
        let mut known = self.known.borrow_mut();
        known.retain(|known| now.saturating_duration_since(known.used) < FORGOTTEN_AFTER);
        known.iter().for_each(|known| known.cluster.sweep(now));
    }
}

/// Where a request or a connection goes that is not sent to an endpoint of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// Where its connection was going before it was redirected here.
    Original(SocketAddr),
    /// As the client names it.
    Named(HostPort),
}

impl Destination {
    fn host_port(&self) -> HostPort {
        match self {
            Self::Original(address) => HostPort { host: address.ip().to_string().into(), port: address.port() },
            Self::Named(named) => named.clone(),
        }
    }
}

/// Where a request goes, and how.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    destination: Destination,
    /// Squall itself speaks TLS there.
    over_tls: bool,
    /// In place of that of the cluster.
    protocol: Option<ClusterProtocol>,
}

impl Target {
    /// What a request says: in its target (absolute form), or by CONNECT (RFC 9112 §3.2).
    fn of(head: &request::Parts) -> Result<Self, Refusal> {
        let authority = head.uri.authority().ok_or(Refusal::NoDestination)?;
        let over_tls = head.uri.scheme() == Some(&Scheme::HTTPS);
        let port = match authority.port_u16() {
            Some(0) => return Err(Refusal::NoDestination),
            Some(port) => port,
            None if head.method == Method::CONNECT => return Err(Refusal::NoDestination),
            None if over_tls => 443,
            None => 80,
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let destination = Destination::Named(HostPort { host: host.to_ascii_lowercase().into(), port });
        Ok(Self { destination, over_tls, protocol: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_in_targets() {
        let of = |method: &str, target: &str| {
            let head = http::Request::builder().method(method).uri(target).body(()).unwrap().into_parts().0;
            Target::of(&head).map(|target| (target.destination.host_port().to_string(), target.over_tls)).ok()
        };
        for (method, target, expected) in [
            ("GET", "http://API.example/x", Some(("api.example:80", false))),
            ("GET", "http://[::1]:8080/x", Some(("[::1]:8080", false))),
            ("CONNECT", "api.example:443", Some(("api.example:443", false))),
            ("CONNECT", "api.example", None),
            ("GET", "https://api.example/x", Some(("api.example:443", true))),
            ("GET", "/x", None),
            ("GET", "http://api.example:0/x", None),
        ] {
            let found = of(method, target);
            assert_eq!(found.as_ref().map(|(to, over_tls)| (to.as_str(), *over_tls)), expected, "{method} {target}");
        }
    }
}
