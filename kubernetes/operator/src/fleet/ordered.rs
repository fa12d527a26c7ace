//! What the objects of the cluster order.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use squall_config::model::Pods;
use squall_config::spec::{ExperimentDocument, RuleSpec};

/// Where an object of the cluster stands in the order in which objects are served: by age, then by uid.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    /// When it was made.
    pub(crate) created: Option<Timestamp>,
    /// Its uid.
    pub(crate) uid: String,
}

/// A FaultRule that is in force.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OrderedRule {
    /// Who is served first.
    pub(crate) rank: Rank,
    /// Whose pods.
    pub(crate) namespace: String,
    /// Which of them.
    pub(crate) pods: Pods,
    /// What they get.
    pub(crate) rule: Arc<RuleSpec>,
    /// Until then.
    pub(crate) expires_at: Timestamp,
}

/// An Experiment that waits for pods, or runs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OrderedExperiment {
    /// Who is served first.
    pub(crate) rank: Rank,
    /// Whose pods.
    pub(crate) namespace: String,
    /// Which of them.
    pub(crate) pods: Pods,
    /// What they run.
    pub(crate) document: Arc<ExperimentDocument>,
    /// Names this run of it.
    pub(crate) run: String,
    /// The uids of the pods that run it and have not ended; `None` while it waits.
    pub(crate) participants: Option<Vec<String>>,
}
