//! How the endpoints of a cluster are, for those who ask.

use std::time::Instant;

use squall_telemetry::EndpointStatus;

use super::health::Condition;
use super::shared::SharedCluster;

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
