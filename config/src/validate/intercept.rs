//! The HTTPS that a forward proxy opens.

use crate::model::{Cluster, DestinationHost, Intercept, Listener};
use crate::report::Report;
use crate::spec::InterceptSpec;

use super::destinations::host;
use super::texts::texts;
use super::tls;

pub(crate) fn read(path: &str, spec: &InterceptSpec, report: &mut Report) -> Option<Intercept> {
    let at = format!("{path}.names");
    report.required(&at, spec.names.as_ref(), "list whose connections are opened, such as names: [api.example]");
    let names = texts(&at, spec.names.as_ref(), name, report);
    let authority = tls::identity(path, spec.cert.as_ref(), spec.key.as_ref(), report);
    Some(Intercept { names, authority: authority? })
}

fn name(text: &str) -> Result<DestinationHost, (String, String)> {
    let hint = "write a host such as api.example, *.b.example or 10.0.0.0/8, without a port".to_owned();
    match host(text) {
        Some(DestinationHost::Any) => Err(("what is opened has to be listed".to_owned(), hint)),
        Some(host) => Ok(host),
        None => Err((format!("{text:?} is neither a name nor an address"), hint)),
    }
}

/// Whether there is anything to open, and a way on from there. By the names of listeners, since those that are not valid
/// are not among them.
pub(crate) fn possible(listeners: &[Listener], clusters: &[Cluster], report: &mut Report) {
    for listener in listeners {
        let Some(intercept) = &listener.intercept else { continue };
        let named = format!("listener {:?}", listener.name.as_str());
        if listener.tls.is_some() {
            let detail = format!("{named}: what is opened would be TLS inside of TLS");
            report.add("listeners", detail, "remove tls, or intercept");
        }
        let Some(cluster) = clusters.iter().find(|cluster| cluster.name == listener.cluster) else { continue };
        let of_cluster = format!("{named} intercepts, and its cluster {:?}", cluster.name.as_str());
        if !cluster.forwards() {
            let hint = "give the cluster destinations, or the listener tls: {cert, key} to end TLS at once";
            report.add("listeners", format!("{of_cluster} has no destinations to CONNECT to"), hint);
            continue;
        }
        if cluster.tls.is_none() {
            let detail = format!("{of_cluster} has no tls: nothing says whom to trust behind Squall");
            report.add("clusters", detail, "write tls: {} for the authorities of the system, or tls: {ca: FILE}");
        }
        for name in &intercept.names {
            if !cluster.destinations.iter().any(|destination| destination.host.overlaps(name)) {
                let detail = format!("{of_cluster} lets nobody go to {name}");
                report.add("listeners", detail, "add it to the destinations, or remove it from intercept.names");
            }
        }
    }
}
