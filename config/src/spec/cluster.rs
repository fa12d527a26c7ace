//! Clusters and their endpoints.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, json_schema};
use serde::{Deserialize, Serialize};

use super::shape;
use super::written::{Full, Scalar, Written, list};

/// A named upstream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object with name and endpoints")]
#[schemars(extend("required" = ["name", "endpoints"]))]
pub struct ClusterSpec {
    /// Unique among clusters: at most 63 of a-z, 0-9, '-', '_' and '.'.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Where it is, at least one; they take turns.
    #[serde(deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1))]
    pub endpoints: Vec<Written<EndpointSpec>>,
    /// What the endpoints speak: `http1` (the default) or `http2` (with prior knowledge).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::cluster_protocol")]
    pub protocol: Option<String>,
    /// The longest time to a connection. Default 5s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub connect_timeout: Option<Scalar>,
    /// An idle upstream connection is closed after this long. Default 4s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub idle_timeout: Option<Scalar>,
    /// The longest time from a request to the head of its response. Default: none, the application decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub response_timeout: Option<Scalar>,
    /// The most idle connections that one worker keeps to one endpoint. Default 256.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_connections_max: Option<u64>,
}

/// One address of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["address"]))]
pub struct EndpointSpec {
    /// `host:port`, or `http://host:port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::socket_address")]
    pub address: Option<Scalar>,
    /// Free labels that rules may match on.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, Scalar>,
    /// Share of the traffic relative to the other endpoints. Default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub weight: Option<u32>,
}

impl Full for EndpointSpec {
    const EXPECTED: &'static str =
        "an address such as \"127.0.0.1:9000\", or an object with address, labels and weight";

    fn short_schema() -> Schema {
        json_schema!({ "type": "string", "examples": ["127.0.0.1:9000"] })
    }
}
