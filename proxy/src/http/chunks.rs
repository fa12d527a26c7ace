//! Follows a chunked body to its end, strictly (RFC 9112 §7.1).

use super::refusal::Refusal;

/// The longest line of size and extensions, and of one trailer field, in bytes.
const LINE_MAX: usize = 4096;
/// All trailer fields together, in bytes.
const TRAILERS_MAX: usize = 16 * 1024;
/// A size of 15 hexadecimal digits stays below 2^60.
const SIZE_DIGITS_MAX: usize = 15;

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

/// The state of one chunked body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunks {
    at: At,
    /// The size being read, then the bytes of data that are left.
    left: u64,
    line: usize,
    trailers: usize,
}

impl Chunks {
    pub(crate) fn new() -> Self {
        Self { at: At::Size { digits: 0 }, left: 0, line: 0, trailers: 0 }
    }

    /// Walks over input; how much of it belongs to the body, and whether the body ended there.
    pub(crate) fn advance(&mut self, input: &[u8]) -> Result<(usize, bool), Refusal> {
        let mut i = 0;
        while i < input.len() {
            if self.at == At::Data {
                let taken = self.left.min((input.len() - i) as u64);
                self.left -= taken;
                i += usize::try_from(taken).unwrap_or(input.len());
                if self.left == 0 {
                    self.at = At::DataCr;
                }
                continue;
            }
            let is_done = self.step(input[i])?;
            i += 1;
            if is_done {
                return Ok((i, true));
            }
        }
        Ok((i, false))
    }

    /// One byte that is not data; whether the body ended with it.
    fn step(&mut self, byte: u8) -> Result<bool, Refusal> {
        self.at = match (self.at, byte) {
            (At::Size { digits }, b) if b.is_ascii_hexdigit() && digits < SIZE_DIGITS_MAX => {
                self.left = self.left * 16 + u64::from(hex(b));
                At::Size { digits: digits + 1 }
            }
            (At::Size { digits: 1.. }, b'\r') | (At::Extension, b'\r') => At::SizeLf,
            (At::Size { digits: 1.. }, b';') => At::Extension,
            (At::Extension, b) if is_text(b) && self.line < LINE_MAX => {
                self.line += 1;
                At::Extension
            }
            (At::SizeLf, b'\n') => {
                self.line = 0;
                if self.left == 0 { At::Trailer { line: 0 } } else { At::Data }
            }
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => At::Size { digits: 0 },
            (At::Trailer { line }, b'\r') => At::TrailerLf { is_last: line == 0 },
            (At::Trailer { line: 0 }, b' ' | b'\t') => return Err(Refusal::MalformedBody),
            (At::Trailer { line }, b) if is_text(b) && line < LINE_MAX && self.trailers < TRAILERS_MAX => {
                self.trailers += 1;
                At::Trailer { line: line + 1 }
            }
            (At::TrailerLf { is_last: true }, b'\n') => return Ok(true),
            (At::TrailerLf { is_last: false }, b'\n') => At::Trailer { line: 0 },
            _ => return Err(Refusal::MalformedBody),
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
