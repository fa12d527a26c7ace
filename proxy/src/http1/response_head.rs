//! A response head of an upstream. The syntax is left to a parser that takes what servers really send; where the
//! message ends is decided here (RFC 9112 §6.3).

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version, response};

use super::chunks::Chunks;
use super::decoder::Decoder;
use super::fields::{FIELDS_MAX, options};
use super::input::Input;

/// A larger response head is refused. Generous: it is the operator's own server.
pub(super) const HEAD_BYTES_MAX: usize = 256 * 1024;

/// The words behind the status code, where they are not the usual ones.
#[derive(Clone, Debug)]
pub(crate) struct Reason(pub(crate) Bytes);

/// A response whose head is in order.
#[derive(Debug)]
pub(crate) struct ResponseHead {
    pub(crate) parts: response::Parts,
    pub(crate) body: Decoder,
    /// The connection can take another request when the body was read.
    pub(crate) keeps_alive: bool,
}

/// What is wrong with a head.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadHead {
    #[error("the response head is not HTTP/1")]
    Syntax(#[from] httparse::Error),
    #[error("the response head is larger than {HEAD_BYTES_MAX} bytes")]
    TooLarge,
    #[error("there is no end of interim responses")]
    TooManyInterim,
    #[error("the response head frames its body in a way that cannot be relied on")]
    Framing,
}

/// What an answer is one to: that to HEAD has no body, whatever it says of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnswerTo {
    Head,
    Other,
}

/// Takes the next response head from the input; `None` while it is incomplete.
pub(crate) fn take(input: &mut Input, to: AnswerTo) -> Result<Option<ResponseHead>, BadHead> {
    let bytes = input.bytes().clone();
    let mut fields = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let mut head = httparse::Response::new(&mut []);
    let parsed =
        httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut head, &bytes, &mut fields)?;
    let httparse::Status::Complete(length) = parsed else {
        return if bytes.len() > HEAD_BYTES_MAX { Err(BadHead::TooLarge) } else { Ok(None) };
    };
    let (mut parts, ()) = Response::new(()).into_parts();
    parts.status = head.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(BadHead::Framing)?;
    parts.version = if head.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    if let Some(reason) = head.reason.filter(|r| Some(*r) != parts.status.canonical_reason() && !r.is_empty()) {
        parts.extensions.insert(Reason(Bytes::copy_from_slice(reason.as_bytes())));
    }
    parts.headers = HeaderMap::with_capacity(head.headers.len());
    let mut framing = Framing::default();
    for field in &*head.headers {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| BadHead::Framing)?;
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(field.value)).map_err(|_| BadHead::Framing)?;
        framing.add(&name, field.value)?;
        parts.headers.append(name, value);
    }
    input.take(length);
    if let (Some(length), 2..) = (framing.length, framing.lengths) {
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    let body = framing.body(&parts, to)?;
    let keeps_alive = framing.keeps_alive(parts.version) && !matches!(body, Decoder::UntilEnd);
    Ok(Some(ResponseHead { parts, body, keeps_alive }))
}

/// The fields that say where the message ends, and what becomes of the connection.
#[derive(Default)]
struct Framing {
    /// The one length that all of `lengths` agree on.
    length: Option<u64>,
    lengths: usize,
    codings: usize,
    is_chunked: bool,
    says_close: bool,
    says_keep_alive: bool,
}

