//! The allow-list of a cluster whose requests say themselves where they go.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::{Destination, DestinationHost, DestinationPort};

/// Reads `*.example.com`, `api.example.com:8443`, `10.0.0.0/8:*`, `[::1]:80`; the error is the detail and the hint.
pub(crate) fn destination(text: &str) -> Result<Destination, (String, String)> {
    let wrong = |why: &str| {
        let hint = "write a host such as api.example.com, *.example.com or 10.0.0.0/8, and a port behind it if it is \
                    neither 80 nor 443";
        (format!("{text:?} is no destination: {why}"), hint.to_owned())
    };
    let (host, port) = split(text);
    let port = match port {
        None => DestinationPort::Web,
        Some("*") => DestinationPort::Any,
        Some(digits) => match digits.parse() {
            Ok(port @ 1..) => DestinationPort::One(port),
            _ => return Err(wrong(&format!("{digits:?} is not a port from 1 to 65535"))),
        },
    };
    match self::host(host) {
        Some(host) => Ok(Destination { host, port }),
        None => Err(wrong(&format!("{host:?} is neither a name nor an address"))),
    }
}

/// Reads `*.example.com`, `api.example.com`, `10.0.0.0/8`, `[::1]`, `*`.
pub(crate) fn host(text: &str) -> Option<DestinationHost> {
    let bare = text.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(text);
    Some(match (bare.parse::<IpNet>(), bare.parse::<IpAddr>(), bare.strip_prefix("*.")) {
        (Ok(net), ..) => DestinationHost::Addresses(net),
        (_, Ok(ip), _) => DestinationHost::Addresses(ip.into()),
        (_, _, Some(parent)) if is_name(parent) => DestinationHost::Below(parent.to_ascii_lowercase()),
        _ if bare == "*" => DestinationHost::Any,
        _ if is_name(bare) => DestinationHost::Name(bare.to_ascii_lowercase()),
        _ => return None,
    })
}

/// The host and what stands behind its last colon, where that is no part of an IPv6 address.
fn split(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') || host.contains("]/") => (host, Some(port)),
        _ => (text, None),
    }
}

fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    !text.is_empty() && text.len() <= 253 && text.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::HostPort;

    fn allows(pattern: &str, host: &str, port: u16) -> bool {
        destination(pattern).unwrap().allows(&HostPort { host: host.into(), port })
    }

    #[test]
    fn what_is_not_listed_is_not_allowed() {
        for (pattern, host, port, expected) in [
            ("api.example.com", "api.example.com", 443, true),
            ("api.example.com", "API.Example.com", 80, true),
            ("api.example.com", "api.example.com", 8443, false),
            ("api.example.com", "evilapi.example.com", 443, false),
            ("api.example.com:8443", "api.example.com", 8443, true),
            ("api.example.com:8443", "api.example.com", 443, false),
            ("*.example.com", "a.b.example.com", 443, true),
            ("*.example.com", "example.com", 443, false),
            ("*.example.com", "badexample.com", 443, false),
            ("*.example.com", ".example.com", 443, false),
            ("10.0.0.0/8:*", "10.1.2.3", 9, true),
            ("10.0.0.0/8:*", "11.1.2.3", 9, false),
            ("10.0.0.0/8:*", "ten.example", 9, false),
            ("127.0.0.1:9000", "127.0.0.1", 9000, true),
            ("[::1]:9000", "::1", 9000, true),
            ("::1", "::1", 80, true),
            ("fd00::/8", "fd12::1", 443, true),
            ("10.0.0.1", "::ffff:10.0.0.1", 80, true),
            ("*", "anything", 443, true),
            ("*", "anything", 22, false),
            ("*:*", "192.0.2.1", 22, true),
        ] {
            assert_eq!(allows(pattern, host, port), expected, "{pattern} {host}:{port}");
        }
        for pattern in ["", "a b", "http://a", "*.", "a.*", "a:0", "a:x", "10.0.0.0/99", "a..b"] {
            assert!(destination(pattern).is_err(), "{pattern}");
        }
    }
}
