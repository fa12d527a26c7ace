//! The clusters of the process, each once, however many workers use it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use squall_config::model::{Cluster, Name};

use super::shared::{SharedCluster, UpstreamCounts};
use super::upkeep::Upkeep;
use crate::net::own::OwnAddresses;
use crate::tls::store::TlsStore;

/// Finds the shared half of a cluster. It lives as long as a worker uses it.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    /// Where no request may be sent.
    pub(crate) own: Arc<OwnAddresses>,
    known: Mutex<Vec<Weak<SharedCluster>>>,
    counts: Mutex<HashMap<Name, Arc<UpstreamCounts>>>,
    /// What TLS handshakes use, also those of listeners.
    pub(crate) tls: Arc<TlsStore>,
    upkeep: Upkeep,
}

impl Registry {
    /// Empty.
    pub(crate) fn new(tls: Arc<TlsStore>) -> Self {
        Self { tls, ..Self::default() }
    }

    /// The shared half of a cluster that is exactly this one. The first one who asks for it has its names resolved and its
    /// endpoints checked from now on.
    pub(crate) fn cluster(&self, cluster: &Arc<Cluster>) -> Arc<SharedCluster> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|shared| shared.strong_count() > 0);
        let living: Vec<_> = known.iter().filter_map(Weak::upgrade).collect();
        if let Some(shared) = living.iter().find(|shared| shared.cluster == *cluster) {
            return Arc::clone(shared);
        }
        // A cluster that changed begins with the addresses of the names that it had before.
        let namesake = living.iter().rfind(|shared| shared.cluster.name == cluster.name);
        let counts = self.counts(&cluster.name);
        let shared = Arc::new(SharedCluster::new(
            Arc::clone(cluster),
            counts,
            self.tls.client(cluster),
            namesake.map(AsRef::as_ref),
            Arc::clone(&self.own),
        ));
        known.push(Arc::downgrade(&shared));
        self.upkeep.begin(&shared);
        shared
    }

    /// The shared half of a cluster that is exactly this one, when a worker uses it.
    pub(crate) fn find(&self, cluster: &Cluster) -> Option<Arc<SharedCluster>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().filter_map(Weak::upgrade).find(|shared| *shared.cluster == *cluster)
    }

    fn counts(&self, name: &Name) -> Arc<UpstreamCounts> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(counts.entry(name.clone()).or_default())
    }
}
