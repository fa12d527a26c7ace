//! Fields that are for one connection and not for the next (RFC 9110 §7.6.1).

use bytes::Bytes;
use http::header::{
    self, CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http_body::Frame;

/// Always removed. `transfer-encoding` is the framing's business and is handled where heads are prepared.
static HOP_BY_HOP: [HeaderName; 5] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("http2-settings"),
    UPGRADE,
];

/// Which of the fields that a proxy has to look at are there: one walk instead of a look-up for each, because most
/// messages have none of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Present {
    /// Any that is for one connection.
    pub(crate) hop_by_hop: bool,
    pub(crate) te: bool,
    pub(crate) expect: bool,
    pub(crate) host: bool,
    pub(crate) content_length: bool,
    pub(crate) transfer_encoding: bool,
    pub(crate) content_type: bool,
}

impl Present {
    pub(crate) fn among(headers: &HeaderMap) -> Self {
        let mut present = Self::default();
        for name in headers.keys() {
            match name.as_str() {
                "host" => present.host = true,
                "content-length" => present.content_length = true,
                "transfer-encoding" => present.transfer_encoding = true,
                "te" => present.te = true,
                "expect" => present.expect = true,
                "content-type" => present.content_type = true,
                // Those of HOP_BY_HOP: by their letters, too, most fields are told from all of these at once.
                "connection" | "keep-alive" | "proxy-connection" | "http2-settings" | "upgrade" => {
                    present.hop_by_hop = true;
                }
                _ => {}
            }
        }
        present
    }
}

/// A sender that nominates these in `Connection` is mistaken or attacks the next hop; they stay.
fn is_protected(name: &HeaderName) -> bool {
    *name == HOST
        || *name == CONTENT_LENGTH
        || *name == TRANSFER_ENCODING
        || *name == TE
        || *name == TRAILER
        || *name == header::AUTHORIZATION
        || *name == header::COOKIE
        || *name == header::CACHE_CONTROL
        || name.as_str().starts_with("x-forwarded-")
}

/// Removes what is for this connection only, including what any `Connection` line nominates.
pub(crate) fn remove(headers: &mut HeaderMap) {
    for name in nominated(headers) {
        headers.remove(name);
    }
    for name in &HOP_BY_HOP {
        // Most are not there, which a walk tells sooner than a look-up.
        if headers.keys().any(|other| other == name) {
            headers.remove(name);
        }
    }
}

/// What `Connection` names besides its common options, which are no fields or are removed anyway.
fn nominated(headers: &HeaderMap) -> Vec<HeaderName> {
    let lines = headers.get_all(CONNECTION).iter().filter_map(|line| line.to_str().ok());
    let options = lines.flat_map(|line| line.split(',')).map(str::trim);
    let is_common = |option: &&str| matches!(*option, "keep-alive" | "close" | "Keep-Alive" | "Close" | "upgrade");
    let names = options.filter(|option| !is_common(option)).filter_map(|name| name.parse::<HeaderName>().ok());
    names.filter(|name| !is_protected(name)).collect()
}

/// Whether `Connection` has this option.
pub(crate) fn connection_has(headers: &HeaderMap, option: &str) -> bool {
    let lines = headers.get_all(CONNECTION).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|o| o.trim().eq_ignore_ascii_case(option))
}

/// Leaves of `TE` only what means the same at every hop: that trailers are welcome. Whether it does.
pub(crate) fn reduce_te(headers: &mut HeaderMap) -> bool {
    let lines = headers.get_all(TE).iter().filter_map(|line| line.to_str().ok());
    let wants_trailers = lines.flat_map(|line| line.split(',')).any(|o| o.trim().eq_ignore_ascii_case("trailers"));
    headers.remove(TE);
    if wants_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    wants_trailers
}

/// Trailers must not change framing, routing or authentication after the fact (RFC 9110 §6.5.1).
fn is_forbidden_trailer(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "content-length"
            | "transfer-encoding"
            | "host"
            | "te"
            | "trailer"
            | "authorization"
            | "content-encoding"
            | "content-type"
            | "content-range"
            | "set-cookie"
            | "cache-control"
    )
}

fn remove_forbidden_trailers(trailers: &mut HeaderMap) {
    if Present::among(trailers).hop_by_hop {
        remove(trailers);
    }
    let forbidden: Vec<HeaderName> = trailers.keys().filter(|name| is_forbidden_trailer(name)).cloned().collect();
    for name in forbidden {
        trailers.remove(name);
    }
}

/// A frame of a body, without trailers that no sender may add.
pub(crate) fn without_forbidden_trailers(frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(mut trailers) => {
            remove_forbidden_trailers(&mut trailers);
            Frame::trailers(trailers)
        }
        Err(frame) => frame,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        let pair =
            |(n, v): &(&str, &str)| (n.parse::<HeaderName>().expect("valid"), HeaderValue::from_str(v).expect("valid"));
        fields.iter().map(pair).collect()
    }

    #[test]
    fn what_is_for_one_connection_is_found_and_removed() {
        for name in &HOP_BY_HOP {
            let mut map = headers(&[("x", "y"), (name.as_str(), "z")]);
            assert_eq!(Present::among(&map), Present { hop_by_hop: true, ..Present::default() }, "{name}");
            remove(&mut map);
            assert_eq!(map.len(), 1, "{name}");
        }
    }

    #[test]
    fn trailers_cannot_reframe() {
        let fields =
            [("grpc-status", "0"), ("content-length", "5"), ("host", "x"), ("set-cookie", "a=b"), ("upgrade", "y")];
        let mut map = headers(&fields);
        remove_forbidden_trailers(&mut map);
        assert_eq!(map.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["grpc-status"]);
    }
}
