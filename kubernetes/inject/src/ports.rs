//! Ports as annotations have them: lists of ports and ranges, and ports that lead to a service.

use crate::PortRange;

/// A listener of its own on loopback, and where its connections go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) port: u16,
    pub(crate) host: String,
    pub(crate) upstream_port: u16,
}

/// Reads `25,3306,9300-9400`.
pub(crate) fn ranges(text: &str) -> Result<Vec<PortRange>, String> {
    items(text).map(str::parse).collect()
}

/// Reads `8081=service-b:80,8082=[fd00::1]:443`.
pub(crate) fn routes(text: &str) -> Result<Vec<Route>, String> {
    let mut routes: Vec<Route> = Vec::new();
    for item in items(text) {
        let shape = || format!("{item:?} is not PORT=HOST:PORT");
        let (listen, upstream) = item.split_once('=').ok_or_else(shape)?;
        let (host, upstream_port) = upstream.rsplit_once(':').ok_or_else(shape)?;
        let route = Route { port: port(listen)?, host: host.trim().to_owned(), upstream_port: port(upstream_port)? };
        if !is_host(&route.host) {
            return Err(format!("{:?} is neither a name nor an address", route.host));
        }
        if routes.iter().any(|other| other.port == route.port) {
            return Err(format!("port {} leads to two places", route.port));
        }
        routes.push(route);
    }
    Ok(routes)
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim)
}

fn port(text: &str) -> Result<u16, String> {
    match text.trim().parse() {
        Ok(port @ 1..) => Ok(port),
        _ => Err(format!("{text:?} is not a port from 1 to 65535")),
    }
}

/// A DNS name, an IPv4 address, or an IPv6 address in brackets.
fn is_host(text: &str) -> bool {
    if let Some(address) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    is_dns_name(text)
}

/// A name as Kubernetes has them for objects: labels of letters, digits and dashes between dots.
pub(crate) fn is_dns_name(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_and_written() {
        let written = |text: &str| ranges(text).unwrap().iter().map(PortRange::to_string).collect::<Vec<_>>().join(",");
        assert_eq!(written("25, 3306,9300-9400"), "25,3306,9300-9400");
        assert_eq!(written("1-1,65535"), "1,65535");
        for wrong in ["", "0", "65536", "80,", "http", "90-80", "1-2-3", "-5", "80 81"] {
            assert!(ranges(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn routes_lead_somewhere() {
        let all = routes("8081=service-b:80, 8082=[fd00::1]:443").unwrap();
        assert_eq!(all[0], Route { port: 8081, host: "service-b".to_owned(), upstream_port: 80 });
        assert_eq!(all[1].host, "[fd00::1]");
        for wrong in ["", "8081", "8081=b", "8081=b:0", "0=b:80", "8081=:80", "8081=a b:80", "8081=[x]:80", "1=B:2"] {
            assert!(routes(wrong).is_err(), "{wrong:?}");
        }
        assert!(routes("8081=a:1,8081=b:2").unwrap_err().contains("two places"));
    }
}
