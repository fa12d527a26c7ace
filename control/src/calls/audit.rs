//! `/v1/audit`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::{StatusCode, Uri};
use schemars::JsonSchema;
use serde::Serialize;

use crate::app::App;
use crate::audit::{AuditEntry, ENTRIES_MAX};
use crate::error::ApiError;
use crate::view::answer;

/// A screen or two.
pub(crate) const LIMIT_DEFAULT: usize = 100;

/// Who changed what.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Audit")]
pub(crate) struct AuditOut {
    /// The newest last.
    entries: Vec<AuditEntry>,
}

/// `GET /v1/audit`.
pub(crate) async fn get(State(app): State<Arc<App>>, uri: Uri) -> Result<Response, ApiError> {
    let limit = limit(uri.query().unwrap_or_default())?;
    let entries = app.audit.last(limit);
    Ok(answer(StatusCode::OK, app.publisher.generation(), &AuditOut { entries }))
}

fn limit(query: &str) -> Result<usize, ApiError> {
    let mut limit = LIMIT_DEFAULT;
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let number = parameter.strip_prefix("limit=").and_then(|number| number.parse().ok());
        limit = number.filter(|limit| (1..=ENTRIES_MAX).contains(limit)).ok_or_else(|| {
            let hint = format!("the only query parameter is limit, from 1 to {ENTRIES_MAX}");
            ApiError::new(StatusCode::BAD_REQUEST, "query", format!("{parameter:?} cannot be had"), hint)
        })?;
    }
    Ok(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_numbers_within_bounds() {
        for (query, expected) in [("", Some(100)), ("limit=1", Some(1)), ("limit=1000&", Some(1000))] {
            assert_eq!(limit(query).ok(), expected, "{query}");
        }
        for query in ["limit=0", "limit=1001", "limit=-1", "limit=x", "limit", "last=5", "limit=5&last=5"] {
            assert!(limit(query).is_err(), "{query}");
        }
    }
}
