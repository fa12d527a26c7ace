//! `/v1/lease`. Like the kill switch it acts on the API's own thread and waits for nothing; only the answer waits until it is
//! written down.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use squall_config::units::{format_duration, parse_duration};
use squall_config::{Problem, Problems, defaults};

use crate::app::App;
use crate::calls::halt_status::HaltStatus;
use crate::document::Now;
use crate::error::ApiError;
use crate::input::Change;
use crate::publish::Publisher;
use crate::text::rfc3339;
use crate::view::answer;

/// A name of somebody is shorter.
const HOLDER_LENGTH_MAX: usize = 100;

/// What is asked for.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LeaseRequest {
    /// Who watches over the faults, as in `ci-run-17`.
    holder: String,
    /// How long without a renewal. Default: as long as the configuration allows, where it asks for a lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ttl: Option<String>,
}

/// The lease, and whether faults flow.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "LeaseStatus")]
pub(crate) struct LeaseStatus {
    /// Whether faults flow only while somebody holds it.
    required: bool,
    /// Who holds it; null when nobody does.
    lease: Option<LeaseOut>,
    #[serde(flatten)]
    halt: HaltStatus,
}

/// Somebody watches over the faults.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Lease")]
pub(crate) struct LeaseOut {
    /// Who.
    holder: String,
    /// How long a renewal lasts.
    ttl: String,
    /// Since when. RFC 3339.
    since: String,
    /// Until when, unless it is renewed. RFC 3339.
    expires_at: String,
}

impl LeaseOut {
    /// Of this moment; `None` when nobody holds it.
    pub(crate) fn of(publisher: &Publisher) -> Option<Self> {
        let lease = publisher.lease()?;
        let (since, expires_at) = (rfc3339(lease.since), rfc3339(lease.expiry.at));
        Some(Self { holder: lease.holder, ttl: format_duration(lease.ttl), since, expires_at })
    }
}

/// Whose lease is given back.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LeaseHolder {
    /// Who; another's is not ended.
    holder: String,
}

/// `GET /v1/lease`.
pub(crate) async fn get(State(app): State<Arc<App>>) -> Response {
    current(&app)
}

/// `PUT /v1/lease`.
pub(crate) async fn put(State(app): State<Arc<App>>, mut change: Change) -> Result<Response, ApiError> {
    let wanted: LeaseRequest = serde_json::from_value(change.take_body()?)
        .map_err(|error| refuse("", error.to_string(), "send {\"holder\": \"ci-run-17\", \"ttl\": \"30s\"}"))?;
    let is_plain = |c: char| !c.is_control();
    if wanted.holder.trim().is_empty()
        || wanted.holder.len() > HOLDER_LENGTH_MAX
        || !wanted.holder.chars().all(is_plain)
    {
        return Err(refuse("holder", "this is no name".to_owned(), "say who holds it, in 1 to 100 characters"));
    }
    let ttl = ttl(&app, wanted.ttl.as_deref())?;
    let is_taken = app.publisher.take_lease(&change.write, &wanted.holder, ttl, Now::read())?;
    if let Err(error) = written_down(&app, is_taken).await {
        // After a crash nobody would know of it.
        let _whoever_has_it = app.publisher.release_lease(&change.write, Some(&wanted.holder), Now::read());
        return Err(error);
    }
    Ok(current(&app))
}

/// `DELETE /v1/lease`.
pub(crate) async fn delete(State(app): State<Arc<App>>, change: Change) -> Result<Response, ApiError> {
    let whose: Option<LeaseHolder> = change.body.map(serde_json::from_value).transpose().map_err(|error| {
        refuse("", error.to_string(), "send {\"holder\": \"ci-run-17\"}, or nothing to end anybody's lease")
    })?;
    let whose = whose.as_ref().map(|whose| whose.holder.as_str());
    let is_released = app.publisher.release_lease(&change.write, whose, Now::read())?;
    written_down(&app, is_released).await?;
    Ok(current(&app))
}

/// The time that is asked for.
fn ttl(app: &App, text: Option<&str>) -> Result<Duration, ApiError> {
    let max = app.publisher.lease_ttl_max();
    let is_required = app.publisher.view().written.config.lease_ttl.is_some();
    let Some(text) = text else {
        let missing = || refuse("ttl", "missing".to_owned(), "say how long without a renewal, such as 30s");
        return if is_required { Ok(max) } else { Err(missing()) };
    };
    let ttl = parse_duration(text).map_err(|error| refuse("ttl", error.detail, error.hint))?;
    if !(defaults::LEASE_TTL_FLOOR..=max).contains(&ttl) {
        let (ttl, max) = (format_duration(ttl), format_duration(max));
        let hint = format!("write at most {max}, and renew in time");
        return Err(refuse("ttl", format!("{ttl} is not between 1s and {max}"), &hint));
    }
    Ok(ttl)
}

fn refuse(path: &str, detail: String, hint: &str) -> ApiError {
    ApiError::invalid(Problems(vec![Problem::new(path, detail).with_hint(hint)]))
}

async fn written_down(app: &Arc<App>, is_change: bool) -> Result<(), ApiError> {
    if is_change && app.publisher.outlives() {
        app.blocking(|app| app.publisher.flush()).await??;
    }
    Ok(())
}

fn current(app: &App) -> Response {
    let view = app.publisher.view();
    let required = view.written.config.lease_ttl.is_some();
    let status = LeaseStatus { required, lease: LeaseOut::of(&app.publisher), halt: HaltStatus::new(&view) };
    answer(StatusCode::OK, view.generation, &status)
}
