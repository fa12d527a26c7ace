//! A snapshot as one worker sees it: with this worker's counters, balancers and connections.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use http::request;
use squall_config::model::Cluster;
use squall_fault::snapshot::{CompiledListener, Snapshot, Sought};

use crate::http::refusal::Refusal;
use crate::telemetry::shard::{ListenerKey, ListenerShard, Shard};
use crate::tls::authority::Authority;
use crate::tls::certs::Server;
use crate::tls::store::{Cell, TlsStore};
use crate::upstream::cluster::ClusterState;
use crate::upstream::forward::{Destination, Forward};
use crate::upstream::registry::Registry;

/// A listener of a snapshot. An exchange holds one from its start to its end.
#[derive(Debug)]
pub(crate) struct ListenerView {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) compiled: Arc<CompiledListener>,
    pub(crate) cluster: Rc<ClusterState>,
    /// Requests say themselves where they go, or connections go on to where they were going.
    pub(crate) forward: Option<Rc<Forward>>,
    pub(crate) shard: Arc<ListenerShard>,
    pub(crate) key: ListenerKey,
    /// What TLS handshakes use, when TLS ends here.
    pub(crate) tls: Option<Arc<Cell<Server>>>,
    /// What makes certificates, when HTTPS to some destinations is opened here.
    pub(crate) authority: Option<Arc<Cell<Authority>>>,
    /// This listener with other clusters, in the order of [`CompiledListener::routes`].
    routes: Vec<Rc<Self>>,
    /// The listener is gone from the configuration: its connections are served to their end, without faults.
    is_retired: bool,
}

impl ListenerView {
    /// Whether no rule can match an exchange here: nothing to decide.
    pub(crate) fn http_rules_are_empty(&self) -> bool {
        self.compiled.http_rules.is_empty() || self.is_retired
    }

    /// What a connection that asks for this server name gets.
    pub(crate) fn route(self: &Rc<Self>, server_name: Option<&str>) -> &Rc<Self> {
        self.belonging(Sought { server_name, ..Sought::default() })
    }

    /// What an exchange or a connection belongs to.
    pub(crate) fn belonging(self: &Rc<Self>, sought: Sought<'_>) -> &Rc<Self> {
        self.compiled.route(sought).and_then(|route| self.routes.get(route)).unwrap_or(self)
    }

    /// Whether it is true of any cluster that connections may go to.
    pub(crate) fn any(&self, test: impl Fn(&Self) -> bool) -> bool {
        test(self) || self.routes.iter().any(|route| test(route))
    }

    /// The upstream of a request that says itself where it goes, or whose connection was opened on its way to `bound`, or
    /// redirected; `None` when it is the listener's cluster.
    #[inline]
    pub(crate) fn toward(
        &self,
        bound: Option<&Destination>,
        head: &request::Parts,
        now: Instant,
    ) -> Result<Option<Rc<ClusterState>>, Refusal> {
        match (&self.forward, bound) {
            (None, None) => Ok(None),
            // The cluster is another one by now than when the connection was opened.
            (None, Some(_)) => Err(Refusal::DestinationNotAllowed),
            (Some(forward), bound) => forward.toward(bound, head, now).map(Some),
        }
    }

    /// This listener, for the connections that outlive it.
    pub(crate) fn retired(&self) -> Self {
        Self {
            snapshot: Arc::clone(&self.snapshot),
            compiled: Arc::clone(&self.compiled),
            cluster: Rc::clone(&self.cluster),
            forward: self.forward.clone(),
            shard: Arc::clone(&self.shard),
            key: self.key.clone(),
            tls: self.tls.clone(),
            authority: self.authority.clone(),
            routes: Vec::new(),
            is_retired: true,
        }
    }
}

/// What views of listeners are put together from.
struct Parts<'a> {
    snapshot: &'a Arc<Snapshot>,
    clusters: &'a [ClusterView],
    shard: &'a Shard,
    tls: &'a TlsStore,
}

impl Parts<'_> {
    fn listener(&self, compiled: &Arc<CompiledListener>) -> Rc<ListenerView> {
        let ClusterView { state: cluster, forward } = self.clusters[compiled.cluster].clone();
        let listener = &compiled.listener;
        let key = ListenerKey {
            listener: listener.name.clone(),
            cluster: cluster.cluster.name.clone(),
            direction: listener.direction,
        };
        Rc::new(ListenerView {
            snapshot: Arc::clone(self.snapshot),
            compiled: Arc::clone(compiled),
            cluster,
            forward,
            shard: self.shard.listener(&key),
            tls: self.tls.server(listener),
            authority: self.tls.authority(listener),
            routes: compiled.routes.iter().map(|route| self.listener(route)).collect(),
            key,
            is_retired: false,
        })
    }
}

/// A cluster of a snapshot.
#[derive(Clone, Debug)]
struct ClusterView {
    state: Rc<ClusterState>,
    forward: Option<Rc<Forward>>,
}

impl ClusterView {
    fn new(cluster: &Arc<Cluster>, seed: u64, shard: &Shard, upstreams: &Arc<Registry>) -> Self {
        let state = ClusterState::new(upstreams.cluster(cluster), shard.cluster(&cluster.name), seed);
        Self { forward: Forward::of(&state, upstreams), state }
    }
}

/// All listeners and clusters of a snapshot.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) listeners: Vec<Rc<ListenerView>>,
    clusters: Vec<ClusterView>,
}

impl View {
    /// Adopts a snapshot. A cluster that did not change keeps its connections and its turn.
    pub(crate) fn adopt(
        snapshot: Arc<Snapshot>,
        previous: Option<&Self>,
        shard: &Shard,
        upstreams: &Arc<Registry>,
    ) -> Self {
        let clusters: Vec<_> = snapshot
            .clusters
            .iter()
            .map(|cluster| {
                let mut known = previous.iter().flat_map(|view| &view.clusters);
                let same = known.find(|view| view.state.cluster == *cluster);
                same.cloned().unwrap_or_else(|| ClusterView::new(cluster, snapshot.seed, shard, upstreams))
            })
            .collect();
        let parts = Parts { snapshot: &snapshot, clusters: &clusters, shard, tls: &upstreams.tls };
        let listeners = snapshot.listeners.iter().map(|compiled| parts.listener(compiled)).collect();
        Self { snapshot, listeners, clusters }
    }

    /// Closes what idles for too long on the way to upstreams.
    pub(crate) fn sweep(&self, now: Instant) {
        for ClusterView { state, forward } in &self.clusters {
            state.sweep(now);
            if let Some(forward) = forward {
                forward.sweep(now);
            }
        }
    }

    /// The listener of this name.
    pub(crate) fn listener(&self, name: &str) -> Option<&Rc<ListenerView>> {
        self.listeners.iter().find(|view| view.key.listener.as_str() == name)
    }

    /// The listener of this name, for a connection that asked for this server name.
    pub(crate) fn route(&self, name: &str, server_name: Option<&str>) -> Option<&Rc<ListenerView>> {
        self.listener(name).map(|listener| listener.route(server_name))
    }
}
