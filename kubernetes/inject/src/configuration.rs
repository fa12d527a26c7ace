//! The configuration that a sidecar has when no ConfigMap is named.
//!
//! It stands in an annotation of the pod, which the downward API mounts as a file: nothing has to be made in the
//! cluster before, the root of the container stays read-only, and whoever changes the annotation of a running pod
//! changes the file, which Squall watches.

use std::fmt::Write as _;

use crate::ports::Route;
use crate::settings::Calls;

/// Where redirected connections arrive.
pub(crate) const OUTBOUND_PORT: u16 = 15101;
/// Where `HTTP_PROXY` leads.
pub(crate) const FORWARD_PORT: u16 = 15102;
/// Names of clusters and listeners are no longer.
const NAME_MAX: usize = 63;

/// The text of `squall.yaml`.
pub(crate) fn text(calls: &Calls) -> String {
    let listeners = match calls {
        Calls::Redirected => format!(
            "listeners:\n  - {{ name: outbound, address: \"[::]:{OUTBOUND_PORT}\", protocol: auto, cluster: original_dst }}\n"
        ),
        Calls::Proxied => format!(
            "listeners:\n  - {{ name: outbound, address: \"127.0.0.1:{FORWARD_PORT}\", cluster: outbound }}\n\
             clusters:\n  - {{ name: outbound, destinations: [\"*:*\"] }}\n"
        ),
        Calls::Routed(routes) => routed(routes),
    };
    format!("version: 1\n{listeners}")
}

fn routed(routes: &[Route]) -> String {
    let (mut listeners, mut clusters) = ("listeners:\n".to_owned(), "clusters:\n".to_owned());
    for route in routes {
        let (cluster, port) = (cluster_name(route, routes), route.port);
        let Route { host, upstream_port, .. } = route;
        // Writing to a String does not fail.
        let _ = writeln!(
            listeners,
            "  - {{ name: port-{port}, address: \"127.0.0.1:{port}\", protocol: auto, cluster: {cluster} }}"
        );
        let _ = writeln!(clusters, "  - {{ name: {cluster}, endpoints: [\"{host}:{upstream_port}\"] }}");
    }
    listeners + &clusters
}

/// What rules call it: the host, as long as that is a name and one of its ports is used.
fn cluster_name(route: &Route, all: &[Route]) -> String {
    let is_name = route.host.starts_with(|c: char| c.is_ascii_alphabetic()) && route.host.len() <= NAME_MAX;
    let n_ports = all.iter().filter(|other| other.host == route.host).count();
    if is_name && n_ports == 1 { route.host.clone() } else { format!("port-{}", route.port) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::routes;

    #[test]
    fn every_configuration_is_valid() {
        let many = "8081=service-b:80,8082=service-b:81,8083=[fd00::1]:443,8084=10.0.0.1:9,8085=db.shop.svc:5432";
        for calls in [Calls::Redirected, Calls::Proxied, Calls::Routed(routes(many).unwrap())] {
            let text = text(&calls);
            squall_config::load_text(&text).unwrap_or_else(|problems| panic!("{text}\n{problems}"));
        }
    }

    #[test]
    fn clusters_are_called_as_their_hosts() {
        let text = text(&Calls::Routed(routes("8081=service-b:80,8082=a:1,8083=a:2").unwrap()));
        assert!(text.contains("cluster: service-b }") && text.contains("cluster: port-8083 }"), "{text}");
    }

    #[test]
    fn redirected_calls_go_where_they_were_going() {
        let text = text(&Calls::Redirected);
        assert!(text.contains("\"[::]:15101\"") && text.contains("cluster: original_dst"), "{text}");
    }
}