impl Framing {
    fn add(&mut self, name: &HeaderName, value: &[u8]) -> Result<(), BadHead> {
        match name.as_str() {
            "connection" => {
                for option in options(value) {
                    self.says_close |= option.eq_ignore_ascii_case(b"close");
                    self.says_keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            "content-length" => options(value).try_for_each(|text| self.add_length(text))?,
            "transfer-encoding" => {
                self.codings += 1;
                self.is_chunked = value.eq_ignore_ascii_case(b"chunked");
            }
            _ => {}
        }
        Ok(())
    }

    fn add_length(&mut self, text: &[u8]) -> Result<(), BadHead> {
        let is_number = (1..=18).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
        if !is_number {
            return Err(BadHead::Framing);
        }
        let length = text.iter().fold(0, |n, digit| n * 10 + u64::from(digit - b'0'));
        if self.length.is_some_and(|agreed| agreed != length) {
            return Err(BadHead::Framing);
        }
        self.length = Some(length);
        self.lengths += 1;
        Ok(())
    }

    /// How the body is framed, in the order of RFC 9112 §6.3.
    fn body(&self, parts: &response::Parts, to: AnswerTo) -> Result<Decoder, BadHead> {
        let has_no_body = to == AnswerTo::Head
            || parts.status.is_informational()
            || matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if has_no_body {
            return Ok(Decoder::Done);
        }
        match self.codings {
            0 => Ok(self.length.map_or(Decoder::UntilEnd, Decoder::length)),
            // With both, the length is what an attacker would like it to be; the coding counts (§6.1).
            1 if self.is_chunked && parts.version == Version::HTTP_11 => {
                Ok(Decoder::Chunked(Box::new(Chunks::of_response())))
            }
            // A coding that cannot be undone here would be passed on as if it were content.
            _ => Err(BadHead::Framing),
        }
    }

    fn keeps_alive(&self, version: Version) -> bool {
        if version == Version::HTTP_10 { self.says_keep_alive } else { !self.says_close }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn head(text: &str) -> Result<Option<ResponseHead>, BadHead> {
        take(&mut Input::of(text.as_bytes()), AnswerTo::Other)
    }

    fn complete(text: &str) -> ResponseHead {
        head(text).unwrap().unwrap()
    }

    #[test]
    fn the_length_of_the_body_is_told_by_the_head() {
        assert!(matches!(complete("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n").body, Decoder::Length(3)));
        assert!(matches!(complete("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").body, Decoder::Done));
        assert!(matches!(complete("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n").body, Decoder::Chunked(_)));
        assert!(matches!(complete("HTTP/1.1 204 No\r\nContent-Length: 3\r\n\r\n").body, Decoder::Done));
        let until_end = complete("HTTP/1.1 200 OK\r\n\r\n");
        assert!(matches!(until_end.body, Decoder::UntilEnd) && !until_end.keeps_alive);
        let equal = complete("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3, 3\r\n\r\n");
        assert_eq!(equal.parts.headers.get_all(CONTENT_LENGTH).iter().collect::<Vec<_>>(), ["3"]);
    }

    #[test]
    fn doubtful_framing_is_an_error() {
        for fields in [
            "Content-Length: 1\r\nContent-Length: 2",
            "Content-Length: -1",
            "Content-Length: 1 2",
            "Content-Length:",
            // Longer than any number.
            "Content-Length: ESSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSS",
            "Content-Length: 99999999999999999999999999999999",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: gzip",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        ] {
            assert!(head(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n")).is_err(), "{fields}");
        }
        assert!(head("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
        assert!(head("HTTP/1.1 42 What\r\n\r\n").is_err());
        assert!(head("HTTP/1.1 200 OK\r\nContent-Le").unwrap().is_none());
    }

    #[test]
    fn persistence_is_a_matter_of_version_and_connection() {
        for (text, expected) in [
            ("HTTP/1.1 204 N\r\n\r\n", true),
            ("HTTP/1.1 204 N\r\nConnection: x, Close\r\n\r\n", false),
            ("HTTP/1.0 204 N\r\n\r\n", false),
            ("HTTP/1.0 204 N\r\nConnection: Keep-Alive\r\n\r\n", true),
        ] {
            assert_eq!(complete(text).keeps_alive, expected, "{text}");
        }
    }

    #[test]
    fn an_unusual_reason_is_kept() {
        assert_eq!(complete("HTTP/1.1 200 Fine\r\n\r\n").parts.extensions.get::<Reason>().unwrap().0, "Fine");
        assert!(complete("HTTP/1.1 200 OK\r\n\r\n").parts.extensions.get::<Reason>().is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = take(&mut Input::of(&[b"HTTP/1.1 200 OK\r\n", &bytes[..]].concat()), AnswerTo::Other);
        }
    }
}
