//! Which listeners a rule can meet, and what is spoken there.

use crate::model::{Cluster, Endpoint, EndpointMatch, Listener, ListenerProtocol, Match};

use super::context::Context;
use super::labels::has_labels;

/// The listeners that a rule can meet.
pub(crate) struct Meets<'a> {
    listeners: Vec<&'a Listener>,
    /// Whether the rule names its listener.
    is_named: bool,
}

impl<'a> Meets<'a> {
    /// By listener, direction, cluster and endpoint; what a request or a connection is like is not known yet.
    pub(crate) fn of(matches: &Match, context: &Context<'a>) -> Self {
        let has_endpoint = |listener: &Listener| match &matches.endpoint {
            None => true,
            Some(wanted) => context.clusters.iter().any(|c| listener.leads_to(&c.name) && may_have(c, wanted)),
        };
        let is_met = |listener: &&Listener| {
            matches.listener.as_ref().is_none_or(|name| *name == listener.name)
                && matches.direction.is_none_or(|direction| direction == listener.direction)
                && matches.cluster.as_ref().is_none_or(|name| listener.leads_to(name))
                && has_endpoint(listener)
        };
        Self { listeners: context.listeners.iter().filter(is_met).collect(), is_named: matches.listener.is_some() }
    }

    /// Whether TLS ends at one of them.
    pub(crate) fn ends_tls(&self) -> bool {
        self.listeners.iter().any(|listener| listener.ends_tls())
    }

    /// Says so when there is TCP alone. A rule that meets no listener at all can be right for one that is still to come.
    pub(crate) fn only_tcp(&self) -> Option<String> {
        self.only(ListenerProtocol::Tcp, "TCP")
    }

    /// Says so when there is HTTP alone, as [`Self::only_tcp`] does.
    pub(crate) fn only_http(&self) -> Option<String> {
        self.only(ListenerProtocol::Http, "HTTP")
    }

    fn only(&self, protocol: ListenerProtocol, name: &str) -> Option<String> {
        let first = self.listeners.first()?;
        if self.listeners.iter().any(|listener| listener.protocol != protocol) {
            return None;
        }
        Some(match self.listeners.len() {
            1 if self.is_named => format!("listener {:?} speaks {name}", first.name.as_str()),
            1 => format!("the only listener that it can meet, {:?}, speaks {name}", first.name.as_str()),
            n => format!("all of the {n} listeners that it can meet speak {name}"),
        })
    }
}

/// Whether the cluster has such an endpoint, or can turn out to.
fn may_have(cluster: &Cluster, wanted: &EndpointMatch) -> bool {
    match wanted {
        EndpointMatch::Labels(labels) => cluster.endpoints.iter().any(|endpoint| has_labels(endpoint, labels)),
        EndpointMatch::Address(address) => {
            let is_ip = address.host.parse::<std::net::IpAddr>().is_ok();
            let may_be = |endpoint: &Endpoint| is_ip && endpoint.ip.is_none() && endpoint.address.port == address.port;
            cluster.has_any_destination() || cluster.endpoints.iter().any(|e| e.is_at(address) || may_be(e))
        }
    }
}
