//! Where this process listens itself: no request of the data plane may come back to it, least of all to the control API.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{LazyLock, PoisonError, RwLock};

use super::dialled::Dialled;

/// The addresses that this process listens on.
#[derive(Debug, Default)]
pub(crate) struct OwnAddresses {
    addresses: RwLock<Addresses>,
    /// What it has dialled in place of others.
    pub(crate) dialled: Dialled,
}

#[derive(Debug, Default)]
struct Addresses {
    /// Of the control API and of telemetry; they stay.
    apis: Vec<SocketAddr>,
    /// Of the listeners at the moment.
    listeners: Vec<SocketAddr>,
}

impl OwnAddresses {
    /// Adds an address of the control API or of telemetry.
    pub(crate) fn add_api(&self, address: SocketAddr) {
        self.addresses.write().unwrap_or_else(PoisonError::into_inner).apis.push(address);
    }

    /// From now on the listeners are at these addresses, and nowhere else.
    pub(crate) fn set_listeners(&self, addresses: Vec<SocketAddr>) {
        self.addresses.write().unwrap_or_else(PoisonError::into_inner).listeners = addresses;
    }

    /// Whether a connection to this address would reach one of them.
    pub(crate) fn are_reached_by(&self, address: SocketAddr) -> bool {
        let all = self.addresses.read().unwrap_or_else(PoisonError::into_inner);
        let mut same_port = all.apis.iter().chain(&all.listeners).filter(|own| own.port() == address.port());
        same_port.any(|own| is_reached(own.ip(), address.ip()))
    }
}

/// Whoever connects to the unspecified address gets to this machine; whoever listens on it hears of every address of it.
fn is_reached(own: IpAddr, to: IpAddr) -> bool {
    let (own, to) = (own.to_canonical(), to.to_canonical());
    let is_here = |ip: IpAddr| ip.is_loopback() || ip.is_unspecified() || is_of_this_machine(ip);
    own == to || (to.is_unspecified() && own.is_loopback()) || (own.is_unspecified() && is_here(to))
}

/// Only addresses of this machine can be bound, unless it was told otherwise; nothing is sent.
fn is_of_this_machine(ip: IpAddr) -> bool {
    static BINDS_ANY: LazyLock<bool> = LazyLock::new(|| {
        let is_on = |family: &str| std::fs::read_to_string(format!("/proc/sys/net/{family}/ip_nonlocal_bind"));
        ["ipv4", "ipv6"].iter().any(|family| is_on(family).is_ok_and(|value| value.trim() != "0"))
    });
    UdpSocket::bind(SocketAddr::new(ip, 0)).is_ok() && (!*BINDS_ANY || is_reached_from_itself(ip))
}

/// Whether what is sent there would come from there, as from this machine to itself; nothing is sent.
fn is_reached_from_itself(ip: IpAddr) -> bool {
    let any: IpAddr = if ip.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let from = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((ip, 9))?;
        socket.local_addr()
    });
    from.is_ok_and(|from| from.ip() == ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_an_own_address_is_known() {
        for (own, to, expected) in [
            ("127.0.0.1:9470", "127.0.0.1:9470", true),
            ("127.0.0.1:9470", "[::ffff:127.0.0.1]:9470", true),
            ("127.0.0.1:9470", "0.0.0.0:9470", true),
            ("127.0.0.1:9470", "127.0.0.1:9471", false),
            ("127.0.0.1:9470", "127.0.0.2:9470", false),
            ("127.0.0.1:9470", "192.0.2.1:9470", false),
            ("0.0.0.0:9470", "127.0.0.9:9470", true),
            ("[::]:9470", "127.0.0.1:9470", true),
            ("0.0.0.0:9470", "192.0.2.1:9470", false),
        ] {
            let addresses = OwnAddresses::default();
            addresses.add_api(own.parse().unwrap());
            assert_eq!(addresses.are_reached_by(to.parse().unwrap()), expected, "{to} to {own}");
        }
    }

    #[test]
    fn this_machine_knows_itself() {
        let here = "127.0.0.1".parse().unwrap();
        assert!(is_of_this_machine(here) && is_reached_from_itself(here));
        // Nobody has it (RFC 5737).
        let elsewhere = "192.0.2.1".parse().unwrap();
        assert!(!is_of_this_machine(elsewhere) && !is_reached_from_itself(elsewhere));
    }

    #[test]
    fn a_listener_that_moved_gives_its_address_back() {
        let (addresses, old) = (OwnAddresses::default(), "127.0.0.1:1".parse().unwrap());
        addresses.set_listeners(vec![old]);
        assert!(addresses.are_reached_by(old));
        addresses.set_listeners(vec!["127.0.0.1:2".parse().unwrap()]);
        assert!(!addresses.are_reached_by(old));
    }
}
