//! What all workers share of a cluster: the endpoints that it has at the moment, how they are, what is open.

use std::net::IpAddr;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use squall_config::model::{Cluster, Endpoint};
use tokio::sync::watch;

use crate::net::own::OwnAddresses;
use crate::tls::certs::Client;
use crate::tls::store::Cell;

use super::caps::{Overflows, SharedCaps};
use super::health::{Health, eject};

/// No name has more addresses than this; what is beyond is left out.
const ADDRESSES_MAX: usize = 256;

/// One address that gets traffic; or a name without one, as a place for what rules and answers have to say of it.
#[derive(Debug)]
pub(crate) struct SharedEndpoint {
    /// As written, with the address that its name stands for here.
    pub(crate) endpoint: Endpoint,
    /// Which of the written endpoints it comes from.
    place: usize,
    pub(crate) health: Health,
}

impl SharedEndpoint {
    pub(crate) fn new(endpoint: Endpoint, place: usize) -> Self {
        Self { endpoint, place, health: Health::default() }
    }

    /// The address that gets the traffic; as written when there is none.
    pub(crate) fn label(&self) -> String {
        self.endpoint.socket().map_or_else(|| self.endpoint.address.to_string(), |socket| socket.to_string())
    }
}

/// The endpoints of a moment.
#[derive(Debug)]
pub(crate) struct Membership {
    /// In the order of the configuration; the addresses of a name in ascending order.
    pub(crate) endpoints: Vec<Arc<SharedEndpoint>>,
    /// A name has not been answered for yet.
    is_resolving: bool,
}

impl Membership {
    /// Whether there is no use in waiting for a name: there is an address, or there will be none soon.
    pub(crate) fn is_settled(&self) -> bool {
        !self.is_resolving || self.endpoints.iter().any(|shared| shared.endpoint.ip.is_some())
    }
}

/// What is known of the name of one written endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Resolution {
    /// It is no name.
    Address,
    Pending,
    Failed,
    Known(Vec<IpAddr>),
}

/// What is counted for the upstream of one name; outlives changes of the cluster.
#[derive(Debug, Default)]
pub(crate) struct UpstreamCounts {
    pub(crate) ejections: AtomicU64,
    pub(crate) overflows: Arc<Overflows>,
}

/// How the traffic fared at an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fared {
    Well,
    Badly,
}

/// A cluster as all workers share it.
#[derive(Debug)]
pub(crate) struct SharedCluster {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) caps: SharedCaps,
    pub(crate) counts: Arc<UpstreamCounts>,
    /// What TLS handshakes use, when it has TLS.
    pub(crate) tls: Option<Arc<Cell<Client>>>,
    /// Where Squall itself listens.
    pub(crate) own: Arc<OwnAddresses>,
    /// By written endpoint.
    resolutions: Mutex<Vec<Resolution>>,
    members: watch::Sender<Arc<Membership>>,
    /// Held while an endpoint is ejected, so that two workers do not eject too many together.
    ejecting: Mutex<()>,
}

impl SharedCluster {
    /// Begins with what `known` already has of the cluster's names.
    pub(crate) fn new(
        cluster: Arc<Cluster>,
        counts: Arc<UpstreamCounts>,
        tls: Option<Arc<Cell<Client>>>,
        known: Option<&Self>,
        own: Arc<OwnAddresses>,
    ) -> Self {
        let resolution = |endpoint: &Endpoint| match endpoint.ip {
            Some(_) => Resolution::Address,
            None => known.and_then(|known| known.addresses_of(endpoint)).map_or(Resolution::Pending, Resolution::Known),
        };
        let resolutions: Vec<_> = cluster.endpoints.iter().map(resolution).collect();
        Self {
            caps: SharedCaps::new(cluster.caps, Arc::clone(&counts.overflows)),
            members: watch::Sender::new(Arc::new(membership(&cluster, &resolutions, &[]))),
            resolutions: Mutex::new(resolutions),
            ejecting: Mutex::default(),
            cluster,
            counts,
            tls,
            own,
        }
    }

    fn addresses_of(&self, endpoint: &Endpoint) -> Option<Vec<IpAddr>> {
        let place = self.cluster.endpoints.iter().position(|own| own.address.host == endpoint.address.host)?;
        match self.resolutions.lock().unwrap_or_else(PoisonError::into_inner).get(place)? {
            Resolution::Known(addresses) => Some(addresses.clone()),
            _ => None,
        }
    }

    /// The endpoints of this moment.
    pub(crate) fn members(&self) -> Arc<Membership> {
        Arc::clone(&self.members.borrow())
    }

    /// Follows the endpoints.
    pub(crate) fn follow(&self) -> watch::Receiver<Arc<Membership>> {
        self.members.subscribe()
    }

    /// The written endpoints that are names.
    pub(crate) fn names(&self) -> impl Iterator<Item = usize> {
        let endpoints = self.cluster.endpoints.iter().enumerate();
        endpoints.filter(|(_, endpoint)| endpoint.ip.is_none()).map(|(place, _)| place)
    }

    /// The name of this written endpoint stands for these addresses. The endpoints whose address stays are the same ones
    /// as before.
    pub(crate) fn resolved(&self, place: usize, mut addresses: Vec<IpAddr>) {
        if addresses.is_empty() {
            return self.unresolved(place);
        }
        addresses.sort_unstable();
        addresses.dedup();
        addresses.truncate(ADDRESSES_MAX);
        self.settle(place, Resolution::Known(addresses));
    }

    /// The name of this written endpoint could not be resolved: what is known of it stays.
    pub(crate) fn unresolved(&self, place: usize) {
        self.settle(place, Resolution::Failed);
    }

