//! An experiment as it is written: a document of its own, in the manner of Kubernetes resources.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::guard::{ConditionSpec, GuardSpec};
use super::pods::PodsSpec;
use super::rule::RuleSpec;
use crate::shape;
use crate::written::{Scalar, list};

/// An experiment: what is steady, what is expected, what goes wrong for how long.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object with apiVersion, kind, metadata and spec")]
#[schemars(extend("required" = ["apiVersion", "kind", "metadata", "spec"]))]
pub struct ExperimentDocument {
    /// The version of this form: `squall.dev/v1alpha1`.
    #[serde(rename = "apiVersion", skip_serializing_if = "String::is_empty")]
    #[schemars(schema_with = "shape::experiment_version")]
    pub api_version: String,
    /// `Experiment`.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(schema_with = "shape::experiment_kind")]
    pub kind: String,
    /// What it is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<MetadataSpec>,
    /// What it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spec: Option<ExperimentSpec>,
}

/// What an experiment is called.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object such as {name: slow-dependency}")]
#[schemars(extend("required" = ["name"]))]
pub struct MetadataSpec {
    /// Unique among experiments: at most 63 of a-z, 0-9, '-', '_' and '.'.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Of no meaning to Squall; they stand in the report.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, Scalar>,
    /// Of no meaning to Squall.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, Scalar>,
}

/// What an experiment does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object with hypothesis, steady_state and method")]
#[schemars(extend("required" = ["hypothesis", "steady_state", "method"]))]
pub struct ExperimentSpec {
    /// A line for people, of at most 200 characters. Default: the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What is expected to stay true, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hypothesis: Option<String>,
    /// Who answers for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Where more is said: runbooks, dashboards, tickets; addresses of http or https.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<String>,
    /// What holds while all is well; when it does not hold while faults are injected, the hypothesis has failed.
    #[serde(deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub steady_state: Vec<SteadyStateSpec>,
    /// How long all is watched before anything is injected, at least 1s. Default 30s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub baseline: Option<Scalar>,
    /// What goes wrong: steps, at most 50, one after the other.
    #[serde(deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub method: Vec<StepSpec>,
    /// How long the steady state may take to come back after the last fault, at least 1s. Default 30s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub recovery: Option<Scalar>,
    /// How faults end when nothing hurries; an experiment that is stopped ends them at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollback: Option<RollbackSpec>,
    /// What is expected of the requests whose calls were faulted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect: Option<ExpectSpec>,
    /// How an answer of A shows that it is a fallback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<FallbackSpec>,
    /// Conditions that stop the experiment, besides those of the configuration.
    #[serde(deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub guards: Vec<GuardSpec>,
    /// The longest that it may take from its start, all in all: at least the sum of its parts, at most 24h. Default: the sum of its
    /// parts and a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub duration: Option<Scalar>,
    /// When it starts by itself. Default: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleSpec>,
    /// With fewer requests in a phase nothing is concluded from it. Default 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub minimum_requests: Option<u64>,
    /// Whether Squall gives calls to A that have no trace id and no request id some, so that A can pass them on: to all, or only
    /// to those that are looked at one by one, once it is seen that nothing else needs them. Default true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub add_ids: Option<bool>,
    /// So many exchanges a second at most (requests to A and the calls that it makes) are looked at one by one, at least 100. Of
    /// more a share of the traces is, the half, a quarter and so on: each whole, so that what is concluded stays true; what the
    /// experiment costs is bounded by it. Rates of the steady state and of guards are of all of them in any case. Default 2,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 100, max = 1_000_000_000))]
    pub joined_per_second: Option<u64>,
    /// For which pods it is, where a controller in a cluster takes it. A Squall of its own checks it, and runs the experiment all
    /// the same. Default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pods: Option<PodsSpec>,
}

/// One statement about the steady state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    default,
    expecting = "an object such as {name: fast, condition: {metric: p99, direction: inbound, below: 500ms}}"
)]
#[schemars(extend("required" = ["name", "condition"]))]
pub struct SteadyStateSpec {
    /// Unique among the statements.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What holds. As in a guard, but without `for`: a metric is looked at over a whole phase, and `below` may stand beside
    /// each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition: Option<ConditionSpec>,
    /// While faults flow it may be broken for so long at a time, as during a failover. Default: not at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub restored_within: Option<Scalar>,
}

/// Rules that are in force at the same time, and for how long.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object with rules and hold")]
#[schemars(extend("required" = ["rules", "hold"]))]
pub struct StepSpec {
    /// For people. Default: the names of its rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What is injected; as in the configuration, but without `ttl` and `enabled`, and not in shadow mode.
    #[serde(deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleSpec>,
    /// How the percentages grow to what the rules say, before `hold`. Default: at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ramp: Option<RampSpec>,
    /// How long they are in force, at least 1s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub hold: Option<Scalar>,
    /// How long nothing is injected before the next step. Default 0s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub pause: Option<Scalar>,
}

/// How percentages grow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object such as {from: 1, over: 30s, stages: 5}")]
#[schemars(extend("required" = ["over"]))]
pub struct RampSpec {
    /// The share of the first stage; no more than that of each rule. Default: the same part as each later stage adds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::percentage")]
    pub from: Option<Scalar>,
    /// How long all stages take, each at least 100ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub over: Option<Scalar>,
    /// How many there are, from 2 to 100. Default 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 100))]
    pub stages: Option<u64>,
}

/// How faults end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object such as {over: 10s}")]
pub struct RollbackSpec {
    /// Percentages fall to nothing over this time at the end of the last step. Default: at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub over: Option<Scalar>,
}

/// What is expected of the requests whose calls were faulted, as far as they can be told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object such as {harmed: 1%, calls_per_request: 3}")]
pub struct ExpectSpec {
    /// The share of them that may fail, or take longer than the steady state allows, beyond that of the requests of the same
    /// time whose calls were not faulted. Default 0%.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::percentage")]
    pub harmed: Option<Scalar>,
    /// Whether the experiment ends as soon as more are harmed beyond doubt. Default true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_on_harm: Option<bool>,
    /// So many calls at most may A make, on average, for one request with a faulted call, for each that it makes without a
    /// fault; at least 1. Default: any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1.0))]
    pub amplification: Option<f64>,
    /// Whether a call that is not safe to repeat (such as POST without Idempotency-Key) may be repeated. Default true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsafe_retries: Option<bool>,
}

/// A header field by which an answer of A shows that it is a fallback.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object such as {header: x-served-from, value: cache}")]
#[schemars(extend("required" = ["header"]))]
pub struct FallbackSpec {
    /// Its name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub header: String,
    /// Its value. Default: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// When an experiment starts by itself; exactly one of these.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object such as {at: 2026-12-01T10:00:00Z} or {every: 24h}")]
pub struct ScheduleSpec {
    /// Once, at this time (RFC 3339, in UTC).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// Again and again, so long after it was put there, and after each start: at least a minute, and longer than its parts take
    /// together.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub every: Option<Scalar>,
}
