//! What the API says at one moment.

use http::Method;
use serde::Deserialize;
use serde_json::Value;

use crate::client::{Call, send};
use crate::exit::Failure;
use crate::verb::ClientArgs;

/// The answers of one round.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) status: Value,
    pub(super) rules: Vec<Value>,
    pub(super) traffic: Traffic,
}

/// `GET /v1/traffic`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Traffic {
    pub(super) uptime_seconds: f64,
    pub(super) duration_bounds_seconds: Vec<f64>,
    pub(super) traffic: Vec<Totals>,
}

/// What has gone from one listener to one cluster since the start.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Totals {
    pub(super) listener: String,
    pub(super) cluster: String,
    pub(super) direction: String,
    pub(super) connections: u64,
    pub(super) bytes_request: u64,
    pub(super) bytes_response: u64,
    pub(super) begun: u64,
    pub(super) ended: u64,
    pub(super) injected: u64,
    pub(super) failed: u64,
    pub(super) durations: Vec<u64>,
}

/// The calls of one round.
pub(super) fn calls() -> [Call; 3] {
    ["/v1/status", "/v1/rules", "/v1/traffic"].map(|path| Call::new(Method::GET, path))
}

/// One round.
pub(super) async fn read(client: &ClientArgs) -> Result<Reading, Failure> {
    let ask = async |call: &Call| send(&client.api.control, &client.api.credentials, call).await?.into_value();
    let [status, rules, traffic] = calls();
    let (status, mut rules, traffic) = (ask(&status).await?, ask(&rules).await?, ask(&traffic).await?);
    let rules = match rules["rules"].take() {
        Value::Array(rules) => rules,
        _ => Vec::new(),
    };
    Ok(Reading { status, rules, traffic: serde_json::from_value(traffic).map_err(anyhow::Error::from)? })
}
