//! Heads and bodies in the form of HTTP/1 (RFC 9112).

use std::io::Write;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderMap, HeaderName, TRANSFER_ENCODING};
use http::{Method, StatusCode, request, response};
use http_body::Frame;

use super::output::Output;
use super::request_head::Terms;
use super::response_head::Reason;
use crate::http::date;

/// A body that is not as long as its head said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is not as long as its head says")]
pub(crate) struct WrongLength;

/// What becomes of the trailers of a body in chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trailers {
    Passed,
    Dropped,
}

/// How a body is framed on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoder {
    /// There is none, whatever comes.
    None,
    /// So many bytes are still to come.
    Length(u64),
    /// Chunked; the line end of the last chunk leaves with what follows it.
    Chunked { is_line_end_due: bool, trailers: Trailers },
    /// Everything until the connection ends.
    UntilEnd,
}

impl Encoder {
    pub(crate) fn chunked(trailers: Trailers) -> Self {
        Self::Chunked { is_line_end_due: false, trailers }
    }

    /// Whether all that the head promised was encoded, and nothing is needed to end it.
    pub(crate) fn is_complete(self) -> bool {
        self == Self::Length(0)
    }

    /// Adds a frame to the output, which must not be full.
    pub(crate) fn push(&mut self, frame: Frame<Bytes>, out: &mut Output) -> Result<(), WrongLength> {
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => {
                if let (Self::Chunked { trailers: Trailers::Passed, .. }, Ok(trailers)) = (&self, frame.into_trailers())
                {
                    self.end_with(out, &trailers);
                }
                return Ok(());
            }
        };
        if data.is_empty() {
            return Ok(());
        }
        match self {
            Self::None => {}
            Self::UntilEnd => out.push(data),
            Self::Length(left) => {
                *left = left.checked_sub(data.len() as u64).ok_or(WrongLength)?;
                out.push(data);
            }
            Self::Chunked { is_line_end_due, .. } => {
                let line_end = if std::mem::replace(is_line_end_due, true) { "\r\n" } else { "" };
                // Writing into memory does not fail.
                let _ = write!(out.buffer(), "{line_end}{:x}\r\n", data.len());
                out.push(data);
            }
        }
        Ok(())
    }

    /// Ends the body; after trailers there is nothing left to say.
    pub(crate) fn end(&mut self, out: &mut Output) -> Result<(), WrongLength> {
        match self {
            Self::Chunked { .. } => self.end_with(out, &HeaderMap::new()),
            Self::Length(1..) => return Err(WrongLength),
            Self::None | Self::UntilEnd | Self::Length(0) => {}
        }
        Ok(())
    }

    fn end_with(&mut self, out: &mut Output, trailers: &HeaderMap) {
        let is_due = matches!(self, Self::Chunked { is_line_end_due: true, .. });
        let buffer = out.buffer();
        buffer.extend_from_slice(if is_due { b"\r\n0\r\n" } else { b"0\r\n" });
        for (name, value) in trailers {
            field(buffer, name, value.as_bytes());
        }
        buffer.extend_from_slice(b"\r\n");
        *self = Self::None;
    }
}

/// Writes the head of a prepared request; how its body is to be framed.
pub(crate) fn request_head(parts: &request::Parts, has_body: bool, out: &mut Output) -> Encoder {
    let buffer = out.buffer();
    buffer.extend_from_slice(parts.method.as_str().as_bytes());
    buffer.push(b' ');
    buffer.extend_from_slice(parts.uri.path_and_query().map_or("/", |target| target.as_str()).as_bytes());
    buffer.extend_from_slice(b" HTTP/1.1\r\n");
    let mut encoder = Encoder::None;
    for (name, value) in &parts.headers {
        if *name == CONTENT_LENGTH && has_body {
            encoder = value.to_str().ok().and_then(|v| v.parse().ok()).map_or(Encoder::None, Encoder::Length);
        } else if *name == TRANSFER_ENCODING {
            encoder = Encoder::chunked(Trailers::Passed);
        }
        field(buffer, name, value.as_bytes());
    }
    // RFC 9110 §8.6: where the method has a meaning for a body, its absence is said.
    let expects_length = matches!(parts.method, Method::POST | Method::PUT | Method::PATCH);
    if !has_body && expects_length && !parts.headers.contains_key(CONTENT_LENGTH) {
        buffer.extend_from_slice(b"content-length: 0\r\n");
    }
    buffer.extend_from_slice(b"\r\n");
    encoder
}

