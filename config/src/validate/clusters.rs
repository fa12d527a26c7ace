//! Clusters and their endpoints.

use std::collections::BTreeMap;

use crate::defaults;
use crate::model::{Caps, Cluster, ClusterProtocol, Endpoint, LoadBalancing, ProxyProtocol};
use crate::report::Report;
use crate::spec::{ClusterSpec, EndpointSpec, Written};

use super::address::{self, OwnAddresses};
use super::destinations::destination;
use super::health;
use super::labels::labels_of;
use super::original_dst;
use super::texts::texts;
use super::tls;

/// No count goes beyond this: 2^31 of anything is not a bound.
const COUNT_MAX: usize = i32::MAX as usize;

const BALANCING: [(&str, LoadBalancing); 2] =
    [("round_robin", LoadBalancing::RoundRobin), ("least_request", LoadBalancing::LeastRequest)];

const PROTOCOLS: [(&str, ClusterProtocol); 2] = [("http1", ClusterProtocol::Http1), ("http2", ClusterProtocol::Http2)];

pub(crate) fn clusters(specs: &[ClusterSpec], own: &OwnAddresses, report: &mut Report) -> Vec<Cluster> {
    report.unique("clusters", specs.iter().map(|spec| spec.name.as_str()));
    let mut clusters = Vec::with_capacity(specs.len());
    for (index, spec) in specs.iter().enumerate() {
        let before = report.count();
        clusters.extend(cluster(&format!("clusters[{index}]"), spec, own, report));
        if !spec.name.is_empty() {
            report.label_since(before, &format!("cluster {:?}", spec.name));
        }
    }
    clusters
}

fn cluster(path: &str, spec: &ClusterSpec, own: &OwnAddresses, report: &mut Report) -> Option<Cluster> {
    let at = |field: &str| format!("{path}.{field}");
    let name = report.name(&at("name"), &spec.name);
    let destinations = texts(&at("destinations"), spec.destinations.as_ref(), destination, report);
    let is_original_dst = spec.original_dst == Some(true);
    if is_original_dst {
        original_dst::cluster(path, spec, report);
    } else if spec.destinations.is_some() {
        forwards(path, spec, report);
    } else if spec.endpoints.is_empty() {
        report.add(at("endpoints"), "missing", "write at least one, such as endpoints: [\"127.0.0.1:9000\"]");
    }
    let tls = spec.tls.as_ref().map(|spec| tls::cluster(&at("tls"), spec, report));
    let endpoints: Vec<Endpoint> = (0..)
        .zip(&spec.endpoints)
        .filter_map(|(index, spec)| endpoint(&format!("{path}.endpoints[{index}]"), spec, (own, tls.is_some()), report))
        .collect();
    let protocol = spec.protocol.as_deref().and_then(|text| report.word(&at("protocol"), text, &PROTOCOLS));
    let connect_timeout =
        report.duration_or(&at("connect_timeout"), spec.connect_timeout.as_ref(), defaults::CONNECT_TIMEOUT);
    let idle_timeout =
        report.duration_or(&at("idle_timeout"), spec.idle_timeout.as_ref(), defaults::CLUSTER_IDLE_TIMEOUT);
    let header_timeout =
        report.duration_or(&at("header_timeout"), spec.header_timeout.as_ref(), defaults::HEADER_TIMEOUT);
    let response_timeout = spec.response_timeout.as_ref();
    let response_timeout = response_timeout.and_then(|value| report.positive_duration(&at("response_timeout"), value));
    let idle_connections_max = report.count_or(
        &at("idle_connections_max"),
        spec.idle_connections_max,
        0..=65_535,
        defaults::IDLE_CONNECTIONS_MAX,
    );
    let balancing = spec.load_balancing.as_deref();
    let balancing = balancing.and_then(|text| report.word(&at("load_balancing"), text, &BALANCING));
    let ejection = spec.ejection.as_ref().map(|spec| health::ejection(&at("ejection"), spec, report));
    let check = spec.health_check.as_ref();
    let health_check = check.and_then(|spec| health::health_check(&at("health_check"), spec, report));
    let caps = caps(path, spec, report);
    Some(Cluster {
        destinations,
        is_original_dst,
        protocol: protocol.unwrap_or(ClusterProtocol::Http1),
        tls: tls.flatten(),
        proxy_protocol: proxy_protocol(&at("proxy_protocol"), spec, report),
        connect_timeout,
        idle_timeout,
        header_timeout,
        response_timeout,
        idle_connections_max,
        load_balancing: balancing.unwrap_or(LoadBalancing::RoundRobin),
        ejection,
        health_check,
        caps,
        ..Cluster::new(name?, endpoints)
    })
}