    fn settle(&self, place: usize, found: Resolution) {
        let mut resolutions = self.resolutions.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(current) = resolutions.get_mut(place) else { return };
        let is_news = match (&*current, &found) {
            (Resolution::Known(_), Resolution::Failed) => false,
            (before, after) => before != after,
        };
        if !is_news {
            return;
        }
        *current = found;
        let before = self.members();
        self.members.send_replace(Arc::new(membership(&self.cluster, &resolutions, &before.endpoints)));
        drop(resolutions);
        let now: Vec<String> = self.members().endpoints.iter().map(|shared| shared.label()).collect();
        tracing::info!(cluster = %self.cluster.name, endpoints = now.join(" "), "the endpoints changed");
    }

    /// Notes how the traffic fared at an endpoint; ejects it when that was the last straw.
    pub(crate) fn note(&self, shared: &SharedEndpoint, fared: Fared, now: Instant) {
        let Some(rule) = &self.cluster.ejection else { return };
        match fared {
            Fared::Well => shared.health.succeed(),
            Fared::Badly if shared.health.fail(rule, now.into()) => {
                let members = self.members();
                let all = members.endpoints.iter().map(|other| &other.health);
                let one_at_a_time = self.ejecting.lock().unwrap_or_else(PoisonError::into_inner);
                let ejected = eject(&shared.health, all, rule, now.into());
                drop(one_at_a_time);
                let Some(time) = ejected else { return };
                self.counts.ejections.fetch_add(1, Relaxed);
                tracing::warn!(cluster = %self.cluster.name, endpoint = %shared.label(), ?time, "endpoint ejected");
            }
            Fared::Badly => {}
        }
    }
}

/// The endpoints that the cluster has when its names stand for this; those of `before` that stay are kept.
fn membership(cluster: &Cluster, resolutions: &[Resolution], before: &[Arc<SharedEndpoint>]) -> Membership {
    let mut endpoints = Vec::new();
    let mut add = |place: usize, written: &Endpoint, ip: Option<IpAddr>| {
        let same = before.iter().find(|shared| shared.place == place && shared.endpoint.ip == ip);
        let fresh = || Arc::new(SharedEndpoint::new(Endpoint { ip, ..written.clone() }, place));
        endpoints.push(same.map_or_else(fresh, Arc::clone));
    };
    for (place, (written, resolution)) in cluster.endpoints.iter().zip(resolutions).enumerate() {
        match resolution {
            Resolution::Known(addresses) => addresses.iter().for_each(|ip| add(place, written, Some(*ip))),
            _ => add(place, written, written.ip),
        }
    }
    Membership { endpoints, is_resolving: resolutions.contains(&Resolution::Pending) }
}

#[cfg(test)]
mod tests {
    use squall_config::model::{Ejection, HostPort, Name};

    use super::*;

    fn cluster(hosts: &[&str]) -> SharedCluster {
        let endpoint = |host: &&str| Endpoint::new(HostPort { host: (*host).into(), port: 80 });
        let endpoints = hosts.iter().map(endpoint).collect();
        let mut cluster = Cluster::new(Name::new("c").expect("valid"), endpoints);
        cluster.ejection = Some(Ejection {
            consecutive_failures: 1,
            base_time: std::time::Duration::from_secs(60),
            max_percentage: 50,
            server_errors: true,
        });
        SharedCluster::new(Arc::new(cluster), Arc::default(), None, None, Arc::default())
    }

    fn labels(shared: &SharedCluster) -> Vec<String> {
        shared.members().endpoints.iter().map(|endpoint| endpoint.label()).collect()
    }

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn a_name_becomes_its_addresses_and_those_that_stay_are_the_same() {
        let shared = cluster(&["name", "10.1.0.1"]);
        assert_eq!(labels(&shared), ["name:80", "10.1.0.1:80"]);
        assert_eq!(shared.names().collect::<Vec<_>>(), [0]);
        shared.resolved(0, vec![ip(2), ip(1), ip(2)]);
        assert_eq!(labels(&shared), ["10.0.0.1:80", "10.0.0.2:80", "10.1.0.1:80"]);
        let before = shared.members();
        shared.resolved(0, vec![ip(1), ip(2)]);
        assert!(Arc::ptr_eq(&before, &shared.members()), "the order of an answer is no change");
        shared.resolved(0, vec![ip(2), ip(3)]);
        assert_eq!(labels(&shared), ["10.0.0.2:80", "10.0.0.3:80", "10.1.0.1:80"]);
        assert!(Arc::ptr_eq(&before.endpoints[1], &shared.members().endpoints[0]));
        assert!(Arc::ptr_eq(&before.endpoints[2], &shared.members().endpoints[2]));
    }

    #[test]
    fn what_is_known_outlives_failures_and_changes_of_the_cluster() {
        let shared = cluster(&["name"]);
        assert!(!shared.members().is_settled());
        shared.unresolved(0);
        assert!(shared.members().is_settled());
        shared.resolved(0, vec![ip(1)]);
        shared.unresolved(0);
        assert_eq!(labels(&shared), ["10.0.0.1:80"]);
        let next = SharedCluster::new(Arc::clone(&shared.cluster), Arc::default(), None, Some(&shared), Arc::default());
        assert_eq!(labels(&next), ["10.0.0.1:80"]);
    }

    #[test]
    fn half_of_the_endpoints_may_be_out() {
        let shared = cluster(&["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"]);
        let now = Instant::now();
        for endpoint in &shared.members().endpoints {
            shared.note(endpoint, Fared::Badly, now);
        }
        assert_eq!(shared.counts.ejections.load(Relaxed), 2);
    }
}
