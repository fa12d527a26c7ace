//! What an experiment would do: its steps, and the traffic that its rules could reach. Nothing is injected to find out.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use squall_config::model::{Config, Experiment, Listener, Rule};
use squall_config::spec::ConfigSpec;
use squall_config::validate;
use squall_telemetry::{Traffic, TrafficTotals};

use super::machine::injection;

/// What an experiment would do.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ExperimentPlan")]
pub(crate) struct Plan {
    /// The name of the experiment.
    experiment: String,
    /// Seconds that nothing is injected at first.
    baseline_seconds: f64,
    /// Seconds that faults flow, with pauses.
    injection_seconds: f64,
    /// Seconds that the steady state may take to come back.
    recovery_seconds: f64,
    /// The steady state, in words.
    steady_state: Vec<String>,
    /// Conditions that would end it, in words.
    guards: Vec<String>,
    /// Its rules, step by step.
    rules: Vec<PlannedRule>,
}

/// A rule, and what it could reach.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ExperimentPlanRule")]
pub(crate) struct PlannedRule {
    /// Its name.
    name: String,
    /// The step that it belongs to.
    step: String,
    /// Its full share, in percent.
    percentage: f64,
    /// The listeners and clusters whose traffic it could match; none: it would do nothing.
    reaches: Vec<Reached>,
}

/// Traffic that a rule could match.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ExperimentPlanReach")]
pub(crate) struct Reached {
    listener: String,
    cluster: String,
    /// Requests a second from the one to the other, just now. Paths, headers and the like are not looked at.
    requests_per_second: f64,
    /// Of them those that would be faulted, at most.
    faults_per_second: f64,
}

impl Plan {
    /// Of an experiment that is valid in this configuration; the traffic is that of two moments, so long apart.
    pub(crate) fn new(experiment: &Experiment, against: &ConfigSpec, traffic: [&Traffic; 2], apart: Duration) -> Self {
        let rules = experiment.method.iter().flat_map(|step| {
            let document =
                ConfigSpec { rules: step.rules.iter().map(|rule| rule.spec.clone()).collect(), ..against.clone() };
            let config = validate(&document).ok();
            step.rules.iter().map(move |rule| {
                let percentage = f64::from(rule.percentage.ppm()) / 1e4;
                let compiled = config
                    .as_ref()
                    .and_then(|config| Some((config, config.rules.iter().find(|other| other.name == rule.name)?)));
                let reach = |(config, compiled): (&Config, &Rule)| reach(compiled, percentage, config, traffic, apart);
                let reaches = compiled.map(reach).unwrap_or_default();
                PlannedRule { name: rule.name.to_string(), step: step.name.clone(), percentage, reaches }
            })
        });
        Self {
            experiment: experiment.name.to_string(),
            baseline_seconds: experiment.baseline.as_secs_f64(),
            injection_seconds: injection(experiment).as_secs_f64(),
            recovery_seconds: experiment.recovery.as_secs_f64(),
            steady_state: experiment.steady_state.iter().map(|s| format!("{}: {}", s.name, s.statement)).collect(),
            guards: experiment.guards.iter().map(|guard| format!("{}: {}", guard.name, guard.condition)).collect(),
            rules: rules.collect(),
        }
    }
}

/// Listeners and clusters that the rule could meet, with their requests a second.
fn reach(rule: &Rule, percentage: f64, config: &Config, [before, now]: [&Traffic; 2], apart: Duration) -> Vec<Reached> {
    let matches = &rule.matches;
    let is_met = |listener: &&Listener| {
        matches.listener.as_ref().is_none_or(|name| *name == listener.name)
            && matches.direction.is_none_or(|direction| direction == listener.direction)
            && matches.cluster.as_ref().is_none_or(|cluster| listener.leads_to(cluster))
    };
    let mut all = Vec::new();
    for listener in config.listeners.iter().filter(is_met) {
        let clusters: Vec<_> = match &matches.cluster {
            Some(cluster) => vec![cluster],
            None => {
                config.clusters.iter().map(|cluster| &cluster.name).filter(|name| listener.leads_to(name)).collect()
            }
        };
        for cluster in clusters {
            let begun = |traffic: &Traffic| {
                let is_it = |total: &&TrafficTotals| total.listener == listener.name && total.cluster == *cluster;
                traffic.totals.iter().find(is_it).map_or(0, |total| total.begun)
            };
            #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
            let n = begun(now).saturating_sub(begun(before)) as f64;
            let rate = if apart.is_zero() { 0.0 } else { n / apart.as_secs_f64() };
            all.push(Reached {
                listener: listener.name.to_string(),
                cluster: cluster.to_string(),
                requests_per_second: rate,
                faults_per_second: rate * percentage / 100.0,
            });
        }
    }
    all
}
