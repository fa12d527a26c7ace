//! Proxies and toxics as the API shows them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::Serialize;
use squall_config::model::Name;
use squall_config::spec::{ConfigSpec, ListenerSpec};
use squall_config::toxiproxy::{Toxic, listener_of, toxics_of};

use crate::app::App;
use crate::data_plane::DataPlane;

/// A proxy with its toxics.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct ProxyOut {
    pub(super) name: String,
    /// As it was written until it is started, then as the system bound it.
    pub(super) listen: String,
    pub(super) upstream: String,
    pub(super) enabled: bool,
    pub(super) toxics: Vec<Toxic>,
}

/// All proxies by name.
pub(super) fn proxies(app: &App) -> BTreeMap<String, ProxyOut> {
    let view = app.publisher.view();
    let (document, bound) = (&view.written.document, app.data_plane.listener_addresses());
    let all = document.listeners.iter().filter_map(|listener| shown(document, listener, &bound));
    all.map(|proxy| (proxy.name.clone(), proxy)).collect()
}

/// One proxy.
pub(super) fn proxy(document: &ConfigSpec, name: &str, data_plane: &dyn DataPlane) -> Option<ProxyOut> {
    shown(document, listener_of(document, name)?.1, &data_plane.listener_addresses())
}

/// `bound` are the addresses of all listeners.
fn shown(document: &ConfigSpec, listener: &ListenerSpec, bound: &[(Name, SocketAddr)]) -> Option<ProxyOut> {
    let of = listener.proxy.as_ref()?;
    let enabled = listener.enabled != Some(false);
    let address = || listener.address.as_ref().map(ToString::to_string).unwrap_or_default();
    let bound = || bound.iter().find(|(name, _)| name.as_str() == listener.name);
    let listen = match (&of.listen, enabled) {
        (Some(raw), false) => raw.clone(),
        (_, true) => bound().map_or_else(address, |(_, bound)| bound.to_string()),
        (None, false) => address(),
    };
    Some(ProxyOut {
        name: of.name.clone(),
        listen,
        upstream: of.upstream.clone(),
        enabled,
        toxics: toxics_of(document, &of.name).into_iter().map(|(_, toxic)| toxic.clone()).collect(),
    })
}
