//! ClusterHalt: the kill switch of a cluster.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{CustomResource, CustomResourceExt as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::structural;

/// A ClusterHalt as it is kept. What of its spec makes no sense is passed over: halting too much is better than too little.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "squall.dev",
    version = "v1alpha1",
    kind = "ClusterHalt",
    plural = "clusterhalts",
    shortname = "halt",
    category = "squall",
    schema = "disabled",
    status = "ClusterHaltStatus",
    derive = "PartialEq",
    printcolumn(name = "Pods", type_ = "integer", json_path = ".status.podsHalted"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".spec.reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(transparent)]
pub(crate) struct ClusterHaltFields(pub(crate) Value);

impl ClusterHaltFields {
    /// What is known of it.
    pub(crate) fn read(&self) -> ClusterHaltSpec {
        let texts =
            |list: &Value| list.as_array().map(|all| all.iter().filter_map(Value::as_str).map(str::to_owned).collect());
        ClusterHaltSpec {
            reason: self.0.get("reason").and_then(Value::as_str).unwrap_or_default().to_owned(),
            namespaces: self.0.get("namespaces").and_then(texts).unwrap_or_default(),
        }
    }
}

/// While one exists, no fault of any origin flows in any sidecar. Deleting it resumes what it halted.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema, Deserialize)]
#[serde(default)]
pub(crate) struct ClusterHaltSpec {
    /// Why, for people.
    pub(crate) reason: String,
    /// In which namespaces. Default: in all.
    pub(crate) namespaces: Vec<String>,
}

/// How far a ClusterHalt has come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ClusterHaltStatus {
    /// The generation of the spec that this is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) observed_generation: Option<i64>,
    /// Connected sidecars that are to halt.
    pub(crate) pods_matched: u32,
    /// Those that say that they have.
    pub(crate) pods_halted: u32,
}

pub(super) fn definition() -> serde_json::Result<CustomResourceDefinition> {
    structural::with_schema::<ClusterHaltSpec, ClusterHaltStatus>(ClusterHalt::crd())
}
