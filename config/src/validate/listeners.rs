//! Listeners.

use std::time::Duration;

use crate::defaults;
use crate::model::{Direction, Listener, ListenerProtocol, Name};
use crate::report::Report;
use crate::spec::ListenerSpec;

use super::address::{OwnAddresses, socket};
use super::intercept;
use super::original_dst::{self, ClusterNames};
use super::texts::DIRECTIONS;
use super::tls;

const PROTOCOLS: [(&str, ListenerProtocol); 3] =
    [("http", ListenerProtocol::Http), ("tcp", ListenerProtocol::Tcp), ("auto", ListenerProtocol::Auto)];

pub(crate) fn listeners(
    specs: &[ListenerSpec],
    clusters: &ClusterNames<'_>,
    own: &mut OwnAddresses,
    report: &mut Report,
) -> Vec<Listener> {
    report.unique("listeners", specs.iter().map(|spec| spec.name.as_str()));
    let mut listeners = Vec::with_capacity(specs.len());
    for (index, spec) in specs.iter().enumerate() {
        let before = report.count();
        listeners.extend(listener(&format!("listeners[{index}]"), spec, clusters, own, report));
        if !spec.name.is_empty() {
            report.label_since(before, &format!("listener {:?}", spec.name));
        }
    }
    listeners
}

fn listener(
    path: &str,
    spec: &ListenerSpec,
    clusters: &ClusterNames<'_>,
    own: &mut OwnAddresses,
    report: &mut Report,
) -> Option<Listener> {
    let at = |field: &str| format!("{path}.{field}");
    let name = report.name(&at("name"), &spec.name);
    let address = report
        .required(&at("address"), spec.address.as_ref(), "write where it listens, such as 127.0.0.1:8080")
        .and_then(|text| socket(&at("address"), text, report));
    if let Some(address) = address {
        own.add(&at("address"), address, report);
    }
    let direction = spec.direction.as_deref().and_then(|text| report.word(&at("direction"), text, &DIRECTIONS));
    let protocol = spec.protocol.as_deref().and_then(|text| report.word(&at("protocol"), text, &PROTOCOLS));
    let cluster = report.required(&at("cluster"), spec.cluster.as_ref(), "name the cluster that gets the traffic");
    if let Some(cluster) = cluster {
        report.reference(&at("cluster"), "cluster", cluster, &clusters.all);
    }
    let protocol = protocol.unwrap_or_else(|| original_dst::protocol(spec, clusters));
    let tls = spec.tls.as_ref().and_then(|spec| tls::listener(&at("tls"), spec, protocol, report));
    let accepts_proxy_protocol = spec.proxy_protocol.as_deref();
    let accepts_proxy_protocol =
        accepts_proxy_protocol.and_then(|text| report.word(&at("proxy_protocol"), text, &[("accept", true)]));
    let server_names = tls::server_names(&at("server_names"), spec, &clusters.all, report);
    let original_dst = original_dst::listener(path, spec, protocol, clusters, report);
    let intercept = spec.intercept.as_ref().and_then(|spec| intercept::read(&at("intercept"), spec, report));
    let header_timeout =
        report.duration_or(&at("header_timeout"), spec.header_timeout.as_ref(), defaults::HEADER_TIMEOUT);
    let idle_timeout = spec.idle_timeout.as_ref().and_then(|value| report.duration(&at("idle_timeout"), value));
    let stall_timeout = spec.stall_timeout.as_ref().and_then(|value| report.duration(&at("stall_timeout"), value));
    let detect_timeout =
        report.duration_or(&at("detect_timeout"), spec.detect_timeout.as_ref(), defaults::DETECT_TIMEOUT);
    Some(Listener {
        name: name?,
        address: address?,
        is_enabled: spec.enabled.unwrap_or(true),
        direction: direction.unwrap_or(Direction::Outbound),
        protocol,
        cluster: Name::new(cluster?).ok()?,
        tls,
        server_names,
        intercept,
        original_dst,
        accepts_proxy_protocol: accepts_proxy_protocol.unwrap_or(false),
        header_timeout,
        idle_timeout: Some(idle_timeout.unwrap_or(defaults::LISTENER_IDLE_TIMEOUT)).filter(|d| *d != Duration::ZERO),
        stall_timeout: Some(stall_timeout.unwrap_or(defaults::STALL_TIMEOUT)).filter(|d| *d != Duration::ZERO),
        detect_timeout,
        start: spec.start,
    })
}
