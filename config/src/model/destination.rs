//! Destinations that requests may name themselves: the allow-list of a forward proxy; or what a cluster stands for.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use super::HostPort;

/// A set of destinations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Which hosts.
    pub host: DestinationHost,
    /// Which of their ports.
    pub port: DestinationPort,
}

/// Which hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DestinationHost {
    /// Every name and every address.
    Any,
    /// This name, in lower case.
    Name(String),
    /// Every name below this one, in lower case, without the dot before it.
    Below(String),
    /// Addresses. A name is not among them, wherever it points to.
    Addresses(IpNet),
}

/// Which ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DestinationPort {
    /// 80 and 443.
    Web,
    /// Every one.
    Any,
    /// This one.
    One(u16),
}

impl fmt::Display for DestinationHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Name(name) => f.write_str(name),
            Self::Below(parent) => write!(f, "*.{parent}"),
            Self::Addresses(net) => net.fmt(f),
        }
    }
}

impl Destination {
    /// Whether it is one of these.
    pub fn allows(&self, destination: &HostPort) -> bool {
        self.has_port(destination.port) && self.host.allows(&destination.host)
    }

    /// Whether it is listed by its address; what has none yet is so by `*` alone.
    pub fn allows_address(&self, ip: Option<IpAddr>, port: u16) -> bool {
        let has_host = match &self.host {
            DestinationHost::Any => true,
            DestinationHost::Addresses(net) => ip.is_some_and(|ip| net.contains(&ip.to_canonical())),
            DestinationHost::Name(_) | DestinationHost::Below(_) => false,
        };
        has_host && self.has_port(port)
    }

    /// Whether it is listed by this name. Any host at all (`*`) is a matter of addresses.
    pub fn allows_name(&self, name: &str, port: u16) -> bool {
        self.is_name() && self.has_port(port) && self.host.allows(name.trim_end_matches('.'))
    }

    /// Whether it lists names.
    pub fn is_name(&self) -> bool {
        matches!(self.host, DestinationHost::Name(_) | DestinationHost::Below(_))
    }

    fn has_port(&self, port: u16) -> bool {
        match self.port {
            DestinationPort::Web => matches!(port, 80 | 443),
            DestinationPort::Any => true,
            DestinationPort::One(one) => port == one,
        }
    }
}

impl DestinationHost {
    /// Whether a host can be among both.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.includes(other) || other.includes(self)
    }

    fn includes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (Self::Name(_) | Self::Below(_), Self::Name(name)) => self.allows(name),
            (Self::Below(parent), Self::Below(child)) => child == parent || self.allows(child),
            (Self::Addresses(net), Self::Addresses(other)) => net.contains(other),
            _ => false,
        }
    }

    /// Whether it is one of these.
    pub fn allows(&self, host: &str) -> bool {
        match (self, host.parse::<IpAddr>()) {
            (Self::Any, _) => true,
            (Self::Addresses(net), Ok(ip)) => net.contains(&ip.to_canonical()),
            (Self::Name(_) | Self::Below(_), Ok(_)) | (Self::Addresses(_), Err(_)) => false,
            (Self::Name(name), Err(_)) => host.eq_ignore_ascii_case(name),
            (Self::Below(parent), Err(_)) => {
                let host = host.to_ascii_lowercase();
                host.strip_suffix(parent.as_str()).is_some_and(|child| child.len() > 1 && child.ends_with('.'))
            }
        }
    }
}
