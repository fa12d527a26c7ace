//! What a sidecar and its controller say to each other.
//!
//! The sidecar asks, again and again: `POST /v1/sidecars` with a [`Report`], a bearer token that tells which pod it is, and
//! how long it would wait. The controller answers with [`Orders`] as soon as they are others than the sidecar follows, else
//! when that time is over. Each answer renews the lease: a sidecar that gets none for so long drops all that it was ordered.
//! So faults end when the controller falls silent, whatever the reason, and no controller has to reach any pod.
//!
//! Unknown fields are passed over on both sides: an older one understands a newer one as far as it goes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use squall_config::spec::{ExperimentDocument, RuleSpec};

/// Where a sidecar asks.
pub const PATH: &str = "/v1/sidecars";

/// Whom the token of a sidecar is for; a token for anybody else is refused.
pub const AUDIENCE: &str = "squall-controller";

/// A longer report is refused.
pub const REPORT_BYTES_MAX: usize = 1 << 20;

/// Longer orders are refused.
pub const ORDERS_BYTES_MAX: usize = 4 << 20;

/// How a sidecar is, and what it follows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// Its version.
    pub version: String,
    /// The labels of its pod.
    pub labels: BTreeMap<String, String>,
    /// The revision of the orders that are in force here; `None` when none are.
    pub following: Option<String>,
    /// After so long it wants an answer in any case. Milliseconds.
    pub wait_ms: u64,
    /// Why no faults flow here, when the kill switch is on.
    pub halted: Option<String>,
    /// The ordered rules.
    pub rules: Vec<RuleReport>,
    /// The ordered experiments.
    pub experiments: Vec<ExperimentReport>,
}

/// How an ordered rule is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RuleReport {
    /// Its name.
    pub name: String,
    /// Requests or connections that it matched.
    pub matched: u64,
    /// Those that it faulted.
    pub injected: u64,
    /// Why it is not in force here.
    pub problem: Option<String>,
}

/// How an ordered experiment is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExperimentReport {
    /// Its name.
    pub name: String,
    /// `pending`, `baseline`, `injecting`, `recovering`, `done` or `aborted`; the last two come with a verdict.
    pub phase: String,
    /// `held`, `failed` or `inconclusive`, once there is one.
    pub verdict: Option<String>,
    /// Why.
    pub reasons: Vec<String>,
    /// Requests or connections that it faulted.
    pub injected: u64,
    /// Why it does not run here yet; it is tried again as long as it is ordered.
    pub problem: Option<String>,
}

/// What a sidecar is to do, all of it: what is no longer here has ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Orders {
    /// Names these orders; another text means others.
    pub revision: String,
    /// So long they hold without another answer. Milliseconds.
    pub lease_ms: u64,
    /// Why no fault of any origin may flow.
    pub halt: Option<String>,
    /// Rules, behind those that the sidecar has itself.
    pub rules: Vec<RuleSpec>,
    /// Experiments, each to be run once.
    pub experiments: Vec<ExperimentOrder>,
}

/// An experiment to be run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ExperimentOrder {
    /// Tells this run from others of an experiment of the same name: it is run again only under another one.
    pub run: String,
    /// As it was written.
    pub document: ExperimentDocument,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_passed_over() {
        let newer = r#"{"revision": "7", "lease_ms": 15000, "colour": "red",
            "rules": [{"name": "slow", "percentage": 5, "fault": {"delay": "2s"}}]}"#;
        let orders: Orders = serde_json::from_str(newer).unwrap();
        assert_eq!((orders.revision.as_str(), orders.lease_ms, orders.halt.clone()), ("7", 15_000, None));
        assert_eq!(orders.rules[0].name, "slow");
        let again: Orders = serde_json::from_str(&serde_json::to_string(&orders).unwrap()).unwrap();
        assert_eq!(again, orders);
    }
}
