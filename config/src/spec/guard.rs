//! What stops all faults by itself: guards, and a lease that nobody renews.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shape;
use super::written::Scalar;

/// A condition that stops all faults when it holds, as the kill switch does: until somebody resumes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object with name and condition")]
#[schemars(extend("required" = ["name", "condition"]))]
pub struct GuardSpec {
    /// A name that is unique among guards.
    pub name: String,
    /// What must not go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition: Option<ConditionSpec>,
}

/// What a guard looks at, and how much of it for how long is too much.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object such as {metric: error_rate, above: 1%, for: 60s}")]
pub struct ConditionSpec {
    /// Of the HTTP traffic that goes through Squall: `error_rate`, the share of the requests that nobody's rule answered whose
    /// answer has a status from 500 on or that got none; `p50`, `p90`, `p95`, `p99` or `p999`, what a request takes from its
    /// head to the end of the answer, with what rules add; `in_flight`, requests at once; `request_rate`, requests a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::guard_metric")]
    pub metric: Option<String>,
    /// Only of the listeners of this direction. Default: of both.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::direction")]
    pub direction: Option<String>,
    /// Only of this listener. Default: of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener: Option<String>,
    /// Only of what goes to this cluster. Default: to all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// More than this is too much: a percentage, a duration or a number, as the metric is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub above: Option<Scalar>,
    /// Less than this is too little; for `in_flight` and `request_rate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub below: Option<Scalar>,
    /// How long without a break before the guard trips, from 1s to 1h.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub held_for: Option<Scalar>,
    /// `error_rate` and quantiles: with fewer requests in that time the guard does not trip. Default 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub minimum_requests: Option<u64>,
}

/// A promise that somebody watches over the faults, renewed again and again. Faults flow only while somebody holds it; without
/// renewal all of them stop, as with the kill switch, until somebody takes the lease and resumes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object such as {ttl: 30s}")]
#[schemars(extend("required" = ["ttl"]))]
pub struct LeaseSpec {
    /// How long a renewal lasts, from 1s to 1h; one may ask for less, not for more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub ttl: Option<Scalar>,
}
