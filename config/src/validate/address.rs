//! Addresses: well-formed, not taken twice, not our own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::model::HostPort;
use crate::spec::Scalar;

use crate::report::Report;

/// An address to listen on: `ip:port`.
pub(crate) fn socket(path: &str, value: &Scalar, report: &mut Report) -> Option<SocketAddr> {
    let text = value.to_string();
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let hint = match text.rsplit_once(':') {
        Some(("localhost", port)) => format!("write 127.0.0.1:{port}, or [::1]:{port} for IPv6"),
        Some(("" | "*", port)) => {
            format!("write 0.0.0.0:{port} for all interfaces, or 127.0.0.1:{port} for this machine")
        }
        Some((host, _)) if host.contains(':') => "put brackets around an IPv6 address: [::1]:8080".to_owned(),
        None if text.parse::<u16>().is_ok() => format!("write 127.0.0.1:{text}"),
        None if text.parse::<IpAddr>().is_ok() => "add the port, as in 127.0.0.1:8080".to_owned(),
        _ => "write an IP address and a port, such as 127.0.0.1:8080".to_owned(),
    };
    report.add(path, format!("{text:?} is not an IP address and a port to listen on"), hint);
    None
}

/// An address to connect to: `host:port`, or with the scheme that fits to whether the cluster has TLS; any scheme where
/// that is not known.
pub(crate) fn endpoint(path: &str, text: &str, has_tls: Option<bool>, report: &mut Report) -> Option<HostPort> {
    match host_port(text, has_tls) {
        Ok(address) => Some(address),
        Err((detail, hint)) => {
            report.add(path, detail, hint);
            None
        }
    }
}

fn host_port(text: &str, has_tls: Option<bool>) -> Result<HostPort, (String, String)> {
    const HINT: &str = "write host:port, such as 127.0.0.1:9000 or service-b:80";
    let wrong = |why: &str| (format!("{text:?} is not a host and a port: {why}"), HINT.to_owned());
    let (rest, port_of_scheme) = match text.split_once("://") {
        Some(("http", _)) if has_tls == Some(true) => {
            let hint = "write https://, or host:port; or remove tls from the cluster".to_owned();
            return Err((format!("{text:?} is plain text, but the cluster has tls"), hint));
        }
        Some(("https", _)) if has_tls == Some(false) => {
            let hint = "add tls: {} to the cluster, or tls: {ca: FILE} for an authority of your own".to_owned();
            return Err((format!("{text:?} is TLS, but the cluster has no tls"), hint));
        }
        Some(("http", rest)) => (rest.strip_suffix('/').unwrap_or(rest), Some(80)),
        Some(("https", rest)) => (rest.strip_suffix('/').unwrap_or(rest), Some(443)),
        _ => (text, None),
    };
    if rest.contains(['/', '?', '#', '@']) {
        return Err(wrong("it has more than that; the path comes from each request"));
    }
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => match port.parse::<u16>() {
            Ok(0) => return Err(wrong("no one listens on port 0")),
            Ok(port) => (host, Some(port)),
            Err(_) => return Err(wrong(&format!("{port:?} is not a port from 1 to 65535"))),
        },
        _ => (rest, port_of_scheme),
    };
    let port = port.ok_or_else(|| wrong("the port is missing"))?;
    let host = host_name(host).ok_or_else(|| wrong(&format!("{host:?} is not a host name or IP address")))?;
    Ok(HostPort { host: host.into(), port })
}

/// The host without brackets. Names are as in DNS, plus the underscore that container networks use.
pub(super) fn host_name(host: &str) -> Option<&str> {
    if let Some(inner) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return inner.parse::<std::net::Ipv6Addr>().is_ok().then_some(inner);
    }
    let is_name = host.len() <= 253
        && host.split('.').enumerate().all(|(n, label)| {
            // One empty label is allowed at the end: the root, as in `localhost.`.
            let is_root = label.is_empty() && n > 0 && host.ends_with('.') && !host.ends_with("..");
            let is_label = (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
            is_root || is_label
        });
    // Digits and dots alone are an IPv4 address or a mistake.
    let is_numeric = host.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    (is_name && (!is_numeric || host.parse::<Ipv4Addr>().is_ok())).then_some(host)
}

/// The addresses that Squall itself listens on.
#[derive(Debug, Default)]
pub(crate) struct OwnAddresses(Vec<(String, SocketAddr)>);

impl OwnAddresses {
    /// Notes an address; a problem when it is taken. Port 0 never is: the system chooses.
    pub(crate) fn add(&mut self, path: &str, address: SocketAddr, report: &mut Report) {
        if let Some((taken_by, _)) = self.0.iter().find(|(_, other)| overlaps(*other, address)) {
            report.add(path, format!("{address} is taken by {taken_by}"), "choose another port");
        }
        self.0.push((path.to_owned(), address));
    }

    /// Which of our own sockets a connection to `endpoint` would reach.
    pub(crate) fn reached_by(&self, endpoint: &HostPort) -> Option<&str> {
        let host = endpoint.host.trim_end_matches('.').to_ascii_lowercase();
        let ips: Vec<IpAddr> = match host.parse::<IpAddr>() {
            Ok(ip) => vec![ip],
            Err(_) if host == "localhost" || host.ends_with(".localhost") => {
                vec![Ipv4Addr::LOCALHOST.into(), std::net::Ipv6Addr::LOCALHOST.into()]
            }
            Err(_) => return None,
        };
        let reaches = |own: &SocketAddr| ips.iter().any(|ip| leads_to(*ip, endpoint.port, *own));
        self.0.iter().find(|(_, own)| reaches(own)).map(|(path, _)| path.as_str())
    }
}

fn overlaps(a: SocketAddr, b: SocketAddr) -> bool {
    let (x, y) = (a.ip().to_canonical(), b.ip().to_canonical());
    let same_family = x.is_ipv4() == y.is_ipv4();
    // An IPv6 wildcard socket takes IPv4 connections too, on systems where that is on.
    let wildcard = |ip: IpAddr| ip.is_unspecified() && (same_family || ip.is_ipv6());
    a.port() != 0 && a.port() == b.port() && (x == y || wildcard(x) || wildcard(y))
}

fn leads_to(ip: IpAddr, port: u16, own: SocketAddr) -> bool {
    let (ip, own_ip) = (ip.to_canonical(), own.ip().to_canonical());
    // Connecting to the wildcard address reaches loopback; a wildcard socket is reached through loopback.
    let is_here = ip.is_loopback() || ip.is_unspecified();
    port == own.port()
        && (ip == own_ip || (own_ip.is_unspecified() && is_here) || (ip.is_unspecified() && own_ip.is_loopback()))
}
