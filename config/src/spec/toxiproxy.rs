//! Toxiproxy's HTTP API, and the proxies that it begins with.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::shape;
use crate::written::{Scalar, list};

/// Toxiproxy's HTTP API, for the clients that speak it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object such as {address: 127.0.0.1:8474}")]
pub struct ToxiproxySpec {
    /// Where it listens: an IP address and a port; 127.0.0.1:8474 is what clients expect. Default: it is not served.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::socket_address")]
    pub address: Option<Scalar>,
    /// Whether it serves whoever reaches it, also from other machines and where control.token_file asks all others for a
    /// token: the clients of Toxiproxy have none. Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open: Option<bool>,
    /// Proxies to begin with: each is a listener and a cluster of its own, and each of its toxics a rule.
    #[serde(deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub proxies: Vec<ProxySpec>,
}

/// A proxy in the words of Toxiproxy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object with name, listen and upstream")]
#[schemars(extend("required" = ["name", "upstream"]))]
pub struct ProxySpec {
    /// Unique among proxies; any text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Where it accepts connections, such as 127.0.0.1:26379. Default: any free port, on all interfaces.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub listen: String,
    /// Where they go: host and port.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub upstream: String,
    /// One that is not enabled accepts nothing. Default true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// What goes wrong.
    #[serde(deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub toxics: Vec<ToxicSpec>,
}

/// A toxic in the words of Toxiproxy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object with type and attributes")]
#[schemars(extend("required" = ["type"]))]
pub struct ToxicSpec {
    /// Unique among the toxics of the proxy. Default: the type, `_` and the stream.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// `latency`, `bandwidth`, `slow_close`, `timeout`, `reset_peer`, `slicer`, `limit_data`, `noop`; of HTTP `status_code`,
    /// `header` and `modify_body`.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// `downstream` (from the upstream, the default) or `upstream` (to it).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stream: String,
    /// The share of connections that get it: 0 to 1. Default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    pub toxicity: Option<f32>,
    /// Those of the type; what is not written is 0 or empty.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "attributes")]
    pub attributes: BTreeMap<String, Value>,
    /// It ends this long after it was made. Default: of those that are made through the API limits.default_ttl; of others
    /// they do not end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub ttl: Option<Scalar>,
}

fn attributes(_: &mut schemars::SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "additionalProperties": true })
}
