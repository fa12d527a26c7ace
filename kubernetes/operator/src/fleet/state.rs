//! What sidecars say of an object, for its status.

use squall_orders::{ExperimentReport, RuleReport};

use super::{Counts, Fleet, Plan, Share, Sidecar};

/// More problems of pods are not told.
const PROBLEMS_MAX: usize = 5;

/// How a FaultRule is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RuleState {
    /// Whom it gets.
    pub(crate) share: Share,
    /// Of those that it hits, those that have it in force.
    pub(crate) in_force: usize,
    /// Connected sidecars that still have it, whether they are to or not.
    pub(crate) still: usize,
    /// In all sidecars that ever had it.
    pub(crate) total: Counts,
    /// Why some do not have it in force.
    pub(crate) problems: Vec<String>,
}

/// How an Experiment is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ExperimentState {
    /// Whom it gets.
    pub(crate) share: Share,
    /// What the sidecars of its participants say: the uid of the pod, and its report when it says anything of the experiment.
    pub(crate) reports: Vec<(String, Option<ExperimentReport>)>,
    /// Connected pods by uid that have been given orders which they follow.
    pub(crate) settled: Vec<String>,
}

impl Fleet {
    /// The name of a connected pod.
    pub(crate) fn pod_name(&self, uid: &str) -> Option<&str> {
        self.sidecars.get(uid).map(|sidecar| sidecar.pod.name.as_str())
    }

    /// How a FaultRule is, whether it is in force or not.
    pub(crate) fn rule_state(&self, uid: &str, plan: &Plan) -> RuleState {
        let share = plan.shares.get(uid).cloned().unwrap_or_default();
        let Some(tally) = self.tallies.get(uid) else { return RuleState { share, ..RuleState::default() } };
        let mut state = RuleState { share, total: tally.total(), ..RuleState::default() };
        for sidecar in self.sidecars.values().filter(|sidecar| sidecar.pod.namespace == tally.namespace) {
            let said = sidecar.report.rules.iter().find(|rule| rule.name == tally.name);
            let is_in_force = said.is_some_and(|rule| rule.problem.is_none());
            state.still += usize::from(is_in_force);
            if !state.share.hit.contains(&sidecar.pod.uid) {
                continue;
            }
            state.in_force += usize::from(is_in_force && follows(sidecar, plan));
            let problem = said.and_then(|rule: &RuleReport| rule.problem.as_ref());
            if let Some(problem) = problem.filter(|_| state.problems.len() < PROBLEMS_MAX) {
                state.problems.push(format!("pod {}: {problem}", sidecar.pod.name));
            }
        }
        state
    }

    /// How an Experiment is in these pods.
    pub(crate) fn experiment_state(&self, uid: &str, name: &str, pods: &[String], plan: &Plan) -> ExperimentState {
        let share = plan.shares.get(uid).cloned().unwrap_or_default();
        let connected = |uid: &String| self.sidecars.get(uid);
        let reports = pods.iter().filter_map(|uid| {
            let sidecar = connected(uid)?;
            Some((uid.clone(), sidecar.report.experiments.iter().find(|report| report.name == name).cloned()))
        });
        let settled = pods.iter().filter(|uid| connected(uid).is_some_and(|sidecar| follows(sidecar, plan)));
        ExperimentState { share, reports: reports.collect(), settled: settled.cloned().collect() }
    }

    /// How many connected pods a halt is for, and how many say that they have halted.
    pub(crate) fn halt_state(&self, uid: &str, plan: &Plan) -> (usize, usize) {
        let Some(halt) = self.halts.get(uid) else { return (0, 0) };
        let covered: Vec<&Sidecar> =
            self.sidecars.values().filter(|sidecar| halt.covers(&sidecar.pod.namespace)).collect();
        let halted = covered.iter().filter(|sidecar| sidecar.report.halted.is_some() && follows(sidecar, plan)).count();
        (covered.len(), halted)
    }
}

/// Whether a sidecar follows what it is ordered now.
fn follows(sidecar: &Sidecar, plan: &Plan) -> bool {
    let orders = plan.orders.get(&sidecar.pod.uid);
    orders.is_some_and(|orders| sidecar.report.following.as_deref() == Some(orders.revision.as_str()))
}
