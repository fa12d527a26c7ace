//! The PROXY protocol, versions 1 and 2: a header before the first byte that says whose connection it really is.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ppp::{HeaderResult, v1, v2};
use squall_config::model::ProxyProtocol;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// How a header of version 2 begins, and how long it is until its length is known.
const V2_SIGNATURE: &[u8] = v2::PROTOCOL_PREFIX;
const V2_FIXED_BYTES: usize = 16;
/// The longest header of version 1, line end and all.
const V1_BYTES_MAX: usize = 107;
/// More than addresses and the usual extensions take.
const V2_BYTES_MAX: usize = 4 * 1024;

/// The two ends of a connection, as those see them who began it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) source: SocketAddr,
    /// `None` where nobody asked.
    pub(crate) destination: Option<SocketAddr>,
}

/// Reads a header, and nothing behind it, at most for `limit`. `None` when the connection is of whoever sent the header,
/// such as a health check.
///
/// # Errors
/// No header within the limit, or one that is malformed.
pub(crate) async fn read(stream: &mut TcpStream, limit: Duration) -> io::Result<Option<Ends>> {
    tokio::time::timeout(limit, read_header(stream)).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn read_header(stream: &mut TcpStream) -> io::Result<Option<Ends>> {
    let (mut seen, mut ahead) = (Vec::new(), [0; 512]);
    loop {
        let known = seen.len();
        let n = stream.peek(&mut ahead).await?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        seen.extend_from_slice(&ahead[..n]);
        let end = end_of_header(&seen)?;
        seen.truncate(end.unwrap_or(seen.len()));
        // What belongs to it is taken from the socket; the rest stays for whoever reads next.
        stream.read_exact(&mut ahead[..seen.len() - known]).await?;
        if end.is_some() {
            return parse(&seen);
        }
    }
}

/// The length of the header, once that is clear.
pub(crate) fn end_of_header(seen: &[u8]) -> io::Result<Option<usize>> {
    let malformed = |detail| Err(io::Error::new(io::ErrorKind::InvalidData, detail));
    let begins_with = |signature: &[u8]| seen.iter().zip(signature).all(|(a, b)| a == b);
    if begins_with(V2_SIGNATURE) {
        let Some(fixed) = seen.get(..V2_FIXED_BYTES) else { return Ok(None) };
        let length = V2_FIXED_BYTES + usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
        if length > V2_BYTES_MAX {
            return malformed("the header is too long");
        }
        return Ok((seen.len() >= length).then_some(length));
    }
    if !begins_with(v1::PROTOCOL_PREFIX.as_bytes()) {
        return malformed("there is no header");
    }
    match seen.iter().take(V1_BYTES_MAX).position(|byte| *byte == b'\n') {
        Some(at) => Ok(Some(at + 1)),
        None if seen.len() >= V1_BYTES_MAX => malformed("the header has no end"),
        None => Ok(None),
    }
}

pub(crate) fn parse(header: &[u8]) -> io::Result<Option<Ends>> {
    let malformed = |error: String| io::Error::new(io::ErrorKind::InvalidData, error);
    let ends = |source: (IpAddr, u16), destination: (IpAddr, u16)| {
        Some(Ends { source: source.into(), destination: Some(destination.into()) })
    };
    Ok(match HeaderResult::parse(header) {
        HeaderResult::V1(header) => match header.map_err(|error| malformed(error.to_string()))?.addresses {
            v1::Addresses::Tcp4(a) => {
                ends((a.source_address.into(), a.source_port), (a.destination_address.into(), a.destination_port))
            }
            v1::Addresses::Tcp6(a) => {
                ends((a.source_address.into(), a.source_port), (a.destination_address.into(), a.destination_port))
            }
            v1::Addresses::Unknown => None,
        },
        HeaderResult::V2(header) => {
            let header = header.map_err(|error| malformed(error.to_string()))?;
            match header.addresses {
                _ if header.command == v2::Command::Local => None,
                v2::Addresses::IPv4(a) => {
                    ends((a.source_address.into(), a.source_port), (a.destination_address.into(), a.destination_port))
                }
                v2::Addresses::IPv6(a) => {
                    ends((a.source_address.into(), a.source_port), (a.destination_address.into(), a.destination_port))
                }
                v2::Addresses::Unspecified | v2::Addresses::Unix(_) => None,
            }
        }
    })
}

/// The header for a connection that carries this one, or that is of Squall itself.
///
/// # Errors
/// Never for addresses; the builder can fail for extensions, of which there are none.
pub(crate) fn header(version: ProxyProtocol, carried: Option<Ends>) -> io::Result<Vec<u8>> {
    match (version, carried.map(of_one_family)) {
        (ProxyProtocol::V1, Some(pair)) => Ok(v1::Addresses::from(pair).to_string().into_bytes()),
        (ProxyProtocol::V1, None) => Ok(v1::Addresses::Unknown.to_string().into_bytes()),
        (ProxyProtocol::V2, Some(pair)) => {
            v2::Builder::with_addresses(v2::Version::Two | v2::Command::Proxy, v2::Protocol::Stream, pair).build()
        }
        (ProxyProtocol::V2, None) => v2::Builder::new(v2::Version::Two | v2::Command::Local, 0).build(),
    }
}

/// Both as IPv4 if they are, else both as IPv6. A destination that nobody asked for is all zeros.
fn of_one_family(ends: Ends) -> (SocketAddr, SocketAddr) {
    let canonical = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    let source = canonical(ends.source);
    let unspecified = || match source {
        SocketAddr::V4(_) => SocketAddr::from(([0; 4], 0)),
        SocketAddr::V6(_) => SocketAddr::from(([0; 16], 0)),
    };
    let destination = ends.destination.map_or_else(unspecified, canonical);
    let mapped = |address: SocketAddr| match address.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
        IpAddr::V6(_) => address,
    };
    if source.is_ipv4() == destination.is_ipv4() {
        (source, destination)
    } else {
        (mapped(source), mapped(destination))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::net::for_tests::pair;

    const LIMIT: Duration = Duration::from_secs(5);

    fn ends(source: &str, destination: &str) -> Ends {
        Ends { source: source.parse().unwrap(), destination: Some(destination.parse().unwrap()) }
    }

    #[tokio::test]
    async fn what_is_written_is_read_in_any_pieces_and_the_rest_stays() {
        for version in [ProxyProtocol::V1, ProxyProtocol::V2] {
            for ends in [ends("192.0.2.1:1", "198.51.100.2:443"), ends("[2001:db8::1]:65535", "[::1]:1")] {
                let header = header(version, Some(ends)).unwrap();
                for cut in [1, 5, 13, 15, 17, header.len()] {
                    let (mut client, mut server) = pair().await;
                    let send = async {
                        client.write_all(&header[..cut]).await.unwrap();
                        tokio::task::yield_now().await;
                        client.write_all(&header[cut..]).await.unwrap();
                        client.write_all(b"rest").await.unwrap();
                    };
                    let (_, read) = tokio::join!(send, read(&mut server, LIMIT));
                    assert_eq!(read.unwrap(), Some(ends), "{version:?} cut at {cut}");
                    let mut rest = [0; 4];
                    server.read_exact(&mut rest).await.unwrap();
                    assert_eq!(&rest, b"rest");
                }
            }
        }
    }

    #[tokio::test]
    async fn a_connection_of_the_sender_itself_keeps_its_address() {
        let own = |version| header(version, None).unwrap();
        for header in [own(ProxyProtocol::V1), own(ProxyProtocol::V2), b"PROXY UNKNOWN a b c d\r\n".to_vec()] {
            let (mut client, mut server) = pair().await;
            client.write_all(&header).await.unwrap();
            assert_eq!(read(&mut server, LIMIT).await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn what_is_no_header_is_an_error() {
        let long = [b"PROXY TCP4 ".to_vec(), vec![b'1'; 200]].concat();
        let huge = [V2_SIGNATURE, &[0x21, 0x11, 0xff, 0xff], &[0; 100]].concat();
        let short = [V2_SIGNATURE, &[0x21, 0x11, 0, 2, 0, 0]].concat();
        for bytes in [
            b"GET / HTTP/1.1\r\n".to_vec(),
            b"\x16\x03\x01".to_vec(),
            b"PROXY TCP4 1.2.3.4\r\n".to_vec(),
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 99999\r\n".to_vec(),
            b"PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n".to_vec(),
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n".to_vec(),
            b"PROX".to_vec(),
            long,
            huge,
            short,
        ] {
            let (mut client, mut server) = pair().await;
            client.write_all(&bytes).await.unwrap();
            drop(client);
            assert!(read(&mut server, LIMIT).await.is_err(), "{:?}", String::from_utf8_lossy(&bytes));
        }
    }

    #[test]
    fn families_are_made_alike() {
        let mixed = Ends { source: "192.0.2.1:1".parse().unwrap(), destination: Some("[::1]:2".parse().unwrap()) };
        let text = String::from_utf8(header(ProxyProtocol::V1, Some(mixed)).unwrap()).unwrap();
        assert_eq!(text, "PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n");
        let unknown = Ends { source: "[::ffff:192.0.2.1]:1".parse().unwrap(), destination: None };
        let text = String::from_utf8(header(ProxyProtocol::V1, Some(unknown)).unwrap()).unwrap();
        assert_eq!(text, "PROXY TCP4 192.0.2.1 0.0.0.0 1 0\r\n");
    }
}
