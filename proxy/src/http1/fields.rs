//! The syntax of header and trailer fields (RFC 9110 §5, RFC 9112 §5).

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

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

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
}
