//! Checks one HTTP/1 request head, byte for byte.

use super::refusal::Refusal;

/// More fields than this are refused; it is also the parser's own bound.
const FIELDS_MAX: usize = 100;

/// How the body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyLength {
    /// There is none.
    None,
    /// So many bytes, at least 1.
    Bytes(u64),
    /// Chunked.
    Chunked,
}

/// What the gate needs to know of a head that is in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) body: BodyLength,
    /// The client offers to switch protocols and sends no body.
    pub(crate) is_upgrade: bool,
}

/// Where the head ends (behind its empty line), looking from byte `from` on; `None` while it is incomplete.
///
/// Empty lines before the request line are part of the head (RFC 9112 §2.2).
pub(crate) fn find_head_end(bytes: &[u8], from: usize) -> Result<Option<usize>, Refusal> {
    let mut at = from;
    while let Some(found) = memchr::memchr(b'\n', &bytes[at..]) {
        let lf = at + found;
        if lf == 0 || bytes[lf - 1] != b'\r' {
            return Err(Refusal::BareLineEnding);
        }
        let line_is_empty = lf >= 3 && bytes[lf - 2] == b'\n';
        if line_is_empty && bytes[..lf - 1].iter().any(|b| !matches!(b, b'\r' | b'\n')) {
            return Ok(Some(lf + 1));
        }
        at = lf + 1;
    }
    Ok(None)
}

/// Checks a complete head, from its first byte to its empty line.
pub(crate) fn check_head(head: &[u8]) -> Result<Head, Refusal> {
    let mut lines = Lines { rest: head };
    let mut line = lines.next_line()?;
    while line.is_empty() {
        line = lines.next_line()?;
    }
    let is_http_11 = check_request_line(line)?;
    let mut fields = Fields::default();
    for count in 0.. {
        let line = lines.next_line()?;
        if line.is_empty() {
            break;
        }
        if count == FIELDS_MAX {
            return Err(Refusal::HeadTooLarge);
        }
        fields.add(line)?;
    }
    fields.conclude(is_http_11)
}

struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Lines<'a> {
    fn next_line(&mut self) -> Result<&'a [u8], Refusal> {
        let lf = memchr::memchr(b'\n', self.rest).ok_or(Refusal::MalformedRequest)?;
        let (line, rest) = self.rest.split_at(lf + 1);
        self.rest = rest;
        line.strip_suffix(b"\r\n").ok_or(Refusal::BareLineEnding)
    }
}

/// `method SP target SP HTTP/1.x` with single spaces; whether it is HTTP/1.1.
fn check_request_line(line: &[u8]) -> Result<bool, Refusal> {
    let mut words = line.split(|b| *b == b' ');
    let (Some(method), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(if line.contains(&b'\r') { Refusal::BareLineEnding } else { Refusal::MalformedRequest });
    };
    if method.is_empty() || !method.iter().all(|b| is_token(*b)) {
        return Err(Refusal::MalformedRequest);
    }
    if method == b"CONNECT" {
        return Err(Refusal::UnsupportedMethod);
    }
    if !is_target(method, target) {
        return Err(Refusal::MalformedRequest);
    }
    match version {
        b"HTTP/1.1" => Ok(true),
        b"HTTP/1.0" => Ok(false),
        _ => Err(Refusal::MalformedRequest),
    }
}

/// Origin form, absolute form of a scheme that is HTTP's, or the asterisk of OPTIONS (RFC 9112 §3.2).
fn is_target(method: &[u8], target: &[u8]) -> bool {
    let begins_with = |scheme: &[u8]| target.get(..scheme.len()).is_some_and(|t| t.eq_ignore_ascii_case(scheme));
    let has_form = match target {
        b"*" => method == b"OPTIONS",
        [b'/', ..] => true,
        _ => begins_with(b"http://") || begins_with(b"https://"),
    };
    has_form && !target.iter().any(|b| *b <= b' ' || *b == 0x7f)
}

/// The fields that say where a message ends and whom it is for.
#[derive(Default)]
struct Fields {
    hosts: usize,
    content_length: Option<u64>,
    is_chunked: bool,
    is_connection_upgrade: bool,
    has_upgrade: bool,
}

impl Fields {
    fn add(&mut self, line: &[u8]) -> Result<(), Refusal> {
        if matches!(line[0], b' ' | b'\t') {
            return Err(Refusal::FoldedHeader);
        }
        let colon = memchr::memchr(b':', line).ok_or(Refusal::MalformedRequest)?;
        let (name, value) = (&line[..colon], trim(&line[colon + 1..]));
        if name.is_empty() || !name.iter().all(|b| is_token(*b)) {
            return Err(Refusal::InvalidHeaderName);
        }
        if value.iter().any(|b| (*b < b' ' && *b != b'\t') || *b == 0x7f) {
            return Err(if value.contains(&b'\r') { Refusal::BareLineEnding } else { Refusal::InvalidHeaderValue });
        }
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.add_host(value),
            14 if name.eq_ignore_ascii_case(b"content-length") => self.add_content_length(value),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.add_transfer_encoding(value),
            10 if name.eq_ignore_ascii_case(b"connection") => {
                let mut options = value.split(|b| *b == b',').map(trim);
                self.is_connection_upgrade |= options.any(|o| o.eq_ignore_ascii_case(b"upgrade"));
                Ok(())
            }
            7 if name.eq_ignore_ascii_case(b"upgrade") => {
                self.has_upgrade = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn add_host(&mut self, value: &[u8]) -> Result<(), Refusal> {
        self.hosts += 1;
        let is_authority = value.iter().all(|b| b.is_ascii_alphanumeric() || b"-._~!$&'()*+;=:[]%".contains(b));
        if is_authority && self.hosts == 1 { Ok(()) } else { Err(Refusal::InvalidHost) }
    }

    fn add_content_length(&mut self, value: &[u8]) -> Result<(), Refusal> {
        // 18 digits stay below 2^63, so that no sum of lengths overflows.
        let is_number = (1..=18).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
        if !is_number || self.content_length.is_some() {
            return Err(Refusal::InvalidContentLength);
        }
        self.content_length = Some(value.iter().fold(0, |n, digit| n * 10 + u64::from(digit - b'0')));
        Ok(())
    }

    fn add_transfer_encoding(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if self.is_chunked {
            return Err(Refusal::InvalidTransferEncoding);
        }
        if !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Refusal::UnsupportedTransferEncoding);
        }
        self.is_chunked = true;
        Ok(())
    }

    fn conclude(&self, is_http_11: bool) -> Result<Head, Refusal> {
        if is_http_11 && self.hosts == 0 {
            return Err(Refusal::InvalidHost);
        }
        let body = match (self.content_length, self.is_chunked) {
            (Some(_), true) => return Err(Refusal::AmbiguousLength),
            (None, true) if !is_http_11 => return Err(Refusal::InvalidTransferEncoding),
            (None, true) => BodyLength::Chunked,
            (None | Some(0), false) => BodyLength::None,
            (Some(bytes), false) => BodyLength::Bytes(bytes),
        };
        let offers_upgrade = is_http_11 && self.is_connection_upgrade && self.has_upgrade;
        Ok(Head { body, is_upgrade: offers_upgrade && body == BodyLength::None })
    }
}

/// RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Strips spaces. A tab is legal white space too, but one around a framing value is a known way to make two programs
/// disagree; it stays, and so the value is refused.
fn trim(value: &[u8]) -> &[u8] {
    let start = value.iter().position(|b| *b != b' ').unwrap_or(value.len());
    let end = value.iter().rposition(|b| *b != b' ').map_or(start, |i| i + 1);
    &value[start..end]
}
