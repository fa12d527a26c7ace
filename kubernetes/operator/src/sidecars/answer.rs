//! What sidecars are answered.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};

/// A sidecar that is told to come again comes after so long. Seconds.
const RETRY_AFTER: &str = "1";

/// An answer that is no orders, and renews no lease.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    pub(super) detail: String,
    hint: &'static str,
}

impl Refused {
    fn new(status: StatusCode, detail: impl Into<String>, hint: &'static str) -> Self {
        Self { status, detail: detail.into(), hint }
    }

    /// What came is no report.
    pub(super) fn bad(detail: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail, "the versions of Squall and its controller may be too far apart")
    }

    /// Nobody vouches for who asks.
    pub(super) fn unauthenticated(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail, "bring the token of the pod for the audience squall-controller")
    }

    /// It is no pod that asks.
    pub(super) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail, "bring a token that is bound to a pod, as a projected volume has it")
    }

    /// Not now.
    pub(super) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail, "ask again")
    }

    /// An error of the controller.
    pub(super) fn failed(detail: String) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, detail, "see the log of the controller")
    }

    pub(super) fn into_response(self) -> Response {
        let body = serde_json::json!({
            "type": "about:blank",
            "title": self.status.canonical_reason(),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "hint": self.hint,
        });
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// Orders.
pub(super) fn json(text: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
