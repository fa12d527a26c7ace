//! Where a proxy listens: as it is written, and whether that can be had.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use socket2::{Domain, Protocol, Socket, Type};
use squall_config::toxiproxy;

use super::refusal::Refusal;

/// The address that is meant; nothing written is any port, no host all interfaces. Names are resolved, IPv4 first. Blocks.
pub(super) fn resolve(listen: &str) -> Result<SocketAddr, Refusal> {
    if let Some(address) = toxiproxy::address(listen) {
        return Ok(address);
    }
    let refuse = |why: String| Refusal::new(500, format!("listen tcp: {why}"));
    let (host, port) =
        listen.rsplit_once(':').ok_or_else(|| refuse(format!("address {listen}: missing port in address")))?;
    let port: u16 = port.parse().map_err(|_| refuse(format!("address {port}: invalid port")))?;
    let found: Vec<SocketAddr> = (host, port).to_socket_addrs().map(Iterator::collect).unwrap_or_default();
    let best = found.iter().find(|address| address.is_ipv4()).or(found.first());
    best.copied().ok_or_else(|| refuse(format!("lookup {host}: no such host")))
}

/// Refuses an address that cannot be listened on, in the words that Go has for it.
pub(super) fn probe(address: SocketAddr) -> Result<(), Refusal> {
    bind(address).map_err(|error| {
        let why = match error.kind() {
            io::ErrorKind::AddrInUse => "address already in use".to_owned(),
            io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
            io::ErrorKind::AddrNotAvailable => "cannot assign requested address".to_owned(),
            _ => error.to_string(),
        };
        Refusal::new(500, format!("listen tcp {address}: bind: {why}"))
    })
}

fn bind(address: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_becomes_an_address() {
        for (listen, address) in [
            ("", "[::]:0"),
            (":26379", "[::]:26379"),
            ("localhost:26379", "127.0.0.1:26379"),
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("[::1]:5", "[::1]:5"),
        ] {
            assert_eq!(resolve(listen).unwrap(), address.parse().unwrap(), "{listen}");
        }
        for (listen, error) in [
            ("6379", "listen tcp: address 6379: missing port in address"),
            ("127.0.0.1:x", "listen tcp: address x: invalid port"),
            ("nowhere.invalid:1", "listen tcp: lookup nowhere.invalid: no such host"),
        ] {
            assert_eq!(resolve(listen).unwrap_err(), Refusal::new(500, error));
        }
    }

    #[test]
    fn an_address_in_use_is_refused_as_go_does() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = probe(address).unwrap_err();
        assert_eq!(error.error, format!("listen tcp {address}: bind: address already in use"));
        drop(taken);
        probe(address).unwrap();
    }
}
