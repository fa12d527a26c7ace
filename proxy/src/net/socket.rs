//! The only door to sockets: every option that Squall relies on is set here by name.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpSocket, TcpStream};

/// Connections that may wait to be accepted; the kernel lowers it to `net.core.somaxconn` (4096 by default).
const BACKLOG: i32 = 4096;
/// Silence before the first probe of a peer that may be gone.
const KEEPALIVE_TIME: Duration = Duration::from_secs(60);
/// Time between probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// Lost probes after which the connection counts as dead: 60 + 3 × 10 = 90 seconds after the last sign of life.
const KEEPALIVE_RETRIES: u32 = 3;

/// A non-blocking listening socket, of which each worker can have its own at the same address.
///
/// # Errors
/// Whatever the system says of the address: not permitted, not of this host, in use by somebody who does not share it.
pub(crate) fn bind_shared(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    bind(address, true)
}

/// A non-blocking listening socket that has its address alone.
///
/// # Errors
/// Whatever the system says of the address: not permitted, not of this host, in use.
pub(crate) fn bind_alone(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    bind(address, false)
}

fn bind(address: SocketAddr, reuse_port: bool) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restarted Squall must get its port back while connections of the old process are in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(reuse_port)?;
    if address.is_ipv6() {
        // `[::]` serves IPv4 too, whatever `net.ipv6.bindv6only` says.
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Makes a listening socket take what TPROXY diverts to it, whatever address that is for.
///
/// # Errors
/// Without the capability `NET_ADMIN`.
pub(crate) fn accept_transparently(listener: &std::net::TcpListener) -> io::Result<()> {
    let socket = SockRef::from(listener);
    let is_v6 = listener.local_addr()?.is_ipv6();
    // One of IPv6 serves IPv4, too.
    let set = socket
        .set_ip_transparent_v4(true)
        .and_then(|()| if is_v6 { socket.set_ip_transparent_v6(true) } else { Ok(()) });
    // Not to be taken for an address that is not permitted.
    set.map_err(|error| io::Error::new(io::ErrorKind::Unsupported, error))
}

/// Sets the options of an accepted connection.
///
/// # Errors
/// When the connection is already gone.
pub(crate) fn prepare_accepted(stream: &TcpStream) -> io::Result<()> {
    set_stream_options(stream)
}

/// The socket of a connection once more, which is closed when both are.
///
/// # Errors
/// When no descriptors are left.
pub(crate) fn second_handle(stream: &TcpStream) -> io::Result<Socket> {
    SockRef::from(stream).try_clone()
}

/// Connects to an endpoint. Takes as long as the system allows: the caller bounds it.
///
/// # Errors
/// Whatever the system says of the connection.
pub(crate) async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    let stream = socket.connect(address).await?;
    set_stream_options(&stream)?;
    Ok(stream)
}

/// Makes the end of a connection a reset, which throws away what has not been sent.
pub(crate) fn reset_at_end(stream: &TcpStream) {
    // Fails only on a socket that is gone, which needs no reset.
    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    let _gone = stream.set_zero_linger();
}

fn set_stream_options(stream: &TcpStream) -> io::Result<()> {
    // Nagle's algorithm would add up to 40 ms that no rule asked for.
    stream.set_nodelay(true)?;
    let keepalive =
        TcpKeepalive::new().with_time(KEEPALIVE_TIME).with_interval(KEEPALIVE_INTERVAL).with_retries(KEEPALIVE_RETRIES);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_stream_has_the_options() {
        let listener = bind_shared("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let second = bind_shared(address).unwrap();
        drop(second);
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let connected = connect(address).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        prepare_accepted(&accepted).unwrap();
        for stream in [&connected, &accepted] {
            assert!(stream.nodelay().unwrap());
            let socket = SockRef::from(stream);
            assert!(socket.keepalive().unwrap());
            assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE_TIME);
        }
    }

    #[test]
    fn a_port_in_use_is_an_error() {
        let first = bind_alone("127.0.0.1:0".parse().unwrap()).unwrap();
        let error = bind_alone(first.local_addr().unwrap()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}
