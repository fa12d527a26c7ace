//! FaultRule: a rule for the sidecars of a namespace.

#![expect(clippy::duplicated_attributes, reason = "two columns may be of the same type")]

use std::borrow::Cow;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{CustomResource, CustomResourceExt as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use squall_config::spec::{FaultSpec, MatchSpec, PodsSpec, RuleSpec, SampleSpec, Scalar};
use squall_config::{Document, schemas_of};

use super::condition::{Conditions, Moment};
use super::structural;

/// A FaultRule as it is kept; [`super::check`] reads it.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "squall.dev",
    version = "v1alpha1",
    kind = "FaultRule",
    plural = "faultrules",
    shortname = "fr",
    category = "squall",
    namespaced,
    schema = "disabled",
    status = "FaultRuleStatus",
    derive = "PartialEq",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Targets", type_ = "integer", json_path = ".status.hitPods"),
    printcolumn(name = "Percent", type_ = "string", json_path = ".spec.percentage"),
    printcolumn(name = "Fault", type_ = "string", json_path = ".spec.fault"),
    printcolumn(name = "Injected", type_ = "integer", json_path = ".status.injectedTotal"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".status.expiresAt"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(transparent)]
pub(crate) struct FaultRuleFields(pub(crate) Value);

/// A rule for the sidecars of this namespace: which of them, what it matches there, and what goes wrong.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object with pods, match, percentage and fault")]
#[schemars(extend("required" = ["percentage", "fault"]))]
pub(crate) struct FaultRuleSpec {
    /// Which sidecars of the namespace get the rule. Default: all.
    pub(crate) pods: Option<PodsSpec>,
    /// Whether it is in force; false pauses it. Default true.
    pub(crate) enabled: Option<bool>,
    /// `inject` (default), or `shadow`: decide, count and log, but inject nothing.
    #[schemars(regex(pattern = "^(inject|shadow)$"))]
    pub(crate) mode: Option<String>,
    /// What it applies to in each sidecar; without it, everything.
    #[serde(rename = "match")]
    pub(crate) matches: Option<MatchSpec>,
    /// The share of what matches that gets the fault: 0 to 100, up to 4 decimals. Required.
    pub(crate) percentage: Option<Scalar>,
    /// How the share is picked. Default {mode: random}.
    pub(crate) sample: Option<SampleSpec>,
    /// What goes wrong; at least one kind. Required.
    pub(crate) fault: Option<FaultSpec>,
    /// So long after it was made, or after the last change of its spec, it expires, as in 30m. Default: what the controller was
    /// given as --default-ttl, 1h; at most its --ttl-max, 24h.
    #[schemars(schema_with = "structural::duration")]
    pub(crate) ttl: Option<Scalar>,
}

impl Document for FaultRuleSpec {
    fn schemas() -> Cow<'static, str> {
        Cow::Owned(schemas_of::<Self>())
    }
}

impl FaultRuleSpec {
    /// The rule that sidecars get. It lasts for as long as it is ordered: the controller ends it, or the lease.
    pub(crate) fn rule(self, name: &str) -> RuleSpec {
        RuleSpec {
            name: name.to_owned(),
            mode: self.mode,
            matches: self.matches,
            percentage: self.percentage,
            sample: self.sample,
            fault: self.fault,
            ..RuleSpec::default()
        }
    }
}

/// How a FaultRule is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct FaultRuleStatus {
    /// The generation of the spec that all of this is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) observed_generation: Option<i64>,
    /// Pending (no sidecar has it), Injecting, Paused, Halted, Expired or Refused (it is not valid).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) phase: String,
    /// Accepted (it is valid), Selected (there are sidecars to hit), Injected (all of these have it in force), Recovered (no
    /// sidecar has it in force any more), Expired.
    #[serde(skip_serializing_if = "Conditions::is_empty")]
    #[schemars(schema_with = "structural::conditions")]
    pub(crate) conditions: Conditions,
    /// Connected sidecars that the selector matches.
    pub(crate) matched_pods: u32,
    /// Those that get the rule: the share of them, within the controller's --max-pods-hit.
    pub(crate) hit_pods: u32,
    /// Requests or connections that it matched, in all sidecars.
    pub(crate) matched_total: u64,
    /// Those that it faulted.
    pub(crate) injected_total: u64,
    /// Since when the spec has been in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Moment")]
    pub(crate) started_at: Option<Moment>,
    /// When it expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Moment")]
    pub(crate) expires_at: Option<Moment>,
}

pub(super) fn definition() -> serde_json::Result<CustomResourceDefinition> {
    structural::with_schema::<FaultRuleSpec, FaultRuleStatus>(FaultRule::crd())
}
