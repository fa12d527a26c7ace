//! `/v1/halt` and `/v1/resume`. They act on the API's own thread and wait for nothing (see [`crate::publish`]); only the
//! answer waits until it is written down.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use crate::app::App;
use crate::calls::halt_status::HaltStatus;
use crate::error::ApiError;
use crate::input::{Change, reason};
use crate::switch::Switch;
use crate::view::answer;

/// `POST /v1/halt`.
pub(crate) async fn halt(State(app): State<Arc<App>>, change: Change) -> Result<Response, ApiError> {
    move_to(&app, change, Switch::Halt).await
}

/// `POST /v1/resume`.
pub(crate) async fn resume(State(app): State<Arc<App>>, change: Change) -> Result<Response, ApiError> {
    move_to(&app, change, Switch::Resume).await
}

async fn move_to(app: &Arc<App>, change: Change, to: Switch) -> Result<Response, ApiError> {
    let generation = app.publisher.switch(&change.write, &reason(change.body)?, to)?;
    if app.publisher.outlives() {
        app.blocking(|app| app.publisher.flush()).await??;
    }
    Ok(answer(StatusCode::OK, generation, &HaltStatus::new(&app.publisher.view())))
}
