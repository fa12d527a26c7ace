//! What is redirected and what is left alone.

use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;
use ipnet::IpNet;

/// What is redirected and what is left alone.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    pub(super) outbound_port: u16,
    /// Incoming connections are left alone without it.
    pub(super) inbound_port: Option<u16>,
    pub(super) skip_uids: Vec<u32>,
    pub(super) skip_outbound_ports: Vec<PortRange>,
    pub(super) skip_inbound_ports: Vec<PortRange>,
    pub(super) skip_subnets: Vec<IpNet>,
    pub(super) ipv6: bool,
}

/// A service mesh that has a sidecar of its own in the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Mesh {
    /// user id 1337, ports 15000-15090
    Istio,
    /// user id 2102, ports 4140-4191
    Linkerd,
}

impl Mesh {
    fn uid(self) -> u32 {
        match self {
            Self::Istio => 1337,
            Self::Linkerd => 2102,
        }
    }

    fn ports(self) -> PortRange {
        match self {
            Self::Istio => PortRange { first: 15000, last: 15090 },
            Self::Linkerd => PortRange { first: 4140, last: 4191 },
        }
    }
}

impl Plan {
    /// The same, with what belongs to these left alone.
    pub(super) fn beside(mut self, meshes: &[Mesh]) -> Self {
        for mesh in meshes {
            self.skip_uids.push(mesh.uid());
            self.skip_outbound_ports.push(mesh.ports());
            self.skip_inbound_ports.push(mesh.ports());
        }
        self.skip_uids.sort_unstable();
        self.skip_uids.dedup();
        self.skip_outbound_ports = merged(self.skip_outbound_ports);
        self.skip_inbound_ports = merged(self.skip_inbound_ports);
        self.skip_subnets = IpNet::aggregate(&self.skip_subnets);
        self
    }
}

/// Sorted, and none of them touching another: sets of nft take it no other way.
fn merged(mut ranges: Vec<PortRange>) -> Vec<PortRange> {
    ranges.sort_unstable();
    let mut merged: Vec<PortRange> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(before) if range.first <= before.last.saturating_add(1) => before.last = before.last.max(range.last),
            _ => merged.push(range),
        }
    }
    merged
}

/// Ports one after another, or one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PortRange {
    pub(super) first: u16,
    pub(super) last: u16,
}

impl PortRange {
    /// As written for a program that has this between the two.
    pub(super) fn with(self, between: char) -> String {
        if self.first == self.last { self.first.to_string() } else { format!("{}{between}{}", self.first, self.last) }
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.with('-'))
    }
}

impl FromStr for PortRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let port = |text: &str| match text.trim().parse::<u16>() {
            Ok(port @ 1..) => Ok(port),
            _ => Err(format!("{text:?} is not a port from 1 to 65535, nor two of them as in 15000-15090")),
        };
        let (first, last) = match text.split_once('-') {
            Some((first, last)) => (port(first)?, port(last)?),
            None => (port(text)?, port(text)?),
        };
        if first > last {
            return Err(format!("{text:?} ends before it begins"));
        }
        Ok(Self { first, last })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_as_linkerd_writes_them() {
        for (text, expected) in [("80", "80"), ("15000-15090", "15000-15090"), ("7-7", "7")] {
            assert_eq!(text.parse::<PortRange>().unwrap().to_string(), expected);
        }
        for text in ["", "0", "x", "90-80", "1-70000", "-1"] {
            assert!(text.parse::<PortRange>().is_err(), "{text}");
        }
    }

    #[test]
    fn ranges_that_touch_are_one() {
        let ranges = ["90-95", "80", "81-85", "85-86", "88"].map(|text| text.parse().unwrap());
        let merged: Vec<_> = merged(ranges.to_vec()).iter().map(ToString::to_string).collect();
        assert_eq!(merged, ["80-86", "88", "90-95"]);
    }
}
