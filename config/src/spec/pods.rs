//! Which pods of a cluster an experiment is for.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shape;
use crate::written::{Scalar, list};

/// Pods by their labels, and which share of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object such as {selector: {matchLabels: {app: service-a}}, percentage: 10}")]
pub struct PodsSpec {
    /// Which pods of the namespace, by their labels. Default: all that have a sidecar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelectorSpec>,
    /// The share of those: 0 to 100, up to 4 decimals; rounded down, but one pod at least unless it is 0. Default 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::percentage")]
    pub percentage: Option<Scalar>,
}

/// Conditions on labels that must all hold, as in other resources of Kubernetes; an empty one selects everything.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object such as {matchLabels: {app: service-a}}")]
pub struct LabelSelectorSpec {
    /// All of these labels, with these values.
    #[serde(rename = "matchLabels", skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// Conditions of other kinds.
    #[serde(rename = "matchExpressions", deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<LabelConditionSpec>,
}

/// A condition on one label.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object such as {key: app, operator: In, values: [service-a]}")]
#[schemars(extend("required" = ["key", "operator"]))]
pub struct LabelConditionSpec {
    /// The name of the label.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// `In` (one of the values), `NotIn` (none of them, or no such label), `Exists` or `DoesNotExist`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::label_operator")]
    pub operator: Option<String>,
    /// At least one for `In` and `NotIn`, none otherwise.
    #[serde(deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}
