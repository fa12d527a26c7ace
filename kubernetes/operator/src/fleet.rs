//! The fleet: which sidecars there are, and who gets what.
//!
//! Pure: no client of Kubernetes, no runtime, no clock; times are passed in. What comes of it is a [`Plan`]: the orders of each
//! sidecar and what they mean for each object. Equal fleets have equal plans, whatever they went through, so that a controller
//! that is started again orders the same.

mod halt;
mod ordered;
mod orders;
mod plan;
mod share;
mod sidecar;
mod state;
mod tally;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use squall_config::units::Percentage;
use squall_orders::{Report, RuleReport};

pub(crate) use halt::Halt;
pub(crate) use ordered::{OrderedExperiment, OrderedRule, Rank};
pub(crate) use plan::{Plan, Share};
pub(crate) use share::EXPERIMENT_PODS_MAX;
pub(crate) use sidecar::{Pod, Sidecar};
pub(crate) use state::{ExperimentState, RuleState};
pub(crate) use tally::Counts;
use tally::Tally;

/// What holds for the whole fleet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// So long orders hold without another answer.
    pub(crate) lease: Duration,
    /// The most of all connected sidecars that are hit at once.
    pub(crate) pods_hit_max: Percentage,
}

impl Settings {
    /// So long at most is an answer held back: a third of the lease, so that two can be lost, and at most 5 s.
    pub(crate) fn wait_max(&self) -> Duration {
        (self.lease / 3).min(Duration::from_secs(5))
    }

    /// After such a silence a sidecar has dropped what it was ordered: its last answer came within [`Self::wait_max`] of its last
    /// question.
    fn silence_max(&self) -> Duration {
        self.lease + self.wait_max()
    }
}

/// Sidecars, and what they are to do.
#[derive(Debug)]
pub(crate) struct Fleet {
    settings: Settings,
    /// By the uid of the pod.
    sidecars: BTreeMap<String, Sidecar>,
    /// By uid, as all below.
    rules: BTreeMap<String, OrderedRule>,
    experiments: BTreeMap<String, OrderedExperiment>,
    halts: BTreeMap<String, Halt>,
    /// Of every FaultRule, whether it is in force or not.
    tallies: BTreeMap<String, Tally>,
}

impl Fleet {
    /// Nobody, and nothing to do.
    pub(crate) fn new(settings: Settings) -> Self {
        let (sidecars, rules, experiments) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { settings, sidecars, rules, experiments, halts: BTreeMap::new(), tallies: BTreeMap::new() }
    }

    /// A sidecar says how it is. Whether that can change the plan.
    pub(crate) fn report(&mut self, pod: Pod, report: Report, now: Instant) -> bool {
        let before = self.sidecars.get(&pod.uid);
        let is_same = before.is_some_and(|before| before.pod == pod && before.report.labels == report.labels);
        let counts = |rule: &RuleReport| Counts { matched: rule.matched, injected: rule.injected };
        let said: BTreeMap<&str, Counts> = report.rules.iter().map(|rule| (rule.name.as_str(), counts(rule))).collect();
        for tally in self.tallies.values_mut().filter(|tally| tally.namespace == pod.namespace) {
            if let Some(counts) = said.get(tally.name.as_str()) {
                tally.count(&pod.uid, *counts);
            }
        }
        self.sidecars.insert(pod.uid.clone(), Sidecar { pod, report, heard: now });
        !is_same
    }

    /// Whether a sidecar says something else than before, besides counts.
    pub(crate) fn is_news(&self, uid: &str, report: &Report) -> bool {
        let Some(before) = self.sidecars.get(uid).map(|sidecar| &sidecar.report) else { return true };
        let rules = |report: &Report| -> Vec<(String, Option<String>)> {
            report.rules.iter().map(|rule| (rule.name.clone(), rule.problem.clone())).collect()
        };
        let experiments = |report: &Report| -> Vec<(String, String, Option<String>, Option<String>)> {
            let told = report.experiments.iter();
            told.map(|one| (one.name.clone(), one.phase.clone(), one.verdict.clone(), one.problem.clone())).collect()
        };
        before.following != report.following
            || before.halted != report.halted
            || rules(before) != rules(report)
            || experiments(before) != experiments(report)
    }

    /// Forgets sidecars that have been silent for so long that they have dropped what they were ordered. Whether there were such.
    pub(crate) fn forget_silent(&mut self, now: Instant) -> bool {
        let before = self.sidecars.len();
        let silence_max = self.settings.silence_max();
        let tallies = &mut self.tallies;
        self.sidecars.retain(|uid, sidecar| {
            let is_heard = now.saturating_duration_since(sidecar.heard) <= silence_max;
            if !is_heard {
                tallies.values_mut().for_each(|tally| tally.settle(uid));
            }
            is_heard
        });
        self.sidecars.len() != before
    }

    /// How many sidecars are connected.
    pub(crate) fn n_sidecars(&self) -> usize {
        self.sidecars.len()
    }

    /// There is such a FaultRule, which has counted so much as was last told.
    pub(crate) fn know_rule(&mut self, uid: &str, namespace: &str, name: &str, told: Counts) {
        let new = || Tally::new(namespace, name, told);
        self.tallies.entry(uid.to_owned()).or_insert_with(new);
    }

    /// Puts a rule in force, or replaces it. Whether that is a change.
    pub(crate) fn order_rule(&mut self, rule: OrderedRule) -> bool {
        let uid = rule.rank.uid.clone();
        let is_same = self.rules.get(&uid) == Some(&rule);
        self.rules.insert(uid, rule);
        !is_same
    }

    /// Lets an experiment wait or run. Whether that is a change.
    pub(crate) fn order_experiment(&mut self, experiment: OrderedExperiment) -> bool {
        let uid = experiment.rank.uid.clone();
        let is_same = self.experiments.get(&uid) == Some(&experiment);
        self.experiments.insert(uid, experiment);
        !is_same
    }

    /// Stops all faults. Whether that is a change.
    pub(crate) fn halt(&mut self, halt: Halt) -> bool {
        let uid = halt.rank.uid.clone();
        let is_same = self.halts.get(&uid) == Some(&halt);
        self.halts.insert(uid, halt);
        !is_same
    }

    /// What this object ordered is over. Whether that is a change.
    pub(crate) fn end(&mut self, uid: &str) -> bool {
        let rule = self.rules.remove(uid).is_some();
        let experiment = self.experiments.remove(uid).is_some();
        let halt = self.halts.remove(uid).is_some();
        rule || experiment || halt
    }

    /// This object is no more. Whether that is a change.
    pub(crate) fn delete(&mut self, uid: &str) -> bool {
        self.tallies.remove(uid);
        self.end(uid)
    }
}

#[cfg(test)]
mod tests;
