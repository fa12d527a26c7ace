//! What an answer looks like: answers that A makes in the same way have the same shape, whatever is in them.

use http::header::{self, CONTENT_TYPE, HeaderName};
use http::response;
use squall_config::model::Fallback;

use super::hash;

/// A hash of status, media type and the names of header fields, in any order.
pub(super) fn shape(head: &response::Parts) -> u64 {
    let names = head.headers.keys().filter(|name| !comes_and_goes(name));
    // A sum, because nobody owes anybody an order of fields.
    let names = names.fold(0, |sum: u64, name| sum.wrapping_add(hash(0, [name.as_str().as_bytes()])));
    let content_type = head.headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    let media_type = memchr::memchr(b';', content_type).map_or(content_type, |end| &content_type[..end]);
    hash(names, [&head.status.as_u16().to_be_bytes()[..], media_type.trim_ascii_end()])
}

/// Whether answers of the same kind have such a field at one time and lack it at another.
fn comes_and_goes(name: &HeaderName) -> bool {
    // Of well-known names a comparison is one of numbers.
    const KNOWN: [HeaderName; 10] = [
        header::AGE,
        header::ALT_SVC,
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::DATE,
        header::ETAG,
        header::EXPIRES,
        header::LAST_MODIFIED,
        header::SET_COOKIE,
        header::TRANSFER_ENCODING,
    ];
    KNOWN.iter().any(|known| known == name)
        || match name.as_str().as_bytes() {
            [b'x', b'-', rest @ ..] => comes_and_goes_extended(rest),
            b"b3" | b"keep-alive" | b"server-timing" | b"traceparent" | b"traceresponse" | b"tracestate" => true,
            _ => false,
        }
}

/// Whether a field comes and goes that has this name behind `x-`.
fn comes_and_goes_extended(name: &[u8]) -> bool {
    matches!(
        name,
        b"amzn-trace-id"
            | b"b3-flags"
            | b"b3-parentspanid"
            | b"b3-sampled"
            | b"b3-spanid"
            | b"b3-traceid"
            | b"cloud-trace-context"
            | b"correlation-id"
            | b"request-id"
            | b"response-time"
            | b"runtime"
            | b"squall-error"
            | b"squall-fault"
            | b"trace-id"
    )
}

/// Which of the first eight of these the answer shows, the n-th in the n-th bit.
pub(super) fn fallbacks(head: &response::Parts, wanted: &[Fallback]) -> u8 {
    let shows = |fallback: &Fallback| {
        let mut values = head.headers.get_all(&fallback.header).iter();
        values.any(|value| fallback.value.as_ref().is_none_or(|wanted| wanted == value))
    };
    (0..8).zip(wanted).filter(|(_, fallback)| shows(fallback)).fold(0, |bits, (n, _)| bits | 1 << n)
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Response};

    use super::*;

    fn head(status: u16, fields: &[(&str, &str)]) -> response::Parts {
        let mut response = Response::builder().status(status);
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        response.body(()).expect("valid").into_parts().0
    }

    #[test]
    fn order_values_and_what_comes_and_goes_make_no_shape() {
        let json = ("content-type", "application/json");
        let one = shape(&head(200, &[json, ("x-a", "1"), ("vary", "x"), ("vary", "y"), ("etag", "1")]));
        for other in [
            &[("x-a", "1"), json, ("vary", "x")][..],
            &[("vary", "z"), ("x-a", "other"), ("content-type", "application/json; charset=utf-8"), ("date", "now")],
            &[("vary", "z"), ("x-a", "1"), json, ("set-cookie", "a"), ("x-request-id", "1"), ("content-length", "1")],
        ] {
            assert_eq!(shape(&head(200, other)), one, "{other:?}");
        }
        for (status, other) in [
            (503, &[json, ("x-a", "1"), ("vary", "x")][..]),
            (200, &[json, ("x-a", "1")]),
            (200, &[json, ("x-a", "1"), ("vary", "x"), ("x-b", "1")]),
            (200, &[("content-type", "text/plain"), ("x-a", "1"), ("vary", "x")]),
        ] {
            assert_ne!(shape(&head(status, other)), one, "{status} {other:?}");
        }
    }

    #[test]
    fn each_fallback_has_a_bit() {
        let fallback = |name: &'static str, value: Option<&'static str>| Fallback {
            header: HeaderName::from_static(name),
            value: value.map(HeaderValue::from_static),
        };
        let wanted =
            [fallback("x-from", Some("cache")), fallback("x-stale", None), fallback("x-from", Some("default"))];
        let bits = |fields: &[(&str, &str)]| fallbacks(&head(200, fields), &wanted);
        assert_eq!(bits(&[]), 0);
        assert_eq!(bits(&[("x-from", "origin")]), 0);
        assert_eq!(bits(&[("x-from", "origin"), ("x-from", "cache")]), 0b001);
        assert_eq!(bits(&[("x-stale", ""), ("x-from", "default")]), 0b110);
        let many = vec![fallback("x-stale", None); 12];
        assert_eq!(fallbacks(&head(200, &[("x-stale", "1")]), &many), 0xFF);
    }
}
