//! One worker's view of a cluster: whose turn it is, and the connections that are open.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use squall_config::model::{Cluster, Endpoint};

use super::h2::Http2Connection;
use super::pool::IdlePool;
use crate::telemetry::shard::ClusterShard;

/// An endpoint with this worker's connections to it.
#[derive(Debug)]
pub(crate) struct EndpointState {
    pub(crate) endpoint: Endpoint,
    pub(crate) idle: IdlePool,
    pub(crate) http2: Http2Connection,
}

/// A cluster on this worker.
#[derive(Debug)]
pub(crate) struct ClusterState {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) endpoints: Vec<Rc<EndpointState>>,
    pub(crate) shard: Arc<ClusterShard>,
    /// Smooth weighted round robin: the current weight of each endpoint.
    current: Vec<Cell<i64>>,
    total_weight: i64,
}

impl ClusterState {
    pub(crate) fn new(cluster: Arc<Cluster>, shard: Arc<ClusterShard>) -> Self {
        debug_assert!(!cluster.endpoints.is_empty(), "validated");
        let state = |endpoint: &Endpoint| {
            let idle = IdlePool::new(cluster.idle_timeout, cluster.idle_connections_max);
            Rc::new(EndpointState { endpoint: endpoint.clone(), idle, http2: Http2Connection::default() })
        };
        Self {
            endpoints: cluster.endpoints.iter().map(state).collect(),
            current: cluster.endpoints.iter().map(|_| Cell::new(0)).collect(),
            total_weight: cluster.endpoints.iter().map(|e| i64::from(e.weight)).sum(),
            cluster,
            shard,
        }
    }

    /// The endpoint whose turn it is, with its place in the cluster: round robin, evenly interleaved by weight (the algorithm of nginx's upstream
    /// module: the endpoint with the largest current weight is taken and pays the total).
    pub(crate) fn pick(&self) -> (usize, &Rc<EndpointState>) {
        if let [only] = self.endpoints.as_slice() {
            return (0, only);
        }
        let mut best = 0;
        for (i, state) in self.endpoints.iter().enumerate() {
            self.current[i].set(self.current[i].get() + i64::from(state.endpoint.weight));
            if self.current[i].get() > self.current[best].get() {
                best = i;
            }
        }
        self.current[best].set(self.current[best].get() - self.total_weight);
        (best, &self.endpoints[best])
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use squall_config::model::{ClusterProtocol, HostPort, Name};

    use super::*;

    fn cluster(weights: &[u32]) -> ClusterState {
        let endpoint = |(i, weight): (usize, &u32)| Endpoint {
            address: HostPort { host: "h".into(), port: u16::try_from(i).expect("small") + 1 },
            labels: Default::default(),
            weight: *weight,
        };
        let cluster = Cluster {
            name: Name::new("c").expect("valid"),
            endpoints: weights.iter().enumerate().map(endpoint).collect(),
            protocol: ClusterProtocol::Http1,
            connect_timeout: Duration::from_secs(1),
            idle_timeout: Duration::from_secs(1),
            response_timeout: None,
            idle_connections_max: 1,
        };
        ClusterState::new(Arc::new(cluster), Arc::default())
    }

    fn picks(cluster: &ClusterState, n: usize) -> Vec<u16> {
        (0..n).map(|_| cluster.pick().1.endpoint.address.port).collect()
    }

    #[test]
    fn turns_are_even_and_interleaved_by_weight() {
        assert_eq!(picks(&cluster(&[1]), 3), [1, 1, 1]);
        assert_eq!(picks(&cluster(&[1, 1, 1]), 6), [1, 2, 3, 1, 2, 3]);
        assert_eq!(picks(&cluster(&[5, 1, 1]), 7), [1, 1, 2, 1, 3, 1, 1]);
    }
}
