//! What stops all faults by itself: guards, and a lease that nobody renews.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shape;
use crate::written::Scalar;

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
    /// What becomes of a guard that asks Prometheus and gets no number: `halt` or `ignore`. Default halt.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::when_blind")]
    pub blind: Option<String>,
    /// For how long it may get none before it halts. Default 15s, or three times `every` when that is longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub blind_after: Option<Scalar>,
}

/// What a guard looks at, and how much of it for how long is too much: a metric of Squall's own, a query to Prometheus, or a
/// probe. In an experiment's steady state it says the opposite: what holds over a whole phase.
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
    /// More than this is too much: a percentage, a duration or a number, as the metric is. In a steady state: there is more than
    /// this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub above: Option<Scalar>,
    /// Less than this is too little; for `in_flight`, `request_rate` and queries. In a steady state: there is less than this; for
    /// every metric.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub below: Option<Scalar>,
    /// How long without a break before the guard trips, from 1s to 1h. Not for probes, which count failures,
    /// and not in a steady state.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub held_for: Option<Scalar>,
    /// `error_rate` and quantiles: with fewer requests in that time the guard does not trip. Default 100; in a steady
    /// state, what the experiment says.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub minimum_requests: Option<u64>,
    /// The address of a Prometheus, such as http://127.0.0.1:9090; `query` is asked there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<String>,
    /// A query in PromQL that gives one number: a scalar, or a vector of one series.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// An address that is asked by GET, such as http://127.0.0.1:8000/healthz; redirections are not followed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe: Option<String>,
    /// The statuses that a probe may have, as in 200, "200-299" or "200,404". Default 200-299.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Scalar>,
    /// So many failed probes in a row trip the guard. Default 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub failures: Option<u64>,
    /// Time between two queries or probes. Default 5s for queries, 1s for probes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub every: Option<Scalar>,
    /// A query or probe that takes longer has failed. Default 1s, or `every` when that is shorter.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub timeout: Option<Scalar>,
    /// A file that holds a bearer token alone, which is shown to that address. It is read each time. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<String>,
    /// A PEM file of the authorities that vouch for an https:// address. Default: those of the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
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
