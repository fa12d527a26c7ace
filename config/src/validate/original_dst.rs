//! Connections that go on to where they were going before they were redirected.

use crate::defaults;
use crate::model::{ListenerProtocol, Name, OriginalDst};
use crate::spec::{ClusterSpec, ConfigSpec, ListenerSpec};

use crate::report::Report;

/// The clusters of a document, by name.
pub(crate) struct ClusterNames<'a> {
    /// All of them.
    pub(crate) all: Vec<&'a str>,
    /// Those whose connections go on to their original destination; whether some destinations belong to them.
    original: Vec<(&'a str, bool)>,
}

impl<'a> ClusterNames<'a> {
    /// As written, and the one that nobody has to write.
    pub(crate) fn of(spec: &'a ConfigSpec) -> Self {
        let mut all: Vec<&str> = spec.clusters.iter().map(|cluster| cluster.name.as_str()).collect();
        let is_original = |cluster: &&ClusterSpec| cluster.original_dst == Some(true);
        let originals = spec.clusters.iter().filter(is_original);
        let mut original: Vec<_> = originals.map(|c| (c.name.as_str(), c.destinations.is_some())).collect();
        if is_implied(spec) {
            all.push(defaults::ORIGINAL_DST);
            original.push((defaults::ORIGINAL_DST, false));
        }
        Self { all, original }
    }

    fn is_original(&self, name: &str) -> bool {
        self.original.iter().any(|(original, _)| *original == name)
    }
}

/// Whether a listener has `cluster: original_dst`, and nobody says what that is.
pub(crate) fn is_implied(spec: &ConfigSpec) -> bool {
    spec.listeners.iter().any(|listener| listener.cluster.as_deref() == Some(defaults::ORIGINAL_DST))
        && spec.clusters.iter().all(|cluster| cluster.name != defaults::ORIGINAL_DST)
}

/// What is spoken where nothing is written.
pub(crate) fn protocol(spec: &ListenerSpec, clusters: &ClusterNames<'_>) -> ListenerProtocol {
    let is_original = spec.cluster.as_deref().is_some_and(|name| clusters.is_original(name));
    // Everything that the application says comes to such a listener.
    if is_original { ListenerProtocol::Auto } else { ListenerProtocol::Http }
}

/// What a listener does with redirected connections, when its cluster is one for them.
pub(crate) fn listener(
    path: &str,
    spec: &ListenerSpec,
    protocol: ListenerProtocol,
    clusters: &ClusterNames<'_>,
    report: &mut Report,
) -> Option<OriginalDst> {
    let at = |field: &str| format!("{path}.{field}");
    for (name, cluster) in spec.server_names.iter().filter(|(_, cluster)| clusters.is_original(cluster)) {
        let detail = format!("cluster {cluster:?} has no endpoints: it is for connections that were redirected");
        report.add(format!("{path}.server_names.{name}"), detail, "name another cluster");
    }
    let cluster = spec.cluster.as_deref().filter(|name| clusters.is_original(name));
    let Some(cluster) = cluster else {
        for (field, _) in [("opaque_ports", spec.opaque_ports.is_some()), ("transparent", spec.transparent.is_some())]
            .into_iter()
            .filter(|(_, is_written)| *is_written)
        {
            let detail = "only connections that go on to their original destination have one";
            report.add(at(field), detail, "write cluster: original_dst, or remove it");
        }
        return None;
    };
    if clusters.original.contains(&(cluster, true)) {
        let detail =
            format!("cluster {cluster:?} gets all that belongs to no other one: its destinations would say nothing");
        report.add(
            at("cluster"),
            detail,
            "write cluster: original_dst; the clusters with destinations are found by them",
        );
    }
    if !spec.server_names.is_empty() {
        let detail = "the cluster of a redirected connection is found by its destinations";
        report.add(at("server_names"), detail, "write the names into the destinations of clusters");
    }
    let others = clusters.original.iter().filter(|(name, has_destinations)| *has_destinations && *name != cluster);
    Some(OriginalDst {
        clusters: others.filter_map(|(name, _)| Name::new(name).ok()).collect(),
        opaque_ports: opaque_ports(&at("opaque_ports"), spec, protocol, report),
        is_transparent: spec.transparent.unwrap_or(false),
    })
}

fn opaque_ports(path: &str, spec: &ListenerSpec, protocol: ListenerProtocol, report: &mut Report) -> Vec<u16> {
    let Some(ports) = &spec.opaque_ports else { return defaults::OPAQUE_PORTS.to_vec() };
    if protocol != ListenerProtocol::Auto {
        report.add(path, "only protocol: auto tells protocols apart", "write protocol: auto, or remove it");
    }
    if ports.contains(&0) {
        report.add(path, "nobody listens on port 0", "remove it");
    }
    ports.clone()
}

/// What makes no sense where each connection goes somewhere else.
pub(crate) fn cluster(path: &str, spec: &ClusterSpec, report: &mut Report) {
    let others = [
        ("endpoints", !spec.endpoints.is_empty()),
        ("protocol", spec.protocol.is_some()),
        ("load_balancing", spec.load_balancing.is_some()),
        ("ejection", spec.ejection.is_some()),
        ("health_check", spec.health_check.is_some()),
    ];
    for (field, _) in others.into_iter().filter(|(_, is_written)| *is_written) {
        let detail = format!("{field} and original_dst exclude each other: each connection goes where it was going");
        report.add(format!("{path}.{field}"), detail, "remove one of them");
    }
}
