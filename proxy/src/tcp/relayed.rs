//! What a relay is about: whose connection, and where it leads.

use std::net::SocketAddr;
use std::sync::Arc;

use squall_fault::meta::ConnectionMeta;
use squall_fault::snapshot::{CompiledListener, Snapshot, Sought};

use super::fault::Subject;
use crate::http::tunnel::Opening;
use crate::tenure::Tenure;
use crate::upstream::shared::SharedEndpoint;

/// What is relayed, and where to.
pub(crate) struct Relayed {
    /// The listener that accepted; it is looked up by name in every later snapshot.
    pub(crate) listener: Arc<CompiledListener>,
    /// With which start of the listener it ends, if it does.
    pub(crate) tenure: Option<Tenure>,
    /// Address of downstream.
    pub(crate) source: SocketAddr,
    /// The request that opened it, when it is a tunnel.
    pub(crate) opening: Option<Box<Opening>>,
    /// The name that it asked for, where that decides which cluster gets the traffic.
    pub(crate) server_name: Option<Arc<str>>,
    /// The chosen endpoint.
    pub(crate) endpoint: Arc<SharedEndpoint>,
}

impl Relayed {
    /// Whether it ends with its listener now.
    pub(super) fn is_over(&self, snapshot: &Snapshot) -> bool {
        self.tenure.is_some_and(|tenure| tenure.is_over(snapshot, &self.listener.listener.name))
    }

    /// Its listener in this snapshot, as that of the cluster that it belongs to.
    pub(super) fn listener_in(&self, snapshot: &Snapshot) -> Option<Arc<CompiledListener>> {
        let all = snapshot.listener(self.listener.listener.name.as_str())?;
        let sought = Sought {
            server_name: self.server_name.as_deref(),
            ip: self.endpoint.endpoint.ip,
            port: Some(self.endpoint.endpoint.address.port),
            authority: self.opening.as_ref().map(|opening| opening.authority()),
        };
        Some(Arc::clone(all.route(sought).map_or(all, |route| &all.routes[route])))
    }

    /// What rules look at.
    pub(super) fn subject(&self) -> Subject<'_> {
        let (source, endpoint) = (self.source.ip(), &self.endpoint.endpoint);
        match &self.opening {
            None => Subject::Connection(ConnectionMeta { source, endpoint }),
            Some(opening) => Subject::Tunnel(opening.meta(source, endpoint)),
        }
    }
}
