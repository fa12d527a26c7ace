//! The syntax of header and trailer fields (RFC 9110 §5, RFC 9112 §5).

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::decoder::Malformed;

/// More fields than this are refused.
pub(crate) const FIELDS_MAX: usize = 100;

/// Strips spaces. A tab is legal white space too, but one around a framing value is a known way to make two programs
/// disagree; it stays, and so the value is refused.
pub(crate) fn trim(value: &[u8]) -> &[u8] {
    let start = value.iter().position(|b| *b != b' ').unwrap_or(value.len());
    let end = value.iter().rposition(|b| *b != b' ').map_or(start, |i| i + 1);
    &value[start..end]
}

/// The options that a list value names (RFC 9110 §5.6.1).
pub(crate) fn options(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|b| *b == b',').map(<[u8]>::trim_ascii)
}

/// Parses the trailer fields of a chunked body: lines that end in CR LF, without the empty one.
pub(crate) fn parse_trailers(lines: &[u8]) -> Result<HeaderMap, Malformed> {
    let all = Bytes::copy_from_slice(lines);
    let mut trailers = HeaderMap::new();
    for line in all.split_inclusive(|b| *b == b'\n') {
        let line = line.strip_suffix(b"\r\n").ok_or(Malformed)?;
        let colon = memchr::memchr(b':', line).ok_or(Malformed)?;
        let (name, value) = (&line[..colon], trim(&line[colon + 1..]));
        if trailers.len() == FIELDS_MAX {
            return Err(Malformed);
        }
        let name = HeaderName::from_bytes(name).map_err(|_| Malformed)?;
        let value = HeaderValue::from_maybe_shared(all.slice_ref(value)).map_err(|_| Malformed)?;
        trailers.append(name, value);
    }
    Ok(trailers)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the strictness of both parsers rests on.
    #[test]
    fn the_http_crate_keeps_to_the_grammar() {
        for byte in 0..=255u8 {
            let is_token = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            assert_eq!(HeaderName::from_bytes(&[byte]).is_ok(), is_token, "name {byte:#x}");
            assert_eq!(http::Method::from_bytes(&[byte]).is_ok(), is_token, "method {byte:#x}");
            let is_text = byte == b'\t' || (byte >= b' ' && byte != 0x7f);
            assert_eq!(HeaderValue::from_bytes(&[byte]).is_ok(), is_text, "value {byte:#x}");
        }
        assert!(HeaderName::from_bytes(b"").is_err() && http::Method::from_bytes(b"").is_err());
    }

    #[test]
    fn trailers_are_fields() {
        let trailers = parse_trailers(b"x: 1 \r\nGrpc-Status:0\r\nx: 2\r\n").unwrap();
        assert_eq!(trailers.get_all("x").iter().collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(trailers["grpc-status"], "0");
        assert!(parse_trailers(b"").unwrap().is_empty());
        for bad in [&b"no colon\r\n"[..], b"x : 1\r\n", b": 1\r\n", b"x: \x01\r\n", b"x: 1\n"] {
            assert!(parse_trailers(bad).is_err(), "{bad:?}");
        }
    }
}
