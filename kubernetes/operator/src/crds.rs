//! The custom resources: what people write in a cluster, and what they are told about it.
//!
//! What is written is a [`serde_json::Value`] until [`check`] has read it: an object that makes no sense must not keep the
//! others from being listed. The schema of the API server is made of the types that [`check`] reads, so that `kubectl explain`
//! and the configuration file say the same.

pub(crate) mod check;
mod cluster_halt;
mod condition;
mod experiment;
mod fault_rule;
mod structural;

pub(crate) use cluster_halt::{ClusterHalt, ClusterHaltStatus};
pub(crate) use condition::{Conditions, Says};
pub(crate) use experiment::{Experiment, ExperimentStatus, PodVerdict};
pub(crate) use fault_rule::{FaultRule, FaultRuleStatus};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

/// The definitions, in the order of their names.
///
/// # Errors
/// Never, for the types as they are: a test makes them all.
pub(crate) fn all() -> serde_json::Result<Vec<CustomResourceDefinition>> {
    Ok(vec![cluster_halt::definition()?, experiment::definition()?, fault_rule::definition()?])
}

/// The definitions as YAML documents.
///
/// # Errors
/// Never, for the types as they are: a test makes them all.
pub(crate) fn yaml() -> anyhow::Result<String> {
    let mut text = String::from("# Made by `squall-kubernetes crds`.\n");
    for definition in all()? {
        text.push_str("---\n");
        text.push_str(&serde_saphyr::to_string(&serde_json::to_value(definition)?)?);
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
