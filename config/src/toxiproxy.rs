//! Toxiproxy's proxies and toxics, in the words of Squall: a proxy is a listener with a cluster of the same name, a toxic is
//! a rule for that listener. Each remembers what it was, so that Toxiproxy's API can show it again.
//!
//! A document as it is written has them under `toxiproxy.proxies` ([`raise`]); a document in force has them among its
//! listeners, clusters and rules ([`lower`]).

mod kind;
mod lower;
mod proxy;
mod toxic;

pub use kind::{
    Bandwidth, Header, Latency, LimitData, ModifyBody, Noop, ResetPeer, Slicer, SlowClose, StatusCode, Timeout,
    ToxicKind, WrongAttribute,
};
pub use lower::{Lowered, address, lower, raise, rule, rule_name};
pub use proxy::ProxyOf;
pub use toxic::{Stream, Toxic, ToxicOf};

use crate::spec::{ClusterSpec, ConfigSpec, EndpointSpec, ListenerSpec, Scalar, Written};

/// The listener of this proxy, with its place.
pub fn listener_of<'a>(document: &'a ConfigSpec, proxy: &str) -> Option<(usize, &'a ListenerSpec)> {
    document
        .listeners
        .iter()
        .enumerate()
        .find(|(_, listener)| listener.proxy.as_ref().is_some_and(|of| of.name == proxy))
}

/// The toxics of this proxy, with their rules' places: those of the upstream stream first, as Toxiproxy lists them.
pub fn toxics_of<'a>(document: &'a ConfigSpec, proxy: &str) -> Vec<(usize, &'a Toxic)> {
    let is_of = |(place, toxic): (usize, Option<&'a ToxicOf>)| {
        toxic.filter(|toxic| toxic.proxy == proxy).map(|toxic| (place, &toxic.toxic))
    };
    let all = document.rules.iter().map(|rule| rule.toxic.as_deref()).enumerate();
    let mut toxics: Vec<_> = all.filter_map(is_of).collect();
    toxics.sort_by_key(|(_, toxic)| toxic.stream());
    toxics
}

/// A listener and a cluster for a proxy, under a name that neither kind has yet; nothing is on yet.
pub fn proxy(document: &ConfigSpec, name: &str, upstream: &str) -> (ListenerSpec, ClusterSpec) {
    let is_taken = |name: &str| {
        document.listeners.iter().any(|listener| listener.name == name)
            || document.clusters.iter().any(|cluster| cluster.name == name)
    };
    let own = crate::model::Name::free(name, is_taken);
    let cluster = ClusterSpec { name: own.clone(), endpoints: vec![endpoint(upstream)], ..ClusterSpec::default() };
    let listener = ListenerSpec {
        name: own.clone(),
        protocol: Some(protocol(false).to_owned()),
        cluster: Some(own),
        proxy: Some(ProxyOf { name: name.to_owned(), upstream: upstream.to_owned(), ..ProxyOf::default() }),
        ..ListenerSpec::default()
    };
    (listener, cluster)
}

/// What a proxy speaks: bytes, unless one of its toxics looks into HTTP.
pub fn protocol(looks_into_http: bool) -> &'static str {
    if looks_into_http { "auto" } else { "tcp" }
}

/// The endpoint that an upstream is. Where no host is written Go dials this machine, over IPv4 (`net.Dial`).
pub fn endpoint(upstream: &str) -> Written<EndpointSpec> {
    let host = if upstream.starts_with(':') { "127.0.0.1" } else { "" };
    Written::Short(Scalar::Text(format!("{host}{upstream}")))
}

#[cfg(test)]
mod tests;
