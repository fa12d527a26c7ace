//! Listeners.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shape;
use super::written::Scalar;

/// A socket that accepts traffic and the cluster that gets it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object with name, address and cluster")]
#[schemars(extend("required" = ["name", "address", "cluster"]))]
pub struct ListenerSpec {
    /// Unique among listeners: at most 63 of a-z, 0-9, '-', '_' and '.'.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// An IP address and a port; port 0 lets the system choose.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::socket_address")]
    pub address: Option<Scalar>,
    /// Which side of the application: `outbound` (calls that it makes, the default) or `inbound` (calls to it).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::direction")]
    pub direction: Option<String>,
    /// What is spoken here: `http` (1.1 and HTTP/2, the default), `tcp`, or `auto` (told from the first bytes).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::listener_protocol")]
    pub protocol: Option<String>,
    /// The name of the cluster that gets the traffic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// The longest time from the first byte of a request head to its last. Default 60s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub header_timeout: Option<Scalar>,
    /// A connection without traffic for this long is closed. Default 1h; 0s never.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub idle_timeout: Option<Scalar>,
    /// How long `protocol: auto` waits for the first byte before it takes the connection for TCP. Default 1s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub detect_timeout: Option<Scalar>,
}
