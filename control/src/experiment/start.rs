//! Whether an experiment can start now.

use squall_config::model::{Condition, Experiment, Listener, Match, Rule};
use squall_config::spec::{ConfigSpec, ExperimentDocument};
use squall_config::{Problems, validate, validate_experiment};

use crate::app::App;

/// Why an experiment does not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotNow {
    /// Its document does not fit to the configuration.
    #[error(transparent)]
    Invalid(Problems),
    /// All faults are halted.
    #[error("all faults are halted ({0}); resume first")]
    Halted(String),
    /// Another experiment is about the same traffic.
    #[error(
        "rule {rule:?} could match the same traffic as rule {other_rule:?} of experiment {other:?}, which is running"
    )]
    Overlaps {
        /// Its rule.
        rule: String,
        /// The other experiment.
        other: String,
        /// The rule of that.
        other_rule: String,
    },
    /// Squall is ending.
    #[error("Squall accepts no traffic now")]
    NotReady,
}

/// Whether statements or guards of it ask Prometheus or a probe: they make Squall call addresses, and show them tokens, that
/// whoever wrote it names.
pub(crate) fn asks_others(experiment: &Experiment) -> bool {
    let conditions = experiment.steady_state.iter().map(|statement| &statement.broken);
    let mut conditions = conditions.chain(experiment.guards.iter().map(|guard| &guard.condition));
    conditions.any(|condition| !matches!(condition, Condition::Traffic(_)))
}

/// Checks an experiment against the configuration in force alone.
pub(crate) fn fits(app: &App, document: &ExperimentDocument) -> Result<Experiment, NotNow> {
    validate_experiment(document, &app.publisher.view().written.lasting()).map_err(NotNow::Invalid)
}

/// Checks an experiment against the configuration in force, the kill switch and the experiments that are running.
pub(crate) fn check(app: &App, document: &ExperimentDocument) -> Result<Experiment, NotNow> {
    let experiment = fits(app, document)?;
    let view = app.publisher.view();
    let against = view.written.lasting();
    if let Some(halt) = &view.halt {
        return Err(NotNow::Halted(halt.reason.clone()));
    }
    if !app.data_plane.is_ready() {
        return Err(NotNow::NotReady);
    }
    for name in app.experiments.busy() {
        let Some(entry) = app.experiments.get(&name).filter(|_| name != experiment.name.as_str()) else {
            continue;
        };
        let Ok(other) = validate_experiment(&entry.document, &against) else { continue };
        overlap(&experiment, &other, &against)?;
    }
    Ok(experiment)
}

fn overlap(one: &Experiment, other: &Experiment, against: &ConfigSpec) -> Result<(), NotNow> {
    let Ok(config) = validate(&ConfigSpec { rules: Vec::new(), ..against.clone() }) else { return Ok(()) };
    let (rules, others) = (rules(one, against), rules(other, against));
    for rule in &rules {
        if let Some(met) = others.iter().find(|met| can_meet(&rule.matches, &met.matches, &config.listeners)) {
            return Err(NotNow::Overlaps {
                rule: rule.name.to_string(),
                other: other.name.to_string(),
                other_rule: met.name.to_string(),
            });
        }
    }
    Ok(())
}

/// Whether there is a listener, and a cluster that its traffic goes to, where both could match the same.
fn can_meet(one: &Match, other: &Match, listeners: &[Listener]) -> bool {
    let is_at = |matches: &Match, listener: &Listener| {
        matches.listener.as_ref().is_none_or(|name| *name == listener.name)
            && matches.direction.is_none_or(|direction| direction == listener.direction)
            && matches.cluster.as_ref().is_none_or(|cluster| listener.leads_to(cluster))
    };
    let same_cluster = one.cluster.as_ref().zip(other.cluster.as_ref()).is_none_or(|(a, b)| a == b);
    same_cluster
        && listeners.iter().any(|listener| is_at(one, listener) && is_at(other, listener))
        && !one.excludes(other)
}

/// Whether a rule of one of its steps hangs on ids of requests.
pub(super) fn hangs_on_ids(experiment: &Experiment, against: &ConfigSpec) -> bool {
    rules(experiment, against).iter().any(Rule::hangs_on_ids)
}

/// The rules of all steps, compiled on their own; each is valid in the configuration.
fn rules(experiment: &Experiment, against: &ConfigSpec) -> Vec<Rule> {
    let mut all = Vec::new();
    for step in &experiment.method {
        let document =
            ConfigSpec { rules: step.rules.iter().map(|rule| rule.spec.clone()).collect(), ..against.clone() };
        all.extend(validate(&document).map(|config| config.rules).unwrap_or_default());
    }
    all
}
