//! The syntax of header and trailer fields (RFC 9110 §5, RFC 9112 §5).

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::decoder::Malformed;

/// More fields than this are refused.
pub(crate) const FIELDS_MAX: usize = 100;

/// RFC 9110 §5.6.2, as a table: a look-up for each byte of each head.
const TOKEN: [bool; 256] = {
    let (mut table, mut byte) = ([false; 256], 0);
    while byte < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "below 256")]
        let b = byte as u8;
        table[byte] = b.is_ascii_alphanumeric()
            || matches!(
                b,
                b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
            );
        byte += 1;
    }
    table
};

/// Whether this is a token.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|b| TOKEN[usize::from(*b)])
}

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
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_the_grammar() {
        let tokens = (0..=255u8).filter(|b| is_token(&[*b])).map(char::from).collect::<String>();
        assert_eq!(tokens.len(), 77);
        assert!(tokens.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)), "{tokens}");
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
