//! TLS of listeners and clusters: what is named. Whether the files can be used is for those who read them.

use std::path::PathBuf;

use crate::model::{
    ClientTls, Cluster, KeyPairFiles, Listener, ListenerProtocol, ListenerTls, Name, ServerNames, ServerTls,
};
use crate::report::Report;
use crate::spec::{ClusterTlsSpec, ListenerSpec, ListenerTlsSpec, Scalar, Written};

use super::address::host_name;

pub(crate) fn listener(
    path: &str,
    spec: &Written<ListenerTlsSpec>,
    protocol: ListenerProtocol,
    report: &mut Report,
) -> Option<ListenerTls> {
    match spec {
        Written::Full(spec) => terminate(path, spec, report).map(ListenerTls::Terminate),
        Written::Short(Scalar::Text(word)) if word == "passthrough" => {
            if protocol != ListenerProtocol::Tcp {
                let hint = "write protocol: tcp, or give the listener cert and key to see what is inside";
                report.add(path, "what passes through is bytes, not HTTP", hint);
            }
            Some(ListenerTls::Passthrough)
        }
        Written::Short(other) => {
            report.add(path, format!("{other} is not a kind of TLS"), "write {cert: FILE, key: FILE}, or passthrough");
            None
        }
    }
}

/// The clusters for server names.
pub(crate) fn server_names(path: &str, spec: &ListenerSpec, clusters: &[&str], report: &mut Report) -> ServerNames {
    let mut names = ServerNames::default();
    if spec.tls.is_none() && !spec.server_names.is_empty() {
        let hint = "add tls: {cert, key} or tls: passthrough, or remove server_names";
        report.add(path, "only clients that speak TLS ask for a server name", hint);
    }
    for (pattern, cluster) in &spec.server_names {
        let at = format!("{path}.{pattern}");
        let bare = pattern.strip_prefix("*.").unwrap_or(pattern);
        if host_name(bare).is_none() || bare.parse::<std::net::IpAddr>().is_ok() || bare.starts_with('[') {
            report.add(
                &at,
                format!("{pattern:?} is not a server name"),
                "write a.example, or *.a.example for all below it",
            );
            continue;
        }
        report.reference(&at, "cluster", cluster, clusters);
        let Ok(cluster) = Name::new(cluster) else { continue };
        if names.insert(pattern, cluster).is_some() {
            report.add(&at, format!("{pattern:?} is listed twice; case makes no difference"), "remove one of them");
        }
    }
    names
}

/// Refuses to put TLS around TLS. By the names of listeners, since those that are not valid are not among them.
pub(crate) fn passthrough(listeners: &[Listener], clusters: &[Cluster], report: &mut Report) {
    for listener in listeners.iter().filter(|listener| listener.tls == Some(ListenerTls::Passthrough)) {
        for cluster in clusters.iter().filter(|cluster| cluster.tls.is_some() && listener.leads_to(&cluster.name)) {
            let (listener, cluster) = (listener.name.as_str(), cluster.name.as_str());
            report.add(
                "listeners",
                format!("listener {listener:?} passes TLS through to cluster {cluster:?}, which puts TLS around it"),
                "remove tls from the cluster, or give the listener cert and key",
            );
        }
    }
}

fn terminate(path: &str, spec: &ListenerTlsSpec, report: &mut Report) -> Option<ServerTls> {
    server(path, spec.cert.as_ref(), spec.key.as_ref(), spec.client_ca.as_ref(), report)
}

/// TLS that ends here.
pub(crate) fn server(
    path: &str,
    cert: Option<&String>,
    key: Option<&String>,
    client_ca: Option<&String>,
    report: &mut Report,
) -> Option<ServerTls> {
    let client_ca = file(&format!("{path}.client_ca"), client_ca, report);
    let identity = identity(path, cert, key, report);
    Some(ServerTls { identity: identity?, client_ca })
}

pub(crate) fn cluster(path: &str, spec: &ClusterTlsSpec, report: &mut Report) -> Option<ClientTls> {
    let ca = file(&format!("{path}.ca"), spec.ca.as_ref(), report);
    let server_name = spec.server_name.as_deref().and_then(|name| {
        let bare = name.strip_suffix('.').unwrap_or(name);
        let is_ip = bare.parse::<std::net::IpAddr>().is_ok();
        if is_ip || (host_name(bare).is_some() && !bare.starts_with('[')) {
            return Some(bare.into());
        }
        let hint = "write it as in the certificate, without scheme and port, such as service-b.example";
        report.add(format!("{path}.server_name"), format!("{name:?} is not a host name or an IP address"), hint);
        None
    });
    let identity = match (&spec.cert, &spec.key) {
        (None, None) => None,
        (cert, key) => Some(identity(path, cert.as_ref(), key.as_ref(), report)?),
    };
    Some(ClientTls { ca, server_name, identity })
}

pub(crate) fn identity(
    path: &str,
    cert: Option<&String>,
    key: Option<&String>,
    report: &mut Report,
) -> Option<KeyPairFiles> {
    let (cert_path, key_path) = (format!("{path}.cert"), format!("{path}.key"));
    report.required(&cert_path, cert, "name the PEM file of the certificate (`squall certs` makes one)");
    report.required(&key_path, key, "name the PEM file of the certificate's private key");
    let (cert, key) = (file(&cert_path, cert, report), file(&key_path, key, report));
    Some(KeyPairFiles { cert: cert?, key: key? })
}

fn file(path: &str, name: Option<&String>, report: &mut Report) -> Option<PathBuf> {
    let name = name?;
    if name.is_empty() {
        report.add(path, "no file is named", "name a PEM file, or remove it");
        return None;
    }
    if name.starts_with("-----BEGIN") {
        report.add(path, "this is the content of a file, not its name", "write it to a file and name that");
        return None;
    }
    Some(name.into())
}
