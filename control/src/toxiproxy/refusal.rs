//! Refusals as Toxiproxy writes them: JSON that says it is text.

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use squall_config::{Chain, Problems};

use crate::error::ApiError;
use crate::write::UpdateError;

/// Why a call was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Refusal {
    pub(super) error: String,
    pub(super) status: u16,
}

impl Refusal {
    pub(super) fn new(status: u16, error: impl Into<String>) -> Self {
        Self { error: error.into(), status }
    }

    pub(super) fn code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    pub(super) fn bad_body(why: impl std::fmt::Display) -> Self {
        Self::new(400, format!("bad request body: {why}"))
    }

    pub(super) fn missing(field: &str) -> Self {
        Self::new(400, format!("missing required field: {field}"))
    }

    pub(super) fn no_proxy() -> Self {
        Self::new(404, "proxy not found")
    }

    pub(super) fn proxy_exists() -> Self {
        Self::new(409, "proxy already exists")
    }

    pub(super) fn no_toxic() -> Self {
        Self::new(404, "toxic not found")
    }

    pub(super) fn toxic_exists() -> Self {
        Self::new(409, "toxic already exists")
    }

    pub(super) fn no_toxic_type() -> Self {
        Self::new(400, "invalid toxic type")
    }

    pub(super) fn no_stream() -> Self {
        Self::new(400, "stream was invalid, can be either upstream or downstream")
    }
}

/// What Squall alone refuses: its limits, and what no Toxiproxy would find out before the first connection.
impl From<UpdateError> for Refusal {
    fn from(error: UpdateError) -> Self {
        match &error {
            UpdateError::Invalid(Problems(problems)) => {
                let all = problems.iter().map(|problem| match &problem.hint {
                    Some(hint) => format!("{}; {hint}", problem.detail),
                    None => problem.detail.clone(),
                });
                Self::bad_body(all.collect::<Vec<_>>().join(". "))
            }
            _ => Self::new(500, Chain(&error).to_string()),
        }
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self::new(error.status().as_u16(), error.detail())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = self.code();
        let text = serde_json::to_string(&self).expect("invariant: a text and a number cannot fail");
        plain(status, &text)
    }
}

/// An error as Go's library writes it.
pub(super) fn plain(status: StatusCode, text: &str) -> Response {
    let fields = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
        (HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff")),
    ];
    (status, fields, format!("{text}\n")).into_response()
}

pub(super) async fn not_found() -> Response {
    plain(StatusCode::NOT_FOUND, "404 page not found")
}

pub(super) async fn method_not_allowed() -> StatusCode {
    StatusCode::METHOD_NOT_ALLOWED
}
