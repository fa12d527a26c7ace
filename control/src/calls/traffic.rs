//! `/v1/traffic`: sums, to be asked for again and compared.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use squall_telemetry::TrafficTotals;

use crate::app::App;
use crate::view::answer;

/// What has gone through the listeners since the start.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Traffic")]
pub(crate) struct TrafficOut {
    /// Seconds since start, to divide differences by.
    uptime_seconds: f64,
    /// Upper bounds of the buckets of durations, rising; what is beyond the last is in one more.
    duration_bounds_seconds: &'static [f64],
    /// Of each listener with each cluster, by their names.
    traffic: Vec<TotalsOut>,
}

/// What has gone from one listener to one cluster since the start.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TrafficTotals")]
struct TotalsOut {
    /// The listener.
    listener: String,
    /// The cluster that its traffic goes to.
    cluster: String,
    /// `outbound` or `inbound`.
    direction: &'static str,
    /// Connections of clients that are open.
    connections: u64,
    /// Bytes of bodies and streams towards the cluster.
    bytes_request: u64,
    /// Bytes of bodies and streams from the cluster.
    bytes_response: u64,
    /// HTTP exchanges that began.
    begun: u64,
    /// HTTP exchanges that ended.
    ended: u64,
    /// Those of them that a rule ended.
    injected: u64,
    /// Of the others those that got no answer, or one with a status from 500 on.
    failed: u64,
    /// How many exchanges took how long, by bucket.
    durations: Vec<u64>,
}

impl From<TrafficTotals> for TotalsOut {
    fn from(totals: TrafficTotals) -> Self {
        Self {
            listener: totals.listener.to_string(),
            cluster: totals.cluster.to_string(),
            direction: totals.direction.as_str(),
            connections: totals.connections,
            bytes_request: totals.bytes_request,
            bytes_response: totals.bytes_response,
            begun: totals.begun,
            ended: totals.ended,
            injected: totals.injected,
            failed: totals.failed,
            durations: totals.durations,
        }
    }
}

/// `GET /v1/traffic`.
pub(crate) async fn get(State(app): State<Arc<App>>) -> Response {
    let traffic = app.data_plane.traffic();
    let mut totals: Vec<TotalsOut> = traffic.totals.into_iter().map(TotalsOut::from).collect();
    totals.sort_by(|a, b| (&a.listener, &a.cluster).cmp(&(&b.listener, &b.cluster)));
    let out = TrafficOut {
        uptime_seconds: app.started.elapsed().as_secs_f64(),
        duration_bounds_seconds: traffic.duration_bounds,
        traffic: totals,
    };
    answer(StatusCode::OK, app.publisher.generation(), &out)
}
