//! `/v1/config`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use squall_config::spec::ConfigSpec;
use squall_config::toxiproxy::lower;
use squall_config::{Problems, parse_value};

use crate::app::App;
use crate::error::ApiError;
use crate::events::EventKind;
use crate::input::{Change, rules_document};
use crate::view::answer;
use crate::write::UpdateError;

/// The answer to a new configuration.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ConfigChange")]
pub(crate) struct ConfigChange<'a> {
    /// The generation now.
    generation: u64,
    /// Whether it is another configuration than before.
    changed: bool,
    /// What does not take effect yet, and why.
    warnings: &'a [String],
    /// The configuration now.
    config: &'a ConfigSpec,
}

/// `GET /v1/config`: the file, as changed by the API, without the rules of experiments and of a controller, with proxies in the words of
/// Toxiproxy; can be put back.
pub(crate) async fn get(State(app): State<Arc<App>>) -> Response {
    let view = app.publisher.view();
    answer(StatusCode::OK, view.generation, &view.written.as_written())
}

/// `PUT /v1/config`.
pub(crate) async fn put(State(app): State<Arc<App>>, mut change: Change) -> Result<Response, ApiError> {
    let mut body = change.take_body()?;
    if body.is_object() {
        body = rules_document(body);
    }
    app.blocking(move |app| {
        let mut lowered = lower(parse_value(&body).map_err(ApiError::invalid)?);
        if !lowered.problems.is_empty() {
            return Err(ApiError::invalid(Problems(lowered.problems)));
        }
        let document = std::mem::take(&mut lowered.document);
        let outcome = app.publisher.update(&change.write, |draft| {
            draft.refuse_ordered(&document.rules)?;
            draft.replace_document(document);
            Ok(())
        });
        let outcome = outcome.map_err(|error| match error {
            UpdateError::Invalid(problems) => ApiError::invalid(Problems(lowered.relocate(problems.0))),
            other => other.into(),
        })?;
        let (generation, changed, warnings) = (outcome.generation, outcome.changed, &outcome.warnings);
        if changed && !change.write.dry_run {
            tracing::info!(by = %change.write.by, generation, ?warnings, "configuration replaced");
            app.publisher.tell(EventKind::Reload, generation, json!({ "source": "api" }));
        }
        let config = &outcome.written.as_written();
        Ok(answer(StatusCode::OK, generation, &ConfigChange { generation, changed, warnings, config }))
    })
    .await?
}
