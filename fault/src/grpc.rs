//! What a request says of the gRPC call that it is (gRPC over HTTP/2, "Requests").

use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};

use crate::meta::RequestMeta;

/// A gRPC call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call<'a> {
    /// Full name with package.
    pub service: &'a str,
    /// Method name.
    pub method: &'a str,
    /// How long the caller waits in all, when it says so.
    pub timeout: Option<Duration>,
}

impl<'a> Call<'a> {
    /// The call that this request is: `content-type: application/grpc…`, path `/service/method`.
    pub fn of(request: &RequestMeta<'a>) -> Option<Self> {
        if !is_grpc(request.headers) {
            return None;
        }
        let (service, method) = request.path.strip_prefix('/')?.rsplit_once('/')?;
        Some(Self { service, method, timeout: timeout(request.headers) })
    }
}

/// Whether the content type is one of gRPC.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(is_grpc_type)
}

/// Whether this content type is one of gRPC.
pub fn is_grpc_type(content_type: &HeaderValue) -> bool {
    const GRPC: &[u8; 16] = b"application/grpc";
    // Each request with a content type is asked: all letters at once, whatever their case. What of the rest differs in this bit
    // from GRPC is a control character, which no value has.
    let begin = |bytes: &[u8; 16]| u128::from_ne_bytes(*bytes) | u128::from_ne_bytes([0x20; 16]);
    content_type.as_bytes().first_chunk().is_some_and(|first| begin(first) == begin(GRPC))
}

/// The `grpc-status` of an answer, in its head or behind its body.
pub fn status(fields: &HeaderMap) -> Option<u8> {
    fields.get("grpc-status")?.to_str().ok()?.parse().ok()
}

/// The `grpc-timeout` of a request: at most eight digits and a unit.
pub fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(value * 3600)),
        "M" => Some(Duration::from_secs(value * 60)),
        "S" => Some(Duration::from_secs(value)),
        "m" => Some(Duration::from_millis(value)),
        "u" => Some(Duration::from_micros(value)),
        "n" => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn a_content_type_is_one_of_grpc_by_its_beginning_in_any_case() {
        for (content_type, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc-web; charset=utf-8", true),
            ("Application/GRPC", true),
            ("application/grp", false),
            ("application/json", false),
            ("application?grpc", false),
            ("applicatio\u{e9}/grpc", false),
            ("xapplication/grpc", false),
            ("", false),
        ] {
            let value = HeaderValue::from_bytes(content_type.as_bytes()).expect("valid");
            assert_eq!(is_grpc_type(&value), expected, "{content_type}");
        }
    }

    #[test]
    fn timeouts_are_digits_and_a_unit() {
        let read = |text: &str| {
            let value = HeaderValue::from_str(text).expect("valid");
            timeout(&HeaderMap::from_iter([(http::HeaderName::from_static("grpc-timeout"), value)]))
        };
        for (text, expected) in [
            ("2H", Some(Duration::from_secs(7200))),
            ("99999999M", Some(Duration::from_secs(5_999_999_940))),
            ("500m", Some(Duration::from_millis(500))),
            ("1u", Some(Duration::from_micros(1))),
            ("7n", Some(Duration::from_nanos(7))),
            ("", None),
            ("S", None),
            ("123456789S", None),
            ("-1S", None),
            ("1.5S", None),
            ("5s", None),
            ("5€", None),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }
}
