//! The chunked transfer coding, strictly (RFC 9112 §7.1).

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::fields::{FIELDS_MAX, trim};

/// The longest line of size and extensions, and of one trailer field, in bytes.
const LINE_MAX: usize = 4096;
/// All extensions of a request together, in bytes: nobody reads them, and each byte of a body can bring its own.
const EXTENSIONS_MAX: usize = 16 * 1024;
/// All trailer fields together, in bytes.
const TRAILERS_MAX: usize = 16 * 1024;
/// A size of 15 hexadecimal digits stays below 2^60.
const SIZE_DIGITS_MAX: usize = 15;

/// Bytes that break the grammar of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the chunked body is malformed")]
pub(crate) struct Malformed;

/// Where in the grammar the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Size {
        digits: usize,
    },
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// In a trailer line; `0` bytes into it means that an empty line would end the body.
    Trailer {
        line: usize,
    },
    TrailerLf {
        is_last: bool,
    },
}

/// What comes next in the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// So many bytes of framing, and no more input.
    More { framing: usize },
    /// So many bytes of framing, then so many of data.
    Data { framing: usize, data: usize },
    /// So many bytes of framing, with which the body ends.
    End { framing: usize },
}

/// The state of one chunked body.
#[derive(Clone, Debug)]
pub(crate) struct Chunks {
    at: At,
    /// The size being read, then the bytes of data that are left.
    left: u64,
    line: usize,
    extensions: usize,
    /// The lines of the trailer fields.
    trailers: Vec<u8>,
    allows_spaces: bool,
}

impl Chunks {
    /// The body of a request.
    pub(crate) fn new() -> Self {
        Self { at: At::Size { digits: 0 }, left: 0, line: 0, extensions: 0, trailers: Vec::new(), allows_spaces: false }
    }

    /// The body of a response: some servers pad the size with spaces, and nobody but Squall reads them.
    pub(crate) fn of_response() -> Self {
        Self { allows_spaces: true, ..Self::new() }
    }

    /// Bytes of data left in the current chunk.
    pub(crate) fn left(&self) -> u64 {
        if self.at == At::Data { self.left } else { 0 }
    }

    /// Walks over input up to the end of the first piece of data in it.
    pub(crate) fn advance(&mut self, input: &[u8]) -> Result<Next, Malformed> {
        for (i, byte) in input.iter().enumerate() {
            if self.at == At::Data {
                let data = usize::try_from(self.left).map_or(input.len() - i, |left| left.min(input.len() - i));
                self.left -= data as u64;
                if self.left == 0 {
                    self.at = At::DataCr;
                }
                return Ok(Next::Data { framing: i, data });
            }
            if self.step(*byte)? {
                return Ok(Next::End { framing: i + 1 });
            }
        }
        Ok(Next::More { framing: input.len() })
    }

    /// The trailer fields, once the body has ended.
    pub(crate) fn trailers(&self) -> Result<Option<HeaderMap>, Malformed> {
        if self.trailers.is_empty() { Ok(None) } else { parse_trailers(&self.trailers).map(Some) }
    }

    /// Whether the body can begin with this.
    pub(crate) fn check(mut self, mut input: &[u8]) -> Result<(), Malformed> {
        loop {
            match self.advance(input)? {
                Next::Data { framing, data } => input = &input[framing + data..],
                Next::More { .. } => return Ok(()),
                Next::End { .. } => return self.trailers().map(|_| ()),
            }
        }
    }

    /// One byte that is not data; whether the body ended with it.
    fn step(&mut self, byte: u8) -> Result<bool, Malformed> {
        self.at = match (self.at, byte) {
            (At::Size { digits }, b) if b.is_ascii_hexdigit() && digits < SIZE_DIGITS_MAX => {
                self.left = self.left * 16 + u64::from(hex(b));
                At::Size { digits: digits + 1 }
            }
            (At::Size { digits: 1.. }, b'\r') | (At::Extension, b'\r') => At::SizeLf,
            (At::Size { digits: 1.. }, b';') => At::Extension,
            (At::Size { digits: 1.. }, b' ' | b'\t') if self.allows_spaces => At::Extension,
            (At::Extension, b) if is_text(b) && self.line < LINE_MAX => {
                self.line += 1;
                At::Extension
            }
            (At::SizeLf, b'\n') => {
                self.extensions += self.line;
                if self.extensions > EXTENSIONS_MAX && !self.allows_spaces {
                    return Err(Malformed);
                }
                self.line = 0;
                if self.left == 0 { At::Trailer { line: 0 } } else { At::Data }
            }
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => At::Size { digits: 0 },
            (At::Trailer { line }, b'\r') => At::TrailerLf { is_last: line == 0 },
            (At::Trailer { line: 0 }, b' ' | b'\t') => return Err(Malformed),
            (At::Trailer { line }, b) if is_text(b) && line < LINE_MAX && self.trailers.len() < TRAILERS_MAX => {
                self.trailers.push(b);
                At::Trailer { line: line + 1 }
            }
            (At::TrailerLf { is_last: true }, b'\n') => return Ok(true),
            (At::TrailerLf { is_last: false }, b'\n') => {
                self.trailers.extend_from_slice(b"\r\n");
                At::Trailer { line: 0 }
            }
            _ => return Err(Malformed),
        };
        Ok(false)
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}

fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// Parses trailer fields: lines that end in CR LF, without the empty one.
fn parse_trailers(lines: &[u8]) -> Result<HeaderMap, Malformed> {
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