/// How an answer goes on behind its head.
#[derive(Debug)]
pub(crate) struct Framing {
    /// Of its body.
    pub(crate) encoder: Encoder,
    /// The connection goes on after it.
    pub(crate) keeps_alive: bool,
}

/// Writes the head of an answer.
///
/// `exact` is the length of the body, where it is known.
pub(crate) fn response_head(parts: &response::Parts, exact: Option<u64>, terms: Terms, out: &mut Output) -> Framing {
    let buffer = out.buffer();
    status_line(parts, buffer);
    let is_switching = parts.status == StatusCode::SWITCHING_PROTOCOLS;
    let (mut length, mut has_date, mut says_close) = (None, false, false);
    for (name, value) in &parts.headers {
        if *name == CONNECTION && !is_switching {
            says_close |= value.as_bytes().eq_ignore_ascii_case(b"close");
            continue;
        } else if *name == CONTENT_LENGTH {
            length = value.to_str().ok().and_then(|v| v.parse::<u64>().ok());
        } else if *name == TRANSFER_ENCODING {
            continue;
        } else if *name == DATE {
            has_date = true;
        }
        field(buffer, name, value.as_bytes());
    }
    let has_no_body = terms.is_head
        || terms.is_connect && parts.status.is_success()
        || parts.status.is_informational()
        || matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let encoder = match length.or(exact) {
        _ if has_no_body => Encoder::None,
        Some(bytes) => {
            if length.is_none() {
                let _ = write!(buffer, "content-length: {bytes}\r\n");
            }
            Encoder::Length(bytes)
        }
        None if terms.is_http10 => Encoder::UntilEnd,
        None => {
            buffer.extend_from_slice(b"transfer-encoding: chunked\r\n");
            Encoder::chunked(if terms.wants_trailers { Trailers::Passed } else { Trailers::Dropped })
        }
    };
    let keeps_alive = terms.keeps_alive && !says_close && encoder != Encoder::UntilEnd;
    if !keeps_alive && !is_switching {
        buffer.extend_from_slice(b"connection: close\r\n");
    } else if terms.is_http10 {
        buffer.extend_from_slice(b"connection: keep-alive\r\n");
    }
    if !has_date && !parts.status.is_informational() {
        field(buffer, &DATE, date::now().as_bytes());
    }
    buffer.extend_from_slice(b"\r\n");
    Framing { encoder, keeps_alive }
}

fn status_line(parts: &response::Parts, buffer: &mut Vec<u8>) {
    buffer.extend_from_slice(b"HTTP/1.1 ");
    buffer.extend_from_slice(parts.status.as_str().as_bytes());
    buffer.push(b' ');
    match parts.extensions.get::<Reason>() {
        Some(reason) => buffer.extend_from_slice(&reason.0),
        None => buffer.extend_from_slice(parts.status.canonical_reason().unwrap_or("").as_bytes()),
    }
    buffer.extend_from_slice(b"\r\n");
}

