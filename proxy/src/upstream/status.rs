//! How the endpoints of a cluster are, for those who ask.

use std::net::SocketAddr;
use std::time::Instant;

use squall_config::model::Endpoint;

use super::health::Condition;
use super::shared::SharedCluster;

/// One endpoint: an address, or a name that has none.
#[derive(Clone, Debug)]
pub struct EndpointStatus {
    /// As it is written, with its labels and its weight.
    pub written: Endpoint,
    /// Where its traffic goes; `None` when the name has no address.
    pub address: Option<SocketAddr>,
    /// `healthy`, `ejected`, `failing` (its health checks fail) or `unresolved`.
    pub health: &'static str,
}

/// The endpoints of a cluster.
pub(crate) fn endpoints(cluster: &SharedCluster, now: Instant) -> Vec<EndpointStatus> {
    let members = cluster.members();
    let status = members.endpoints.iter().map(|shared| EndpointStatus {
        written: shared.endpoint.clone(),
        address: shared.endpoint.socket(),
        health: match shared.health.condition(now.into()) {
            _ if shared.endpoint.ip.is_none() => "unresolved",
            Condition::Healthy => "healthy",
            Condition::Ejected => "ejected",
            Condition::Failing => "failing",
        },
    });
    status.collect()
}
