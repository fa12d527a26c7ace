//! One worker's view of a cluster: whose turn it is, and the connections that are open.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, StatusCode};
use rand::RngExt;
use rand_pcg::Pcg32;
use squall_config::model::{Cluster, Endpoint, LoadBalancing};
use tokio::sync::watch;

use super::balancer::{Turn, least_request, round_robin};
use super::caps::ConnectionPermit;
use super::h2::Http2Connection;
use super::health::{Condition, Moment};
use super::pool::{IdleOfSources, IdlePool};
use super::shared::{Fared, Membership, SharedCluster, SharedEndpoint};
use crate::error::{ErrorKind, ProxyError};
use crate::http::request::Hop;
use crate::telemetry::shard::ClusterShard;

/// An endpoint with this worker's connections to it.
#[derive(Debug)]
pub(crate) struct EndpointState {
    pub(crate) shared: Arc<SharedEndpoint>,
    pub(crate) idle: IdlePool,
    /// In its place, when connections begin with a PROXY protocol header.
    pub(crate) idle_of_sources: IdleOfSources,
    pub(crate) http2: Http2Connection,
    turn: Turn,
    group: Arc<SharedCluster>,
}

impl EndpointState {
    fn new(shared: &Arc<SharedEndpoint>, group: &Arc<SharedCluster>) -> Self {
        let cluster = &group.cluster;
        Self {
            shared: Arc::clone(shared),
            idle: IdlePool::new(cluster.idle_timeout, cluster.idle_connections_max),
            idle_of_sources: IdleOfSources::new(cluster.idle_timeout, cluster.idle_connections_max),
            http2: Http2Connection::default(),
            turn: Turn::new(shared.endpoint.weight),
            group: Arc::clone(group),
        }
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.shared.endpoint
    }

    /// Whether it is a name without an address.
    pub(crate) fn is_unresolved(&self) -> bool {
        self.shared.endpoint.ip.is_none()
    }

    /// Whether a connection that is free may be kept for later.
    pub(crate) fn may_keep_idle(&self) -> bool {
        !self.group.caps.has_waiters()
    }
}

/// A cluster on this worker.
#[derive(Debug)]
pub(crate) struct ClusterState {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) shard: Arc<ClusterShard>,
    shared: Arc<SharedCluster>,
    /// At least one, unless there is a way to the destinations of others.
    endpoints: RefCell<Vec<Rc<EndpointState>>>,
    draws: RefCell<Pcg32>,
}

impl ClusterState {
    /// `seed` makes the draws of `least_request` the same in each run.
    pub(crate) fn new(shared: Arc<SharedCluster>, shard: Arc<ClusterShard>, seed: u64) -> Rc<Self> {
        debug_assert!(!shared.cluster.endpoints.is_empty() || shared.cluster.has_any_destination(), "validated");
        let state = Rc::new(Self {
            cluster: Arc::clone(&shared.cluster),
            shard,
            endpoints: RefCell::default(),
            draws: RefCell::new(Pcg32::new(seed, 0)),
            shared,
        });
        state.adopt_members();
        if state.shared.names().next().is_some() {
            tokio::task::spawn_local(follow(Rc::downgrade(&state), state.shared.follow()));
        }
        state
    }

    /// Takes over the endpoints of this moment. Those that stay keep their connections; the others lose theirs, as soon as
    /// the exchanges that use them are over.
    fn adopt_members(&self) {
        let members = self.shared.members();
        let before = self.endpoints.take();
        let state = |shared: &Arc<SharedEndpoint>| {
            let same = before.iter().find(|state| Arc::ptr_eq(&state.shared, shared));
            same.map_or_else(|| Rc::new(EndpointState::new(shared, &self.shared)), Rc::clone)
        };
        self.endpoints.replace(members.endpoints.iter().map(state).collect());
    }

    /// What all workers share of it.
    pub(crate) fn shared(&self) -> &SharedCluster {
        &self.shared
    }

