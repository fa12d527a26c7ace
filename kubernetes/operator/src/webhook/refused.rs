//! Requests that are no review.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Why a request has no answer that is a review.
#[derive(Debug)]
pub(super) struct Refused(pub(super) StatusCode, pub(super) String);

impl Refused {
    pub(super) fn answer(self) -> Response {
        let Self(status, detail) = self;
        tracing::debug!(status = status.as_u16(), detail, "not a review");
        (status, axum::Json(json!({ "detail": detail }))).into_response()
    }
}
