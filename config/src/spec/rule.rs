//! A rule: what it matches and how its share is picked.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, json_schema};
use serde::{Deserialize, Serialize};

use crate::faults::FaultSpec;
use crate::shape;
use crate::toxiproxy::ToxicOf;
use crate::written::{Full, OneOrMany, Scalar, Written, list};

/// A list of rules, as the API takes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object such as {\"rules\": [...]}")]
pub struct RulesSpec {
    /// They apply in this order.
    #[serde(deserialize_with = "list")]
    pub rules: Vec<RuleSpec>,
}

/// A match, a percentage and the faults for that share.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object with name, match, percentage and fault")]
#[schemars(extend("required" = ["name", "percentage", "fault"]))]
pub struct RuleSpec {
    /// Unique among rules: at most 63 of a-z, 0-9, '-', '_' and '.'.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// A rule that is not enabled is kept but does nothing. Default true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// `inject` (default), or `shadow`: decide, count and log, but inject nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::rule_mode")]
    pub mode: Option<String>,
    /// What it applies to; without it, everything.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub matches: Option<MatchSpec>,
    /// The share of what matches that gets the fault: 0 to 100, up to 4 decimals. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::percentage")]
    pub percentage: Option<Scalar>,
    /// How the share is picked. Default {mode: random}.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<SampleSpec>,
    /// What goes wrong; at least one kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<FaultSpec>,
    /// The rule ends this long after it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub ttl: Option<Scalar>,
    /// The experiment that the rule belongs to, and ends with. Only Squall says so: nobody can write it.
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub experiment: Option<String>,
    /// Whether a controller ordered the rule, which ends with its orders. Only Squall says so: nobody can write it.
    #[serde(skip_deserializing, skip_serializing_if = "std::ops::Not::not")]
    #[schemars(skip)]
    pub controller: bool,
    /// The toxic that the rule is, for Toxiproxy's API to show. Only Squall says so: nobody can write it.
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub toxic: Option<Box<ToxicOf>>,
}

/// Conditions that must all hold; an empty one matches everything.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object of conditions such as {cluster: service-b, method: [GET]}")]
pub struct MatchSpec {
    /// The name of a listener.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener: Option<String>,
    /// Which side of the application: `outbound` or `inbound`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::direction")]
    pub direction: Option<String>,
    /// The name of a cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// One endpoint by its address, or those that carry some labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Written<EndpointMatchSpec>>,
    /// Address ranges of the caller, such as 10.0.0.0/8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<OneOrMany>,
    /// One HTTP method or several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<OneOrMany>,
    /// The path, without the query. A text alone means exactly that path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<Written<TextMatchSpec>>,
    /// Host and port as the client named them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority: Option<Written<TextMatchSpec>>,
    /// Header fields by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Written<ValueMatchSpec>>,
    /// Query parameters by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, Written<ValueMatchSpec>>,
    /// gRPC calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc: Option<GrpcMatchSpec>,
    /// Tunnels: what flows once the upstream has switched to this protocol, such as `websocket`; `*` for any. The rule
    /// then acts on the bytes of the tunnel, as on a TCP connection, and not on the request that opened it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<String>,
}

/// Endpoints by address or by labels.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EndpointMatchSpec {
    /// The address as written in the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// All of these labels, with these values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, Scalar>,
}

impl Full for EndpointMatchSpec {
    const EXPECTED: &'static str = "an address such as \"127.0.0.1:9000\", or an object such as {labels: {region: a}}";

    fn short_schema() -> Schema {
        json_schema!({ "type": "string" })
    }
}

/// A condition on a text; exactly one of these.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TextMatchSpec {
    /// Is this text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exact: Option<String>,
    /// Begins with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// `*` within a path segment, `**` across segments, `?`, `[..]`, `{a,b}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub glob: Option<String>,
    /// A regular expression that matches the whole text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
}

impl Full for TextMatchSpec {
    const EXPECTED: &'static str = "a text, or an object with one of exact, prefix, glob and regex";

    fn short_schema() -> Schema {
        json_schema!({ "type": "string" })
    }
}

/// A condition on the values of a header field or query parameter; exactly one of these.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ValueMatchSpec {
    /// There is such a field (true) or there is none (false).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub present: Option<bool>,
    /// Is this text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exact: Option<String>,
    /// Begins with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// A regular expression that matches the whole value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
}

impl Full for ValueMatchSpec {
    const EXPECTED: &'static str = "a text, or an object with one of exact, prefix, regex and present";

    fn short_schema() -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

/// A condition on a gRPC call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object such as {service: helloworld.Greeter, method: SayHello}")]
pub struct GrpcMatchSpec {
    /// Full name with package, as in `helloworld.Greeter`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Method name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
}

/// How the share is picked; exactly one of mode, first, every and attempt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object such as {mode: exact}, {mode: sticky, key: trace}, {first: N} or {attempt: N}")]
pub struct SampleSpec {
    /// `random` (each on its own), `exact` (exactly p of every 100) or `sticky` (the same for the same key, on every
    /// replica and after a restart).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::sample_mode")]
    pub mode: Option<String>,
    /// What `sticky` goes by: `trace` (the id of `traceparent` or b3), `source` (the address of the caller) or
    /// `header:NAME`. A request without it is not picked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::sample_key")]
    pub key: Option<String>,
    /// The first N that match and no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub first: Option<u64>,
    /// Every N-th that matches.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub every: Option<u64>,
    /// Only the N-th try of a request, from 1: by `x-envoy-attempt-count` or `grpc-previous-rpc-attempts`, else by counting
    /// the requests with the same `idempotency-key`, or with the same trace, method and path.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub attempt: Option<u32>,
}
