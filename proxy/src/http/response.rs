//! An answer on its way downstream, and the head of an upstream's in its form for there.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING, UPGRADE};
use http::{Response, StatusCode, Version, response};
use http_body::{Body, Frame};

use super::fault::body::BodyFaults;
use super::hop_by_hop::{self, Present};
use super::tunnel::{Opening, Tunnel};
use crate::error::{BoxError, ErrorKind, ProxyError};
use crate::http1::onward::Onward;
use crate::http2;
use crate::upstream::h1::Leased;

/// The body of an answer as it comes, before faults act on it.
#[derive(Debug)]
pub(crate) enum AnswerBody {
    Empty,
    Full(Bytes),
    Http1(Leased),
    Http2(http2::body::IncomingBody),
    /// The upstream has switched protocols; a tunnel, once it is known for which request.
    Switched(Onward),
    /// No body: what follows is not HTTP.
    Tunnel(Tunnel),
}

impl AnswerBody {
    /// The next frame as it comes from the upstream.
    #[inline(always)]
    pub(crate) fn poll_upstream(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self {
            Self::Empty | Self::Switched(_) | Self::Tunnel(_) => Poll::Ready(None),
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Self::Http1(body) => Pin::new(&mut body.download).poll_frame(cx).map_err(BoxError::from),
            Self::Http2(body) => Pin::new(body).poll_frame(cx).map_err(BoxError::from),
        }
    }
}

/// An answer on its way downstream.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) head: response::Parts,
    pub(crate) body: AnswerBody,
    /// Those that act on the body.
    pub(crate) faults: Option<Box<BodyFaults>>,
}

impl Answered {
    /// 200 without a body: what there is until there is an answer.
    pub(crate) fn empty() -> Self {
        Self { head: Response::new(()).into_parts().0, body: AnswerBody::Empty, faults: None }
    }

    /// One that is all there.
    pub(crate) fn full(head: response::Parts, body: Bytes) -> Self {
        Self { head, body: AnswerBody::Full(body), faults: None }
    }

    /// Makes a tunnel of an upstream that has switched protocols.
    #[cold]
    pub(crate) fn open(&mut self, opening: Opening) {
        self.body = match std::mem::replace(&mut self.body, AnswerBody::Empty) {
            AnswerBody::Switched(onward) => AnswerBody::Tunnel(Tunnel::Relayed(onward, Box::new(opening))),
            body => body,
        };
    }
}

/// Rewrites the head: end-to-end fields only; the body is framed anew for downstream.
pub(crate) fn prepare(parts: &mut response::Parts) -> Result<(), ProxyError> {
    let present = Present::among(&parts.headers);
    let protocol = if present.hop_by_hop { parts.headers.get(UPGRADE).cloned() } else { None };
    if present.hop_by_hop {
        hop_by_hop::remove(&mut parts.headers);
    }
    if present.transfer_encoding {
        check_framing(parts)?;
        parts.headers.remove(TRANSFER_ENCODING);
        // RFC 9112 §6.1: with both, the length is what an attacker would like it to be.
        parts.headers.remove(CONTENT_LENGTH);
    }
    if parts.status == StatusCode::SWITCHING_PROTOCOLS {
        parts.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        if let Some(protocol) = protocol {
            parts.headers.insert(UPGRADE, protocol);
        }
    }
    parts.version = Version::HTTP_11;
    Ok(())
}

/// A transfer coding that Squall cannot undo would be passed on as if it were content.
fn check_framing(parts: &response::Parts) -> Result<(), ProxyError> {
    let mut codings = parts.headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(ProxyError::new(ErrorKind::MalformedResponse)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(fields: &[(&str, &str)]) -> Result<response::Parts, ProxyError> {
        let mut response = http::Response::builder();
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        let mut parts = response.body(()).expect("valid").into_parts().0;
        prepare(&mut parts).map(|()| parts)
    }

    #[test]
    fn framing_is_left_to_the_next_connection() {
        let parts = prepared(&[("transfer-encoding", "chunked"), ("content-length", "5"), ("x", "y")]).expect("fine");
        assert_eq!(parts.headers.len(), 1);
        let parts = prepared(&[("content-length", "5"), ("keep-alive", "x"), ("connection", "close")]).expect("fine");
        assert_eq!(parts.headers.len(), 1);
    }

    #[test]
    fn unknown_codings_are_refused() {
        assert!(prepared(&[("transfer-encoding", "gzip, chunked")]).is_err());
        assert!(prepared(&[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")]).is_err());
    }

    #[test]
    fn repeated_fields_stay_repeated() {
        let parts = prepared(&[("set-cookie", "a=1"), ("set-cookie", "b=2")]).expect("fine");
        assert_eq!(parts.headers.get_all("set-cookie").iter().count(), 2);
    }
}
