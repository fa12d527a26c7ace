//! A request head: checked byte for byte, then taken apart (RFC 9112 §2.2, §3, §5, §6).
//!
//! Only heads with one possible reading pass. Two programs that could disagree about where a message ends are what
//! request smuggling lives on; whatever is not beyond doubt is a [`Refusal`].

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version, request};

use super::chunks::Chunks;
use super::decoder::Decoder;
use super::fields::{FIELDS_MAX, options, trim};
use super::input::Input;
use crate::http::refusal::Refusal;

/// A request whose head is in order.
#[derive(Debug)]
pub(crate) struct RequestHead {
    pub(crate) parts: Box<request::Parts>,
    /// Its body, of which nothing was read.
    pub(crate) body: Decoder,
    pub(crate) terms: Terms,
}

/// What the client said about the answer and the connection.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Terms {
    /// HEAD: the answer has no body, whatever its head says.
    pub(crate) is_head: bool,
    pub(crate) is_http10: bool,
    /// Another request may follow on this connection.
    pub(crate) keeps_alive: bool,
    /// It waits for a 100 before it sends the body.
    pub(crate) expects_continue: bool,
    pub(crate) wants_trailers: bool,
    /// CONNECT: what follows a good answer is a tunnel.
    pub(crate) is_connect: bool,
}

/// Takes the next request head from the input; `None` while it is incomplete. `searched` is how much of the input is
/// known to hold no end of a head; it is kept by the caller and begins at 0.
pub(crate) fn take(
    input: &mut Input,
    searched: &mut usize,
    head_bytes_max: usize,
) -> Result<Option<RequestHead>, Refusal> {
    let found = find_head_end(input.bytes(), *searched)?;
    if found.as_ref().map_or(input.len(), |head| head.bytes) > head_bytes_max {
        return Err(Refusal::HeadTooLarge);
    }
    let Some(HeadLength { bytes, n_lines }) = found else {
        *searched = input.len();
        return Ok(None);
    };
    *searched = 0;
    let head = parse(&input.take(bytes), n_lines)?;
    if let Decoder::Chunked(chunks) = &head.body {
        // What is broken already must not reach the upstream.
        Chunks::clone(chunks).check(input.bytes()).map_err(|_| Refusal::MalformedBody)?;
    }
    Ok(Some(head))
}

/// How long a head is.
struct HeadLength {
    /// Up to the end of its empty line.
    bytes: usize,
    /// As many as were seen on the way there.
    n_lines: usize,
}

/// Where the head ends, looking from byte `from` on; `None` while it is incomplete.
///
/// Empty lines before the request line are part of the head (RFC 9112 §2.2).
fn find_head_end(bytes: &[u8], from: usize) -> Result<Option<HeadLength>, Refusal> {
    let (mut at, mut n_lines) = (from, 0);
    while let Some(found) = memchr::memchr(b'\n', &bytes[at..]) {
        let lf = at + found;
        if lf == 0 || bytes[lf - 1] != b'\r' {
            return Err(Refusal::BareLineEnding);
        }
        // Empty, behind one that is not: … CR LF CR LF.
        if lf >= 4 && bytes[lf - 2] == b'\n' && bytes[lf - 4] != b'\n' {
            return Ok(Some(HeadLength { bytes: lf + 1, n_lines }));
        }
        at = lf + 1;
        n_lines += 1;
    }
    Ok(None)
}

