//! The answers that the proxy makes itself: for downstream's mistakes, for failures, and for `abort`.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Response, StatusCode, response};
use squall_config::model::{Abort, AbortAnswer};
use squall_fault::requested::RequestedAnswer;

use super::refusal::Refusal;
use super::response::Answered;
use crate::error::ErrorKind;

/// The header that tells a failure of the path from the upstream's own errors.
const ERROR_HEADER: &str = "x-squall-error";

/// Why there is no answer of the upstream, nor one that a rule made up.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    detail: &'static str,
    /// The value of [`ERROR_HEADER`].
    label: Option<Cow<'static, str>>,
}

impl Problem {
    /// Downstream's request cannot be forwarded.
    pub(crate) fn refused(refusal: Refusal) -> Self {
        let label = format!("downstream_{}", refusal.label());
        Self { status: refusal.status(), detail: refusal.detail(), label: Some(label.into()) }
    }

    /// Something failed that nobody injected.
    pub(crate) fn failed(kind: ErrorKind) -> Self {
        Self { status: kind.status(), detail: kind.detail(), label: Some(kind.label().into()) }
    }

    /// A rule held the answer back for longer than the cluster waits.
    pub(crate) fn withheld() -> Self {
        let detail = "no answer within response_timeout, because a rule held it back";
        Self { status: StatusCode::GATEWAY_TIMEOUT, detail, label: None }
    }

    /// What downstream gets: a caller of gRPC its own kind of status beside that of HTTP, which gRPC goes by only where there is none
    /// of its own (gRPC, "HTTP to gRPC Status Code Mapping").
    pub(crate) fn answer(&self, is_grpc: bool) -> Answered {
        let mut answer = if is_grpc {
            grpc(grpc_status_of_http(self.status), self.detail)
        } else {
            problem(self.status, self.detail)
        };
        answer.head.status = self.status;
        if let Some(label) = &self.label {
            insert(&mut answer.head.headers, ERROR_HEADER, label);
        }
        answer
    }
}

/// A rule answers in the upstream's place.
pub(crate) fn aborted(abort: &Abort, rule: &str, is_grpc: bool) -> Answered {
    match &abort.answer {
        AbortAnswer::Http { status, body, headers } => {
            let (mut parts, default_body) = plain(*status, format!("fault injected by rule {rule}\n"));
            for (name, value) in headers {
                if name == CONTENT_TYPE {
                    parts.headers.remove(name);
                }
                parts.headers.append(name, value.clone());
            }
            let body = body.as_ref().map_or(default_body, |body| Bytes::copy_from_slice(body));
            with_length(parts, body)
        }
        AbortAnswer::Grpc { status, message, .. } if is_grpc => grpc(*status, message),
        AbortAnswer::Grpc { status, message, .. } => {
            let text =
                if message.is_empty() { format!("fault injected by rule {rule}\n") } else { format!("{message}\n") };
            let (parts, body) = plain(http_status_of_grpc(*status), text);
            with_length(parts, body)
        }
    }
}

/// A rule answers in the upstream's place, as the caller asked for it.
pub(crate) fn requested(answer: RequestedAnswer, rule: &str) -> Answered {
    match answer {
        RequestedAnswer::Http(status) => {
            let (parts, body) = plain(status, format!("fault injected by rule {rule}\n"));
            with_length(parts, body)
        }
        RequestedAnswer::Grpc(status) => grpc(status, ""),
    }
}

/// Trailers-only: the status in the head of an empty answer (gRPC over HTTP/2, "Responses").
fn grpc(status: u8, message: &str) -> Answered {
    let (mut parts, ()) = Response::new(()).into_parts();
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    grpc_fields(status, message, &mut parts.headers);
    Answered::full(parts, Bytes::new())
}

/// A gRPC status as fields of a head or of trailers.
pub(crate) fn grpc_fields(status: u8, message: &str, fields: &mut HeaderMap) {
    fields.insert("grpc-status", HeaderValue::from(u16::from(status)));
    if !message.is_empty() {
        insert(fields, "grpc-message", &percent_encoded(message));
    }
}

/// The percent-encoding of `grpc-message`: everything but printable ASCII, and the percent sign.
fn percent_encoded(message: &str) -> String {
    let encode =
        |b: u8| if (b' '..=b'~').contains(&b) && b != b'%' { char::from(b).to_string() } else { format!("%{b:02X}") };
    message.bytes().map(encode).collect()
}

