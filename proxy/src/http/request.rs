//! The head of a request: what rules may look at, and its form for the upstream.

use std::net::IpAddr;

use http::header::{CONTENT_LENGTH, EXPECT, HOST, HeaderValue, TRANSFER_ENCODING, UPGRADE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Uri, Version, request};
use squall_config::model::{ClusterProtocol, Endpoint, HostPort};
use squall_fault::meta::RequestMeta;

use super::hop_by_hop::{self, Present};
use super::refusal::Refusal;
use super::request_body::RequestBody;

/// A request on its way through Squall.
#[derive(Debug)]
pub(crate) struct Incoming {
    /// Boxed, because it is handed on many times, and every future on the way would hold it twice.
    pub(crate) head: Box<request::Parts>,
    pub(crate) body: RequestBody,
}

/// Refuses what cannot be forwarded without guessing. For HTTP/1 that was done with the bytes, but for CONNECT, which
/// makes sense only where requests say themselves where they go.
pub(crate) fn check(parts: &request::Parts, forwards: bool) -> Result<(), Refusal> {
    if parts.method == Method::CONNECT && !(forwards && parts.version != Version::HTTP_2) {
        return Err(Refusal::UnsupportedMethod);
    }
    if parts.version == Version::HTTP_2 { check_http2(parts) } else { Ok(()) }
}

/// `:authority` and Host must agree (RFC 9113 §8.3.1), and there is one of them.
fn check_http2(parts: &request::Parts) -> Result<(), Refusal> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    match (parts.uri.authority(), hosts.next(), hosts.next()) {
        (Some(authority), Some(host), None) if authority.as_str().as_bytes() != host.as_bytes() => {
            Err(Refusal::InvalidHost)
        }
        (_, _, Some(_)) | (None, None, _) => Err(Refusal::InvalidHost),
        _ if parts.headers.get_all(CONTENT_LENGTH).iter().count() > 1 => Err(Refusal::InvalidContentLength),
        _ if parts.headers.contains_key(TRANSFER_ENCODING) => Err(Refusal::InvalidTransferEncoding),
        _ => Ok(()),
    }
}

/// Whom the request is for, as the client named it: the target's authority goes before Host (RFC 9112 §3.2.2).
pub(crate) fn authority(parts: &request::Parts) -> &str {
    match parts.uri.authority() {
        Some(authority) => authority.as_str(),
        None => parts.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or(""),
    }
}

/// What rules may look at of a request.
pub(crate) fn meta<'a>(head: &'a request::Parts, source: IpAddr, endpoint: &'a Endpoint) -> RequestMeta<'a> {
    RequestMeta {
        source,
        endpoint,
        method: &head.method,
        path: head.uri.path(),
        query: head.uri.query(),
        authority: authority(head),
        headers: &head.headers,
    }
}

/// The protocol that the client offers to switch to, when it is one that can be tunnelled.
///
/// h2c and TLS upgrades change how HTTP itself is framed; passing them on would let requests through unseen.
pub(crate) fn offered_upgrade(parts: &request::Parts) -> Option<HeaderValue> {
    if parts.version != Version::HTTP_11 || !hop_by_hop::connection_has(&parts.headers, "upgrade") {
        return None;
    }
    let mut offers = parts.headers.get_all(UPGRADE).iter();
    let (Some(offer), None) = (offers.next(), offers.next()) else { return None };
    let name = offer.to_str().ok()?.trim().to_ascii_lowercase();
    let is_http = name.starts_with("h2") || name.starts_with("http") || name.starts_with("tls") || name.contains(',');
    (!is_http && !name.is_empty()).then(|| offer.clone())
}

/// Where a request goes next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hop<'a> {
    pub(crate) protocol: ClusterProtocol,
    pub(crate) is_tls: bool,
    /// Named as Host when a client of HTTP/1.0 named none.
    pub(crate) endpoint: &'a HostPort,
}

