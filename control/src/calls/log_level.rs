//! `/v1/log-level`: how much the program's own log says, from now until the program ends.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use squall_config::{Problem, Problems};

use crate::app::App;
use crate::audit::Note;
use crate::error::ApiError;
use crate::input::Change;
use crate::view::answer;

/// What the log says.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogLevel {
    /// A level (error, warn, info, debug), or target=level pairs with commas between them.
    level: String,
}

/// `GET /v1/log-level`.
pub(crate) async fn get(State(app): State<Arc<App>>) -> Response {
    current(&app)
}

/// `PUT /v1/log-level`.
pub(crate) async fn put(State(app): State<Arc<App>>, mut change: Change) -> Result<Response, ApiError> {
    let refuse = |detail: String| {
        let hint = "send {\"level\": \"debug\"} or {\"level\": \"info,squall_proxy=debug\"}";
        ApiError::invalid(Problems(vec![Problem::new("level", detail).with_hint(hint)]))
    };
    let wanted: LogLevel = serde_json::from_value(change.take_body()?).map_err(|error| refuse(error.to_string()))?;
    let take_over = app.data_plane.prepare_log_filter(&wanted.level).map_err(refuse)?;
    change.write.precondition.check(app.publisher.generation())?;
    if !change.write.dry_run {
        take_over();
        let generation = app.publisher.generation();
        app.audit.note(Note::done(&change.write.by, change.write.operation, generation).because(&wanted.level));
        tracing::info!(by = %change.write.by, level = wanted.level, "log level changed");
    }
    Ok(current(&app))
}

fn current(app: &App) -> Response {
    let level = app.data_plane.log_filter();
    answer(StatusCode::OK, app.publisher.generation(), &LogLevel { level })
}
