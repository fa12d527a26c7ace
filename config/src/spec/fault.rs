//! The faults of a rule.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, json_schema};
use serde::{Deserialize, Serialize};

use super::shape;
use super::written::{Full, Scalar, Written};

/// What goes wrong; at least one kind. Delays come first, then the one that ends the exchange.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object such as {delay: 2s} or {abort: 503}")]
#[schemars(extend("minProperties" = 1))]
pub struct FaultSpec {
    /// Adds latency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay: Option<Written<DelaySpec>>,
    /// Answers in the upstream's place (HTTP).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abort: Option<Written<AbortSpec>>,
    /// Breaks the connection: TCP RST on HTTP/1 and TCP, RST_STREAM on HTTP/2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reset: Option<Written<ResetSpec>>,
    /// Accepts and never answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blackhole: Option<Written<BlackholeSpec>>,
    /// Bounds the bytes per second (TCP).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttle: Option<Written<ThrottleSpec>>,
    /// Resets new connections before anything is read (TCP).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refuse: Option<bool>,
}

/// Latency: exactly one distribution, which half it is added to, and a bound.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DelaySpec {
    /// Always the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub fixed: Option<Scalar>,
    /// Any value between two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uniform: Option<UniformSpec>,
    /// Gaussian; needs `max`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normal: Option<NormalSpec>,
    /// Log-normal, the usual shape of real latency; needs `max`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lognormal: Option<LogNormalSpec>,
    /// Exponential; needs `max`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exponential: Option<ExponentialSpec>,
    /// Pareto, with a heavy tail; needs `max`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pareto: Option<ParetoSpec>,
    /// `request` (the default): before the upstream sees it. `response`: before the client sees the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::phase")]
    pub on: Option<String>,
    /// No drawn latency is longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub max: Option<Scalar>,
}

impl Full for DelaySpec {
    const EXPECTED: &'static str =
        "a duration such as \"2s\", or an object such as {uniform: {min: 100ms, max: 2s}, on: response}";

    fn short_schema() -> Schema {
        shape::duration_text()
    }
}

/// Any value between two, both included.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object such as {min: 100ms, max: 2s}")]
#[schemars(extend("required" = ["min", "max"]))]
pub struct UniformSpec {
    /// Shortest.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub min: Option<Scalar>,
    /// Longest.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub max: Option<Scalar>,
}

/// Gaussian; draws below zero count as zero.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object such as {mean: 200ms, stddev: 50ms}")]
#[schemars(extend("required" = ["mean", "stddev"]))]
pub struct NormalSpec {
    /// Centre.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub mean: Option<Scalar>,
    /// Width.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub stddev: Option<Scalar>,
}

/// exp(N(ln median, sigma)).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object such as {median: 200ms, sigma: 0.5}")]
#[schemars(extend("required" = ["median", "sigma"]))]
pub struct LogNormalSpec {
    /// Half of the draws are below.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub median: Option<Scalar>,
    /// Standard deviation of the logarithm; above 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::positive")]
    pub sigma: Option<Scalar>,
}

/// Memoryless.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object such as {mean: 200ms}")]
#[schemars(extend("required" = ["mean"]))]
pub struct ExponentialSpec {
    /// Mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub mean: Option<Scalar>,
}

/// Heavy tail.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object such as {scale: 100ms, shape: 1.5}")]
#[schemars(extend("required" = ["scale", "shape"]))]
pub struct ParetoSpec {
    /// Shortest value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub scale: Option<Scalar>,
    /// Smaller means a heavier tail; above 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::positive")]
    pub shape: Option<Scalar>,
}

/// An answer in the upstream's place: `status` with body and headers, or `grpc_status` with a message.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AbortSpec {
    /// HTTP status, 200 to 599.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 200, max = 599))]
    pub status: Option<Scalar>,
    /// Body of the answer. Default: a short text that names the rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Header fields added to the answer.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Scalar>,
    /// gRPC status, 0 to 16.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 16))]
    pub grpc_status: Option<Scalar>,
    /// gRPC message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Full for AbortSpec {
    const EXPECTED: &'static str =
        "an HTTP status such as 503, or an object such as {status: 503, body: down} or {grpc_status: 14}";

    fn short_schema() -> Schema {
        json_schema!({ "type": "integer", "minimum": 200, "maximum": 599 })
    }
}

/// A broken connection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ResetSpec {
    /// `request` (the default): before the upstream is called. `response`: in its answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::phase")]
    pub on: Option<String>,
    /// So many bytes of the body pass first. Default 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::bytes")]
    pub after_bytes: Option<Scalar>,
}

impl Full for ResetSpec {
    const EXPECTED: &'static str = "true, or an object such as {on: response, after_bytes: 64KiB}";

    fn short_schema() -> Schema {
        json_schema!({ "type": "boolean", "const": true })
    }
}

/// Silence.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct BlackholeSpec {
    /// The connection is closed after this long. Default: when the client gives up or the rule ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub max: Option<Scalar>,
}

impl Full for BlackholeSpec {
    const EXPECTED: &'static str = "true, or an object such as {max: 30s}";

    fn short_schema() -> Schema {
        json_schema!({ "type": "boolean", "const": true })
    }
}

/// A bound on speed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["rate"]))]
pub struct ThrottleSpec {
    /// At most so many bytes per second, such as 64KiB/s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::rate")]
    pub rate: Option<Scalar>,
    /// `request` (to the upstream) or `response` (from it). Default: both, each on its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::phase")]
    pub direction: Option<String>,
}

impl Full for ThrottleSpec {
    const EXPECTED: &'static str =
        "a rate such as \"64KiB/s\", or an object such as {rate: 64KiB/s, direction: response}";

    fn short_schema() -> Schema {
        shape::rate_text()
    }
}