/// What makes no sense where each request goes somewhere else.
fn forwards(path: &str, spec: &ClusterSpec, report: &mut Report) {
    let others = [
        ("endpoints", !spec.endpoints.is_empty()),
        ("proxy_protocol", spec.proxy_protocol.is_some()),
        ("load_balancing", spec.load_balancing.is_some()),
        ("ejection", spec.ejection.is_some()),
        ("health_check", spec.health_check.is_some()),
    ];
    for (field, _) in others.into_iter().filter(|(_, is_written)| *is_written) {
        let detail = format!("{field} and destinations exclude each other: each request says where it goes");
        report.add(format!("{path}.{field}"), detail, "remove one of them");
    }
    if spec.tls.as_ref().is_some_and(|tls| tls.server_name.is_some()) {
        let detail = "each destination has a certificate for its own name";
        report.add(format!("{path}.tls.server_name"), detail, "remove it");
    }
}

fn caps(path: &str, spec: &ClusterSpec, report: &mut Report) -> Caps {
    let at = |field: &str| format!("{path}.{field}");
    let mut cap = |field: &str, value: Option<u64>| {
        let count = report.count_or(&at(field), value, 1..=COUNT_MAX, COUNT_MAX);
        value.map(|_| count)
    };
    let connections_max = cap("connections_max", spec.connections_max);
    let requests_max = cap("requests_max", spec.requests_max);
    if spec.pending_max.is_some() && connections_max.is_none() {
        report.add(
            at("pending_max"),
            "without connections_max nothing ever waits for a connection",
            "write connections_max as well, or remove it",
        );
    }
    let pending_max = report.count_or(&at("pending_max"), spec.pending_max, 0..=COUNT_MAX, defaults::PENDING_MAX);
    Caps { connections_max, requests_max, pending_max }
}

fn proxy_protocol(path: &str, spec: &ClusterSpec, report: &mut Report) -> Option<ProxyProtocol> {
    const VERSIONS: [(&str, ProxyProtocol); 2] = [("v1", ProxyProtocol::V1), ("v2", ProxyProtocol::V2)];
    let version = spec.proxy_protocol.as_deref().and_then(|text| report.word(path, text, &VERSIONS))?;
    if spec.protocol.as_deref() == Some("http2") {
        let detail = "one HTTP/2 connection carries the requests of many clients, and its header can name only one";
        report.add(path, detail, "use protocol: http1, or remove proxy_protocol");
    }
    Some(version)
}

fn endpoint(
    path: &str,
    spec: &Written<EndpointSpec>,
    (own, has_tls): (&OwnAddresses, bool),
    report: &mut Report,
) -> Option<Endpoint> {
    let (path, address, labels, weight) = match spec {
        Written::Short(address) => (path.to_owned(), address, BTreeMap::new(), None),
        Written::Full(full) => {
            if full.weight == Some(0) {
                report.add(
                    format!("{path}.weight"),
                    "a weight of 0 gets no traffic",
                    "write at least 1, or remove the endpoint",
                );
            }
            let path = format!("{path}.address");
            let address = report.required(&path, full.address.as_ref(), "write host:port")?;
            (path, address, labels_of(&full.labels), full.weight)
        }
    };
    let address = address::endpoint(&path, &address.to_string(), Some(has_tls), report)?;
    if let Some(reached) = own.reached_by(&address) {
        report.add(
            path,
            format!("{address} is Squall's own {reached}: requests would go round in a loop"),
            "name the address of the upstream itself",
        );
    }
    Some(Endpoint { labels, weight: weight.unwrap_or(defaults::WEIGHT), ..Endpoint::new(address) })
}
