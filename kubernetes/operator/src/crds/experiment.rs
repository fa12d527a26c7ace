//! Experiment: the document of `squall experiment run`, for the sidecars of a namespace.

#![expect(clippy::duplicated_attributes, reason = "two columns may be of the same type")]

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{CustomResource, CustomResourceExt as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use squall_config::spec::ExperimentSpec;

use super::condition::{Conditions, Moment};
use super::structural;

/// An Experiment as it is kept; [`super::check`] reads it.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "squall.dev",
    version = "v1alpha1",
    kind = "Experiment",
    plural = "experiments",
    category = "squall",
    namespaced,
    schema = "disabled",
    status = "ExperimentStatus",
    derive = "PartialEq",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Verdict", type_ = "string", json_path = ".status.verdict"),
    printcolumn(name = "Pods", type_ = "integer", json_path = ".status.podsTotal"),
    printcolumn(name = "Ended", type_ = "string", json_path = ".status.endedAt"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(transparent)]
pub(crate) struct ExperimentFields(pub(crate) Value);

/// How an Experiment is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ExperimentStatus {
    /// The generation of the spec that all of this is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) observed_generation: Option<i64>,
    /// Pending (no sidecar runs it), Running, Finished or Refused (it is not valid).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) phase: String,
    /// failed when it failed in any pod; held when it held in all of them; else inconclusive.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) verdict: String,
    /// Why, from the pods that made the verdict; at most ten.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) reasons: Vec<String>,
    /// Accepted (it is valid), Selected (there are sidecars to run it), Finished.
    #[serde(skip_serializing_if = "Conditions::is_empty")]
    #[schemars(schema_with = "structural::conditions")]
    pub(crate) conditions: Conditions,
    /// In how many pods it runs: those that were selected when it started.
    pub(crate) pods_total: u32,
    /// Requests or connections that it faulted, in all of them.
    pub(crate) injected_total: u64,
    /// How it is in each pod.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) pods: Vec<PodVerdict>,
    /// When it started.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Moment")]
    pub(crate) started_at: Option<Moment>,
    /// When it had ended in all pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Moment")]
    pub(crate) ended_at: Option<Moment>,
}

/// How an Experiment is in one pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct PodVerdict {
    /// The name of the pod.
    pub(crate) name: String,
    /// The uid of the pod.
    pub(crate) uid: String,
    /// pending, baseline, injecting, recovering, done or aborted.
    pub(crate) phase: String,
    /// held, failed or inconclusive, once there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(crate) verdict: Option<String>,
    /// Why, in short.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) reason: String,
    /// Requests or connections that it faulted there.
    pub(crate) injected: u64,
}

pub(super) fn definition() -> serde_json::Result<CustomResourceDefinition> {
    structural::with_schema::<ExperimentSpec, ExperimentStatus>(Experiment::crd())
}