/// The HTTP status that corresponds to a gRPC status (google/rpc/code.proto).
fn http_status_of_grpc(status: u8) -> StatusCode {
    match status {
        0 => StatusCode::OK,
        3 | 9 | 11 => StatusCode::BAD_REQUEST,
        4 => StatusCode::GATEWAY_TIMEOUT,
        5 => StatusCode::NOT_FOUND,
        6 | 10 => StatusCode::CONFLICT,
        7 => StatusCode::FORBIDDEN,
        8 => StatusCode::TOO_MANY_REQUESTS,
        12 => StatusCode::NOT_IMPLEMENTED,
        14 => StatusCode::SERVICE_UNAVAILABLE,
        16 => StatusCode::UNAUTHORIZED,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The other way round (the same document).
fn grpc_status_of_http(status: StatusCode) -> u8 {
    match status.as_u16() {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}

fn plain(status: StatusCode, text: String) -> (response::Parts, Bytes) {
    let (mut parts, ()) = Response::new(()).into_parts();
    parts.status = status;
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    (parts, Bytes::from(text))
}

/// RFC 9457.
fn problem(status: StatusCode, detail: &str) -> Answered {
    let title = status.canonical_reason().unwrap_or("error");
    let body = serde_json::json!({ "title": title, "status": status.as_u16(), "detail": detail });
    let (mut parts, body) = plain(status, format!("{body}\n"));
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    with_length(parts, body)
}

fn with_length(mut parts: response::Parts, body: Bytes) -> Answered {
    let may_have_body =
        !matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED | StatusCode::RESET_CONTENT);
    if !may_have_body {
        parts.headers.remove(CONTENT_TYPE);
        return Answered::full(parts, Bytes::new());
    }
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    Answered::full(parts, body)
}

fn insert(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::super::response::AnswerBody;
    use super::*;

    fn full(answered: Answered) -> (response::Parts, Bytes) {
        let Answered { head, body: AnswerBody::Full(body), faults: None } = answered else { panic!("{answered:?}") };
        (head, body)
    }

    #[test]
    fn failures_and_refusals_are_marked() {
        let (parts, body) = full(Problem::refused(Refusal::AmbiguousLength).answer(false));
        assert_eq!(
            (parts.status.as_u16(), &parts.headers["x-squall-error"]),
            (400, &HeaderValue::from_static("downstream_ambiguous_length"))
        );
        assert!(String::from_utf8_lossy(&body).contains("\"status\":400"));
        let (parts, _) = full(Problem::failed(ErrorKind::ConnectTimeout).answer(false));
        assert_eq!(
            (parts.status.as_u16(), &parts.headers["x-squall-error"]),
            (504, &HeaderValue::from_static("upstream_connect_timeout"))
        );
    }

    #[test]
    fn callers_of_grpc_get_a_status_of_grpc_with_the_same_marks_and_words() {
        for (problem, status, error) in [
            (Problem::failed(ErrorKind::ConnectTimeout), "14", Some("upstream_connect_timeout")),
            (Problem::failed(ErrorKind::Overflow), "14", Some("upstream_overflow")),
            (Problem::refused(Refusal::InvalidHost), "13", Some("downstream_invalid_host")),
            (Problem::refused(Refusal::DestinationNotAllowed), "7", Some("downstream_destination_not_allowed")),
            (Problem::refused(Refusal::BodyTimeout), "2", Some("downstream_body_timeout")),
            (Problem::withheld(), "14", None),
        ] {
            let (parts, body) = full(problem.answer(true));
            let field = |name| parts.headers.get(name).map(|value| value.to_str().expect("ASCII"));
            assert_eq!(
                (parts.status, body.len(), field("content-type")),
                (problem.status, 0, Some("application/grpc"))
            );
            assert_eq!((field("grpc-status"), field("x-squall-error")), (Some(status), error), "{problem:?}");
            assert_eq!(field("grpc-message"), Some(problem.detail), "{problem:?}");
        }
    }

    #[test]
    fn grpc_aborts_are_trailers_only_for_grpc_alone() {
        let abort =
            Abort { answer: AbortAnswer::Grpc { status: 14, message: "50% dürr".into(), after_messages: None } };
        let (parts, body) = full(aborted(&abort, "r", true));
        assert_eq!((parts.status.as_u16(), body.len()), (200, 0));
        assert_eq!(
            (&parts.headers["grpc-status"], &parts.headers["grpc-message"]),
            (&HeaderValue::from_static("14"), &HeaderValue::from_static("50%25 d%C3%BCrr"))
        );
        assert_eq!(aborted(&abort, "r", false).head.status, 503);
    }

    #[test]
    fn an_abort_says_what_was_configured() {
        let answer = AbortAnswer::Http {
            status: StatusCode::TOO_MANY_REQUESTS,
            body: Some(b"{}".as_slice().into()),
            headers: vec![
                (CONTENT_TYPE, HeaderValue::from_static("application/json")),
                (http::header::RETRY_AFTER, HeaderValue::from_static("7")),
            ],
        };
        let (parts, body) = full(aborted(&Abort { answer }, "r", false));
        assert_eq!(
            (&*body, parts.headers.len(), &parts.headers[CONTENT_TYPE]),
            (&b"{}"[..], 3, &HeaderValue::from_static("application/json"))
        );
    }
}
