//! Where a connection was going before it was redirected here.

use std::io;
use std::net::SocketAddr;

use socket2::SockRef;
use tokio::net::TcpStream;

/// What the kernel says; the address that the connection came to, when nothing redirected it.
///
/// # Errors
/// When the connection is already gone.
pub(crate) fn original_dst(stream: &TcpStream, is_transparent: bool) -> io::Result<SocketAddr> {
    let local = stream.local_addr()?;
    if is_transparent {
        // TPROXY changes nothing: the socket has the address that the client asked for.
        return Ok(canonical(local));
    }
    let socket = SockRef::from(stream);
    // A client of IPv4 at a socket of IPv6 was redirected by the rules for IPv4.
    let is_v4 = local.ip().to_canonical().is_ipv4();
    let redirected = if is_v4 { socket.original_dst_v4() } else { socket.original_dst_v6() };
    let redirected = redirected.ok().and_then(|address| address.as_socket());
    // Without such rules the kernel knows of no other address (ENOENT), or not even of the option (ENOPROTOOPT).
    Ok(canonical(redirected.unwrap_or(local)))
}

/// As it would be written.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "one end is somebody else's")]
    async fn without_a_redirect_it_is_where_it_came_to() {
        for (listens, asked) in [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "::1"), ("[::]:0", "127.0.0.1")] {
            let listener = TcpListener::bind(listens).await.unwrap();
            let to = SocketAddr::new(asked.parse().unwrap(), listener.local_addr().unwrap().port());
            let (_client, accepted) = tokio::join!(TcpStream::connect(to), listener.accept());
            let (accepted, _) = accepted.unwrap();
            for is_transparent in [false, true] {
                assert_eq!(original_dst(&accepted, is_transparent).unwrap(), to, "{listens}");
            }
        }
    }
}
