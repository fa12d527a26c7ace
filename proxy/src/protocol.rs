//! Tells the protocol of a connection from its first bytes.

use std::time::Duration;

use bytes::BytesMut;
use squall_config::model::ListenerProtocol;
use tokio::io::AsyncReadExt;
use tokio::time::Instant;

use crate::net::stream::Stream;

/// RFC 9113 §3.4.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The methods that make a connection of an `auto` listener HTTP/1.
const METHODS: [&[u8]; 9] =
    [b"GET ", b"POST ", b"PUT ", b"HEAD ", b"DELETE ", b"OPTIONS ", b"PATCH ", b"TRACE ", b"CONNECT "];

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
    Tcp,
}

/// Reads into `seen` until the protocol is clear. `None` when the connection ends, or when an HTTP client is silent for
/// too long; silence on an `auto` listener means TCP, because in many protocols the server speaks first.
pub(crate) async fn detect(
    stream: &mut Stream,
    seen: &mut BytesMut,
    expected: ListenerProtocol,
    first: Option<Duration>,
    rest: Duration,
) -> Option<Protocol> {
    let mut until = first.map(|first| Instant::now() + first);
    let mut has_begun = false;
    loop {
        if !has_begun && !seen.is_empty() {
            // All that follows together: a client could take its time for each byte.
            (has_begun, until) = (true, Some(Instant::now() + rest));
        }
        let read = stream.read_buf(seen);
        let outcome = match until {
            Some(until) => tokio::time::timeout_at(until, read).await,
            None => Ok(read.await),
        };
        match outcome {
            Ok(Ok(1..)) => {}
            Ok(Ok(0)) if !seen.is_empty() => return Some(settle(seen, expected)),
            Ok(Ok(0) | Err(_)) => return (expected == ListenerProtocol::Auto).then_some(Protocol::Tcp),
            Err(_elapsed) if expected == ListenerProtocol::Auto => return Some(Protocol::Tcp),
            Err(_elapsed) if seen.is_empty() => return None,
            // The HTTP/1 server answers what is not HTTP.
            Err(_elapsed) => return Some(Protocol::Http1),
        }
        if let Some(protocol) = classify(seen, expected) {
            return Some(protocol);
        }
    }
}

/// The protocol of all that will ever be seen.
fn settle(seen: &[u8], expected: ListenerProtocol) -> Protocol {
    classify(seen, expected).unwrap_or(if expected == ListenerProtocol::Auto { Protocol::Tcp } else { Protocol::Http1 })
}

/// The protocol, once the bytes leave no doubt.
pub(crate) fn classify(seen: &[u8], expected: ListenerProtocol) -> Option<Protocol> {
    if seen.starts_with(HTTP2_PREFACE) {
        return Some(Protocol::Http2);
    }
    if HTTP2_PREFACE.starts_with(seen) {
        return None;
    }
    if expected == ListenerProtocol::Http || METHODS.iter().any(|method| seen.starts_with(method)) {
        return Some(Protocol::Http1);
    }
    if METHODS.iter().any(|method| method.starts_with(seen)) { None } else { Some(Protocol::Tcp) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_tell_the_protocol() {
        use ListenerProtocol::{Auto, Http};
        for (bytes, expected, protocol) in [
            (&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0"[..], Http, Some(Protocol::Http2)),
            (b"PRI * HT", Http, None),
            (b"PRI * HTTP/1.1\r\n", Http, Some(Protocol::Http1)),
            (b"P", Http, None),
            (b"PO", Http, Some(Protocol::Http1)),
            (b"PO", Auto, None),
            (b"GET /", Auto, Some(Protocol::Http1)),
            (b"GETX", Auto, Some(Protocol::Tcp)),
            (b"*1\r\n$4\r\nPING\r\n", Auto, Some(Protocol::Tcp)),
            (b"\x16\x03\x01", Auto, Some(Protocol::Tcp)),
        ] {
            assert_eq!(classify(bytes, expected), protocol, "{bytes:?}");
        }
    }
}