fn field(buffer: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    let name = name.as_str().as_bytes();
    buffer.reserve(name.len() + value.len() + 4);
    buffer.extend_from_slice(name);
    buffer.extend_from_slice(b": ");
    buffer.extend_from_slice(value);
    buffer.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use http::{Request, Response};

    use super::*;

    fn text(out: &mut Output) -> String {
        String::from_utf8(out.buffer().clone()).unwrap()
    }

    fn answer(fields: &[(&str, &str)], exact: Option<u64>, terms: Terms) -> (String, Encoder, bool) {
        let mut response = Response::builder().header("date", "then");
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        let mut out = Output::new();
        let parts = response.body(()).unwrap().into_parts().0;
        let Framing { encoder, keeps_alive } = response_head(&parts, exact, terms, &mut out);
        (text(&mut out).replace("HTTP/1.1 200 OK\r\ndate: then\r\n", ""), encoder, keeps_alive)
    }

    const KEEP: Terms = Terms {
        is_head: false,
        is_http10: false,
        keeps_alive: true,
        expects_continue: false,
        wants_trailers: false,
        is_connect: false,
    };

    #[test]
    fn answers_are_framed_by_what_is_known() {
        let length = ("content-length", "3");
        assert_eq!(answer(&[length], None, KEEP), ("content-length: 3\r\n\r\n".into(), Encoder::Length(3), true));
        assert_eq!(answer(&[], Some(0), KEEP), ("content-length: 0\r\n\r\n".into(), Encoder::Length(0), true));
        let chunked = ("transfer-encoding: chunked\r\n\r\n".into(), Encoder::chunked(Trailers::Dropped), true);
        assert_eq!(answer(&[("transfer-encoding", "chunked")], None, KEEP), chunked);
        let head = Terms { is_head: true, ..KEEP };
        assert_eq!(answer(&[length], None, head), ("content-length: 3\r\n\r\n".into(), Encoder::None, true));
        let old = Terms { is_http10: true, ..KEEP };
        assert_eq!(answer(&[], None, old), ("connection: close\r\n\r\n".into(), Encoder::UntilEnd, false));
        let kept = ("content-length: 3\r\nconnection: keep-alive\r\n\r\n".into(), Encoder::Length(3), true);
        assert_eq!(answer(&[length], None, old), kept);
        let closed = ("content-length: 3\r\nconnection: close\r\n\r\n".into(), Encoder::Length(3), false);
        assert_eq!(answer(&[length, ("connection", "close")], None, KEEP), closed);
    }

    #[test]
    fn a_date_is_added_where_none_is() {
        let mut out = Output::new();
        response_head(&Response::new(()).into_parts().0, Some(0), KEEP, &mut out);
        assert!(text(&mut out).contains("\r\ndate: ") && text(&mut out).contains(" GMT\r\n"));
    }

    #[test]
    fn a_request_without_body_says_so_where_one_is_expected() {
        for (method, body, expected) in [
            ("POST", false, "POST /x?y HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n"),
            ("GET", false, "GET /x?y HTTP/1.1\r\nhost: a\r\n\r\n"),
        ] {
            let parts = Request::builder().method(method).uri("/x?y").header("host", "a").body(()).unwrap();
            let mut out = Output::new();
            assert_eq!(request_head(&parts.into_parts().0, body, &mut out), Encoder::None);
            assert_eq!(text(&mut out), expected);
        }
    }

    #[test]
    fn chunks_and_trailers() {
        let mut out = Output::new();
        let mut encoder = Encoder::chunked(Trailers::Passed);
        for piece in ["hello", "", "0123456789"] {
            encoder.push(Frame::data(Bytes::from_static(piece.as_bytes())), &mut out).unwrap();
        }
        let trailers = HeaderMap::from_iter([(HeaderName::from_static("x"), "y".parse().unwrap())]);
        encoder.push(Frame::trailers(trailers), &mut out).unwrap();
        encoder.end(&mut out).unwrap();
        assert_eq!(text(&mut out), "5\r\nhello\r\na\r\n0123456789\r\n0\r\nx: y\r\n\r\n");
        let (mut out, mut encoder) = (Output::new(), Encoder::chunked(Trailers::Dropped));
        encoder.push(Frame::trailers(HeaderMap::new()), &mut out).unwrap();
        encoder.end(&mut out).unwrap();
        assert_eq!(text(&mut out), "0\r\n\r\n");
    }

    #[test]
    fn a_length_that_is_not_kept_is_an_error() {
        let mut out = Output::new();
        let mut encoder = Encoder::Length(3);
        encoder.push(Frame::data(Bytes::from_static(b"ab")), &mut out).unwrap();
        assert_eq!(encoder.end(&mut out), Err(WrongLength));
        assert_eq!(encoder.push(Frame::data(Bytes::from_static(b"cd")), &mut out), Err(WrongLength));
    }
}
