//! What is redirected and what is left alone.

use clap::ValueEnum;
use ipnet::IpNet;
use squall_inject::PortRange;

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
    /// This plan, with what belongs to these meshes left alone, and each list in the order that nft takes.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_touch_are_one() {
        let ranges = ["90-95", "80", "81-85", "85-86", "88"].map(|text| text.parse().unwrap());
        let merged: Vec<_> = merged(ranges.to_vec()).iter().map(ToString::to_string).collect();
        assert_eq!(merged, ["80-86", "88", "90-95"]);
    }
}