/// Parses a complete head, from its first byte to its empty line. `n_lines` is about how many it has.
fn parse(head: &Bytes, n_lines: usize) -> Result<RequestHead, Refusal> {
    let mut lines = Lines { rest: head };
    let mut line = lines.next_line()?;
    while line.is_empty() {
        line = lines.next_line()?;
    }
    let mut parts = Box::new(Request::new(()).into_parts().0);
    parts.version = request_line(head, line, &mut parts.method, &mut parts.uri)?;
    let mut framing = Framing::default();
    // As many as there are: the map does not grow.
    parts.headers = HeaderMap::with_capacity(n_lines.min(FIELDS_MAX));
    for count in 0.. {
        let line = lines.next_line()?;
        if line.is_empty() {
            break;
        }
        if count == FIELDS_MAX {
            return Err(Refusal::HeadTooLarge);
        }
        let (name, value) = field(head, line)?;
        framing.add(&name, value.as_bytes())?;
        parts.headers.append(name, value);
    }
    let is_http10 = parts.version == Version::HTTP_10;
    let body = framing.conclude(is_http10)?;
    let terms = Terms {
        is_head: parts.method == Method::HEAD,
        is_http10,
        keeps_alive: if is_http10 { framing.says_keep_alive && !framing.says_close } else { !framing.says_close },
        expects_continue: framing.expects_continue && !is_http10 && !body.is_done(),
        wants_trailers: framing.wants_trailers,
        is_connect: parts.method == Method::CONNECT,
    };
    // RFC 9110 §9.3.6: it has no content; what looks like some would be taken for bytes of the tunnel, or not.
    if terms.is_connect && !body.is_done() {
        return Err(Refusal::MalformedRequest);
    }
    Ok(RequestHead { parts, body, terms })
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

/// `method SP target SP HTTP/1.x` with single spaces.
fn request_line(head: &Bytes, line: &[u8], method: &mut Method, uri: &mut Uri) -> Result<Version, Refusal> {
    let mut words = line.split(|b| *b == b' ');
    let (Some(verb), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(if line.contains(&b'\r') { Refusal::BareLineEnding } else { Refusal::MalformedRequest });
    };
    // What is no token (RFC 9110 §5.6.2) is no method to the `http` crate.
    *method = Method::from_bytes(verb).map_err(|_| Refusal::MalformedRequest)?;
    if !is_target(verb, target) {
        return Err(Refusal::MalformedRequest);
    }
    *uri = Uri::from_maybe_shared(head.slice_ref(target)).map_err(|_| Refusal::MalformedRequest)?;
    match version {
        b"HTTP/1.1" => Ok(Version::HTTP_11),
        b"HTTP/1.0" => Ok(Version::HTTP_10),
        _ => Err(Refusal::MalformedRequest),
    }
}

/// Origin form, absolute form of a scheme that is HTTP's, or the asterisk of OPTIONS (RFC 9112 §3.2).
fn is_target(method: &[u8], target: &[u8]) -> bool {
    let begins_with = |scheme: &[u8]| target.get(..scheme.len()).is_some_and(|t| t.eq_ignore_ascii_case(scheme));
    let has_form = match target {
        b"*" => method == b"OPTIONS",
        [b'/', ..] => true,
        _ if method == b"CONNECT" => !target.contains(&b'/') && !target.contains(&b'@'),
        _ => begins_with(b"http://") || begins_with(b"https://"),
    };
    // Without an early end, so that the compiler compares many bytes at once.
    has_form && !target.iter().fold(false, |bad, b| bad | (*b <= b' ') | (*b == 0x7f))
}

/// Name and value of a field line. The `http` crate takes as a name exactly what is a token (RFC 9110 §5.6.2), and as
/// a value what has no control characters but tabs (§5.5).
fn field(head: &Bytes, line: &[u8]) -> Result<(HeaderName, HeaderValue), Refusal> {
    if matches!(line[0], b' ' | b'\t') {
        return Err(Refusal::FoldedHeader);
    }
    let colon = memchr::memchr(b':', line).ok_or(Refusal::MalformedRequest)?;
    let name = HeaderName::from_bytes(&line[..colon]).map_err(|_| Refusal::InvalidHeaderName)?;
    let value = trim(&line[colon + 1..]);
    match HeaderValue::from_maybe_shared(head.slice_ref(value)) {
        Ok(value) => Ok((name, value)),
        Err(_) if value.contains(&b'\r') => Err(Refusal::BareLineEnding),
        Err(_) => Err(Refusal::InvalidHeaderValue),
    }
}

/// The fields that say where a message ends, whom it is for, and what becomes of the connection.
#[derive(Default)]
struct Framing {
    hosts: usize,
    content_length: Option<u64>,
    is_chunked: bool,
    says_close: bool,
    says_keep_alive: bool,
    expects_continue: bool,
    wants_trailers: bool,
}

impl Framing {
    fn add(&mut self, name: &HeaderName, value: &[u8]) -> Result<(), Refusal> {
        match name.as_str() {
            "te" => self.wants_trailers |= options(value).any(|o| o.eq_ignore_ascii_case(b"trailers")),
            "host" => self.add_host(value)?,
            "expect" => self.expects_continue |= value.eq_ignore_ascii_case(b"100-continue"),
            "connection" => {
                for option in options(value) {
                    self.says_close |= option.eq_ignore_ascii_case(b"close");
                    self.says_keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            "content-length" => self.add_content_length(value)?,
            "transfer-encoding" => self.add_transfer_encoding(value)?,
            _ => {}
        }
        Ok(())
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

    fn conclude(&self, is_http10: bool) -> Result<Decoder, Refusal> {
        if !is_http10 && self.hosts == 0 {
            return Err(Refusal::InvalidHost);
        }
        match (self.content_length, self.is_chunked) {
            (Some(_), true) => Err(Refusal::AmbiguousLength),
            (None, true) if is_http10 => Err(Refusal::InvalidTransferEncoding),
            (None, true) => Ok(Decoder::Chunked(Box::new(Chunks::new()))),
            (length, false) => Ok(Decoder::length(length.unwrap_or(0))),
        }
    }
}

#[cfg(test)]
#[path = "request_head_tests.rs"]
mod tests;