    /// The way to one of its endpoints.
    pub(crate) fn hop<'a>(&self, endpoint: &'a EndpointState) -> Hop<'a> {
        let endpoint = &endpoint.endpoint().address;
        Hop { protocol: self.cluster.protocol, is_tls: self.cluster.tls.is_some(), endpoint }
    }

    /// The endpoint whose turn it is.
    #[inline(always)]
    pub(crate) fn pick(&self, now: Instant) -> Rc<EndpointState> {
        let endpoints = self.endpoints.borrow();
        match endpoints.as_slice() {
            [only] => Rc::clone(only),
            all => self.pick_among(all, now),
        }
    }

    #[inline(never)]
    fn pick_among(&self, all: &[Rc<EndpointState>], now: Instant) -> Rc<EndpointState> {
        Rc::clone(&all[self.choose(all, now.into())])
    }

    /// [`Self::pick`], once a name has an address, or it is known that none has. Waits no longer than a connection may take. To
    /// be boxed, because it happens once.
    pub(crate) async fn pick_resolved(&self, now: Instant) -> Rc<EndpointState> {
        let mut members = self.shared.follow();
        let settled = members.wait_for(|members| members.is_settled());
        // What is not there in time is missed when the endpoint is dialled.
        let _in_time = tokio::time::timeout(self.cluster.connect_timeout, settled).await;
        self.adopt_members();
        self.pick(now)
    }

    /// Among the healthy ones; when none is, among all as if they were: to send nothing anywhere helps nobody.
    fn choose(&self, all: &[Rc<EndpointState>], now: Moment) -> usize {
        let turns = |may: fn(&EndpointState, Moment) -> bool| {
            let chosen = all.iter().enumerate().filter(move |(_, state)| may(state, now));
            chosen.map(|(index, state)| (index, &state.turn))
        };
        let healthy = turns(|s, now| !s.is_unresolved() && s.shared.health.condition(now) == Condition::Healthy);
        let resolved = turns(|s, _| !s.is_unresolved());
        self.next(healthy).or_else(|| self.next(resolved)).or_else(|| self.next(turns(|_, _| true))).unwrap_or(0)
    }

    fn next<'a>(&self, turns: impl Iterator<Item = (usize, &'a Turn)> + Clone) -> Option<usize> {
        match self.cluster.load_balancing {
            LoadBalancing::RoundRobin => round_robin(turns),
            LoadBalancing::LeastRequest => least_request(turns, |bound| self.draws.borrow_mut().random_range(0..bound)),
        }
    }

    /// The right to a new connection. Before others are waited for, connections that idle here are given up.
    pub(crate) async fn admit(&self) -> Result<ConnectionPermit, ProxyError> {
        if self.cluster.caps.connections_max.is_some() && self.shared.caps.is_full() {
            self.each_endpoint(|endpoint| endpoint.idle.clear());
        }
        self.shared.caps.connect(self.cluster.connect_timeout).await
    }

    /// The right to a new connection, at once or not at all.
    pub(crate) fn admit_now(&self) -> Result<ConnectionPermit, ProxyError> {
        self.shared.caps.try_connect()
    }

    /// Closes what idles for too long, and what others wait for.
    pub(crate) fn sweep(&self, now: Instant) {
        let is_wanted = self.shared.caps.has_waiters();
        self.each_endpoint(|endpoint| {
            if is_wanted {
                endpoint.idle.clear();
                endpoint.idle_of_sources.clear();
            } else {
                endpoint.idle.sweep(now);
                endpoint.idle_of_sources.sweep(now);
            }
        });
    }

    fn each_endpoint(&self, act: impl Fn(&EndpointState)) {
        self.endpoints.borrow().iter().for_each(|endpoint| act(endpoint));
    }
}

/// Follows the endpoints of a cluster whose names may change, for as long as the worker has it.
async fn follow(state: Weak<ClusterState>, mut members: watch::Receiver<Arc<Membership>>) {
    while members.changed().await.is_ok() {
        let Some(state) = state.upgrade() else { return };
        state.adopt_members();
    }
}

/// An exchange or connection at an endpoint. Dropping it is its end; without an answer until then it fared badly.
#[derive(Debug)]
#[must_use = "the endpoint counts it as its own until it is dropped"]
pub(crate) struct Assignment {
    pub(crate) endpoint: Rc<EndpointState>,
    /// It is one of the exchanges that the cluster bounds.
    is_counted: bool,
    is_judged: Cell<bool>,
}

impl Assignment {
    /// A connection.
    pub(crate) fn of_connection(endpoint: Rc<EndpointState>) -> Self {
        Self::begin(endpoint, false)
    }

    /// An exchange, unless there are too many.
    pub(crate) fn of_exchange(endpoint: Rc<EndpointState>) -> Result<Self, ProxyError> {
        let is_counted = endpoint.group.caps.begin_request()?;
        Ok(Self::begin(endpoint, is_counted))
    }

    fn begin(endpoint: Rc<EndpointState>, is_counted: bool) -> Self {
        let open = &endpoint.turn.open;
        open.set(open.get() + 1);
        Self { endpoint, is_counted, is_judged: Cell::new(false) }
    }

    /// The head of an answer came, from the upstream or from a rule.
    pub(crate) fn answered(&self, status: StatusCode, headers: &HeaderMap) {
        if let Some(rule) = &self.endpoint.group.cluster.ejection {
            let is_bad = rule.server_errors && (status.is_server_error() || is_grpc_failure(headers));
            self.judge(if is_bad { Fared::Badly } else { Fared::Well });
        }
    }

    /// There is no answer.
    pub(crate) fn failed(&self, kind: ErrorKind) {
        match kind {
            // Neither is the doing of this endpoint.
            ErrorKind::ResolveFailed | ErrorKind::Overflow | ErrorKind::Panic => self.spare(),
            _ => self.judge(Fared::Badly),
        }
    }

    /// The end of it, whatever it was, says nothing about the endpoint.
    pub(crate) fn spare(&self) {
        self.is_judged.set(true);
    }

    /// Notes once how it fared.
    #[inline(always)]
    pub(crate) fn judge(&self, fared: Fared) {
        let group = &self.endpoint.group;
        if group.cluster.ejection.is_some() && !self.is_judged.replace(true) {
            group.note(&self.endpoint.shared, fared, Instant::now());
        }
    }
}

impl Drop for Assignment {
    fn drop(&mut self) {
        let open = &self.endpoint.turn.open;
        debug_assert!(open.get() > 0, "what was opened ends once");
        open.set(open.get() - 1);
        if self.is_counted {
            self.endpoint.group.caps.end_request();
        }
        self.judge(Fared::Badly);
    }
}

/// A gRPC answer that has its status in its head: UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE or DATA_LOSS.
fn is_grpc_failure(headers: &HeaderMap) -> bool {
    headers.get("grpc-status").is_some_and(|status| matches!(status.as_bytes(), b"2" | b"4" | b"13" | b"14" | b"15"))
}
