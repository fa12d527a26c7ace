//! Can two matches hold for the same traffic?

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::{EndpointMatch, GrpcMatch, HostPort, Match, UpgradeMatch, ValueMatch};
use crate::pattern::Pattern;

impl Match {
    /// Whether nothing can fulfil both; `false` when that cannot be told. The listener, the direction and the cluster are not
    /// looked at.
    ///
    /// Different values of one header field or query parameter exclude each other here, although a request that carries the
    /// field twice fulfils both.
    pub fn excludes(&self, other: &Self) -> bool {
        let (a, b) = (self, other);
        let methods = !a.method.is_empty() && !b.method.is_empty() && a.method.iter().all(|m| !b.method.contains(m));
        methods
            || paths(a).any(|path| paths(b).any(|other| texts_exclude(&path, &other)))
            || both(a.grpc.as_ref(), b.grpc.as_ref(), calls_exclude)
            || both(a.authority.as_ref(), b.authority.as_ref(), authorities_exclude)
            || a.headers
                .iter()
                .any(|(name, value)| b.headers.iter().any(|(n, v)| n == name && values_exclude(value, v)))
            || a.query.iter().any(|(name, value)| b.query.iter().any(|(n, v)| n == name && values_exclude(value, v)))
            || both(a.endpoint.as_ref(), b.endpoint.as_ref(), endpoints_exclude)
            || sources_exclude(&a.source, &b.source)
            || both(a.upgrade.as_ref(), b.upgrade.as_ref(), protocols_exclude)
    }

    /// The one path that it names, when it names one: as a path, or as service and method of gRPC.
    pub(crate) fn exact_path(&self) -> Option<String> {
        paths(self).find_map(|pattern| match &*pattern {
            Pattern::Exact(path) => Some(path.clone()),
            _ => None,
        })
    }
}

fn both<T>(a: Option<&T>, b: Option<&T>, exclude: fn(&T, &T) -> bool) -> bool {
    a.zip(b).is_some_and(|(a, b)| exclude(a, b))
}

/// What the path has to be like: as written, and as a gRPC call has it.
fn paths(matches: &Match) -> impl Iterator<Item = Cow<'_, Pattern>> {
    let of_call = matches.grpc.as_ref().and_then(|grpc| match (&grpc.service, &grpc.method) {
        (Some(service), Some(method)) => Some(Pattern::Exact(format!("/{service}/{method}"))),
        (Some(service), None) => Some(Pattern::Prefix(format!("/{service}/"))),
        (None, _) => None,
    });
    matches.path.iter().map(Cow::Borrowed).chain(of_call.map(Cow::Owned))
}

fn texts_exclude(a: &Pattern, b: &Pattern) -> bool {
    match (a, b) {
        (Pattern::Exact(text), other) | (other, Pattern::Exact(text)) => !other.is_match(text),
        _ => beginning(a).zip(beginning(b)).is_some_and(|(a, b)| !a.starts_with(b) && !b.starts_with(a)),
    }
}

/// What every text that matches begins with.
fn beginning(pattern: &Pattern) -> Option<&str> {
    match pattern {
        Pattern::Exact(text) | Pattern::Prefix(text) => Some(text),
        Pattern::Glob(glob) => {
            let text = glob.glob().glob();
            Some(&text[..text.find(['*', '?', '[', '{', '\\']).unwrap_or(text.len())])
        }
        Pattern::Regex(_) => None,
    }
}

fn calls_exclude(a: &GrpcMatch, b: &GrpcMatch) -> bool {
    both(a.method.as_ref(), b.method.as_ref(), |a, b| a != b)
        || both(a.service.as_ref(), b.service.as_ref(), |a, b| a != b)
}

/// Host names have no case, and one without a port means every port.
fn authorities_exclude(a: &Pattern, b: &Pattern) -> bool {
    match (a, b) {
        (Pattern::Exact(a), Pattern::Exact(b)) => {
            let (a, b) = (a.to_ascii_lowercase(), b.to_ascii_lowercase());
            let ((host, port), (other_host, other_port)) = (host_and_port(&a), host_and_port(&b));
            host != other_host || both(port.as_ref(), other_port.as_ref(), |a, b| a != b)
        }
        (Pattern::Exact(a) | Pattern::Prefix(a), Pattern::Exact(b) | Pattern::Prefix(b)) => {
            let (a, b) = (a.to_ascii_lowercase(), b.to_ascii_lowercase());
            !a.starts_with(&b) && !b.starts_with(&a)
        }
        _ => false,
    }
}

fn host_and_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

fn values_exclude(a: &ValueMatch, b: &ValueMatch) -> bool {
    match (a, b) {
        (ValueMatch::Present(a), ValueMatch::Present(b)) => a != b,
        (ValueMatch::Present(present), ValueMatch::Pattern(_))
        | (ValueMatch::Pattern(_), ValueMatch::Present(present)) => !present,
        (ValueMatch::Pattern(a), ValueMatch::Pattern(b)) => texts_exclude(a, b),
    }
}

fn endpoints_exclude(a: &EndpointMatch, b: &EndpointMatch) -> bool {
    match (a, b) {
        (EndpointMatch::Address(a), EndpointMatch::Address(b)) => addresses_exclude(a, b),
        (EndpointMatch::Labels(a), EndpointMatch::Labels(b)) => labels_exclude(a, b),
        _ => false,
    }
}

/// A name may stand for an IP address, but no name for another name.
fn addresses_exclude(a: &HostPort, b: &HostPort) -> bool {
    let is_ip = |address: &HostPort| address.host.parse::<IpAddr>().is_ok();
    a.port != b.port || (is_ip(a) == is_ip(b) && a.host != b.host)
}

fn labels_exclude(a: &BTreeMap<String, String>, b: &BTreeMap<String, String>) -> bool {
    a.iter().any(|(key, value)| b.get(key).is_some_and(|other| other != value))
}

fn sources_exclude(a: &[IpNet], b: &[IpNet]) -> bool {
    let overlap = |a: &IpNet, b: &IpNet| a.contains(b) || b.contains(a);
    !a.is_empty() && !b.is_empty() && a.iter().all(|a| b.iter().all(|b| !overlap(a, b)))
}

fn protocols_exclude(a: &UpgradeMatch, b: &UpgradeMatch) -> bool {
    matches!((a, b), (UpgradeMatch::Protocol(a), UpgradeMatch::Protocol(b)) if a != b)
}