/// Rewrites the head for the upstream: end-to-end fields only, one Host, framing for the protocol it speaks. `present` is what it has.
pub(crate) fn rewrite(
    parts: &mut request::Parts,
    present: Present,
    has_body: bool,
    upgrade: Option<HeaderValue>,
    hop: Hop<'_>,
) {
    let Hop { protocol, is_tls, endpoint } = hop;
    if parts.uri.authority().is_some() || !present.host {
        let host = match parts.uri.authority() {
            Some(authority) => HeaderValue::from_str(authority.as_str()),
            None if parts.version == Version::HTTP_10 => HeaderValue::try_from(endpoint.to_string()),
            // A rule has taken it away.
            None => Ok(HeaderValue::from_static("")),
        };
        if let Ok(host) = host {
            parts.headers.insert(HOST, host);
        }
    }
    if present.hop_by_hop {
        hop_by_hop::remove(&mut parts.headers);
    }
    let wants_trailers = present.te && hop_by_hop::reduce_te(&mut parts.headers);
    if present.expect {
        // The 100 is answered here, when the body is first asked for; a fault that needs no body asks for none.
        parts.headers.remove(EXPECT);
    }
    match protocol {
        // Without it the body of a GET would be lost: its length is unknown and not expected.
        ClusterProtocol::Http1 if has_body && !present.content_length => {
            parts.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        _ if present.transfer_encoding => {
            parts.headers.remove(TRANSFER_ENCODING);
        }
        _ => {}
    }
    match protocol {
        ClusterProtocol::Http1 => to_http1(parts, wants_trailers, upgrade),
        ClusterProtocol::Http2 => to_http2(parts, if is_tls { Scheme::HTTPS } else { Scheme::HTTP }),
    }
}

fn to_http1(parts: &mut request::Parts, wants_trailers: bool, upgrade: Option<HeaderValue>) {
    parts.version = Version::HTTP_11;
    if parts.uri.authority().is_some() {
        let target = parts.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        parts.uri = target.parse().unwrap_or_default();
    }
    if let Some(protocol) = upgrade {
        parts.headers.insert(http::header::CONNECTION, HeaderValue::from_static("upgrade"));
        parts.headers.insert(UPGRADE, protocol);
    } else if wants_trailers {
        // RFC 9110 §10.1.4: TE is itself a field of one connection.
        parts.headers.insert(http::header::CONNECTION, HeaderValue::from_static("te"));
    }
}

fn to_http2(parts: &mut request::Parts, scheme: Scheme) {
    parts.version = Version::HTTP_2;
    let authority = parts.headers.remove(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let mut uri = std::mem::take(&mut parts.uri).into_parts();
    uri.scheme = Some(scheme);
    uri.authority = authority.or(uri.authority);
    uri.path_and_query.get_or_insert_with(|| PathAndQuery::from_static("/"));
    parts.uri = Uri::from_parts(uri).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use http::Request;
    use http::header::TE;

    use super::*;

    fn hop(protocol: ClusterProtocol) -> Hop<'static> {
        static ENDPOINT: LazyLock<HostPort> = LazyLock::new(|| HostPort { host: "e".into(), port: 1 });
        Hop { protocol, is_tls: false, endpoint: &ENDPOINT }
    }

    fn to_http1(head: &mut request::Parts, has_body: bool) {
        rewritten(head, has_body, hop(ClusterProtocol::Http1));
    }

    fn parts(uri: &str, fields: &[(&'static str, &'static str)]) -> request::Parts {
        let mut request = Request::builder().uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).expect("valid").into_parts().0
    }

    fn rewritten(head: &mut request::Parts, has_body: bool, hop: Hop<'_>) {
        rewrite(head, Present::among(&head.headers), has_body, None, hop);
    }

    #[test]
    fn absolute_form_overrides_host() {
        let mut head = parts("http://b:81/x?y", &[("host", "a")]);
        assert_eq!(authority(&head), "b:81");
        to_http1(&mut head, false);
        assert_eq!((head.uri.to_string().as_str(), &head.headers[HOST]), ("/x?y", &HeaderValue::from_static("b:81")));
    }

    #[test]
    fn a_missing_host_becomes_the_endpoint() {
        let mut head = parts("/", &[]);
        head.version = Version::HTTP_10;
        to_http1(&mut head, false);
        assert_eq!(head.headers[HOST], "e:1");
    }

    #[test]
    fn http2_wants_an_absolute_target_and_no_connection_fields() {
        let mut head =
            parts("/x", &[("host", "a"), ("te", "trailers"), ("connection", "te"), ("expect", "100-continue")]);
        rewritten(&mut head, false, hop(ClusterProtocol::Http2));
        assert_eq!(head.uri.to_string(), "http://a/x");
        assert_eq!(head.headers.len(), 1);
        assert_eq!(head.headers[TE], "trailers");
        let mut head = parts("/x", &[("host", "a")]);
        rewritten(&mut head, false, Hop { is_tls: true, ..hop(ClusterProtocol::Http2) });
        assert_eq!(head.uri.to_string(), "https://a/x");
    }

    #[test]
    fn a_body_without_length_is_chunked() {
        let mut head = parts("/", &[("host", "a")]);
        to_http1(&mut head, true);
        assert_eq!(head.headers[TRANSFER_ENCODING], "chunked");
        let mut head = parts("/", &[("host", "a"), ("content-length", "3")]);
        to_http1(&mut head, true);
        assert!(!head.headers.contains_key(TRANSFER_ENCODING));
    }

    #[test]
    fn only_protocols_that_are_not_http_are_tunnelled() {
        for (offer, expected) in
            [("websocket", true), ("h2c", false), ("HTTP/2.0", false), ("TLS/1.0", false), ("a, h2c", false)]
        {
            let head = parts("/", &[("connection", "upgrade"), ("upgrade", offer)]);
            assert_eq!(offered_upgrade(&head).is_some(), expected, "{offer}");
        }
        assert!(offered_upgrade(&parts("/", &[("upgrade", "websocket")])).is_none());
    }
}
