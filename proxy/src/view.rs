//! A snapshot as one worker sees it: with this worker's counters, balancers and connections.

use std::rc::Rc;
use std::sync::Arc;

use squall_fault::snapshot::{CompiledListener, Snapshot};

use crate::telemetry::shard::{ListenerKey, ListenerShard, Shard};
use crate::upstream::cluster::ClusterState;
use crate::upstream::registry::Registry;

/// A listener of a snapshot. An exchange holds one from its start to its end.
#[derive(Debug)]
pub(crate) struct ListenerView {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) compiled: Arc<CompiledListener>,
    pub(crate) cluster: Rc<ClusterState>,
    pub(crate) shard: Arc<ListenerShard>,
    pub(crate) key: ListenerKey,
    /// The listener is gone from the configuration: its connections are served to their end, without faults.
    is_retired: bool,
}

impl ListenerView {
    /// Whether no rule can match an exchange here: nothing to decide.
    pub(crate) fn http_rules_are_empty(&self) -> bool {
        self.compiled.http_rules.is_empty() || self.is_retired
    }

    /// The same, for the connections that outlive their listener.
    pub(crate) fn retired(&self) -> Self {
        Self {
            snapshot: Arc::clone(&self.snapshot),
            compiled: Arc::clone(&self.compiled),
            cluster: Rc::clone(&self.cluster),
            shard: Arc::clone(&self.shard),
            key: self.key.clone(),
            is_retired: true,
        }
    }
}

/// All listeners and clusters of a snapshot.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) listeners: Vec<Rc<ListenerView>>,
    pub(crate) clusters: Vec<Rc<ClusterState>>,
}

impl View {
    /// Adopts a snapshot. A cluster that did not change keeps its connections and its turn.
    pub(crate) fn adopt(
        snapshot: Arc<Snapshot>,
        previous: Option<&Self>,
        (shard, upstreams): (&Shard, &Arc<Registry>),
    ) -> Self {
        let clusters: Vec<_> = snapshot
            .clusters
            .iter()
            .map(|cluster| {
                let mut known = previous.iter().flat_map(|view| &view.clusters);
                match known.find(|state| state.cluster == *cluster) {
                    Some(state) => Rc::clone(state),
                    None => {
                        let shared = upstreams.cluster(cluster);
                        ClusterState::new(shared, shard.cluster(&cluster.name), snapshot.seed, upstreams)
                    }
                }
            })
            .collect();
        let listeners = snapshot.listeners.iter().map(|compiled| {
            let cluster = Rc::clone(&clusters[compiled.cluster]);
            let listener = &compiled.listener;
            let key = ListenerKey {
                listener: listener.name.clone(),
                cluster: cluster.cluster.name.clone(),
                direction: listener.direction,
            };
            Rc::new(ListenerView {
                snapshot: Arc::clone(&snapshot),
                compiled: Arc::clone(compiled),
                cluster,
                shard: shard.listener(&key),
                key,
                is_retired: false,
            })
        });
        let listeners = listeners.collect();
        Self { snapshot, listeners, clusters }
    }

    /// The listener of this name.
    pub(crate) fn listener(&self, name: &str) -> Option<&Rc<ListenerView>> {
        self.listeners.iter().find(|view| view.key.listener.as_str() == name)
    }
}
