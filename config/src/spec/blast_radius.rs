//! Bounds on how much of the traffic faults may reach.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule::TextMatchSpec;
use crate::shape;
use crate::written::{Scalar, Written, list};

/// A bound on the share of exchanges (HTTP requests and TCP connections) that are faulted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object such as {max: 10, window: 1m}")]
#[schemars(extend("required" = ["max"]))]
pub struct TrafficShareSpec {
    /// The largest share: above 0 and up to 100, up to 4 decimals. One exchange in a window is always allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::percentage")]
    pub max: Option<Scalar>,
    /// What it is a share of: the exchanges that ended within this time until now. 10s to 1h; default 1m.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub window: Option<Scalar>,
}

/// What no rule touches, even if it names it exactly.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object such as {paths: [{prefix: /pay/}], clusters: [billing]}")]
pub struct ProtectedSpec {
    /// Paths, as in match.path. A text alone means exactly that path.
    #[serde(deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<Written<TextMatchSpec>>,
    /// Clusters by name.
    #[serde(deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<String>,
}
