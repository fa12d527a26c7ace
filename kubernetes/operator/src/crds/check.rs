//! Objects as they were written → what they mean: all problems at once, each with its place.
//!
//! Pure, and the same for the admission webhook and for the controller, which looks again: objects come in where there is no
//! webhook, too. What only a sidecar knows, such as the names of its clusters, is no problem here; the sidecar says so.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use squall_config::model::{Name, Pods};
use squall_config::spec::{ExperimentDocument, MetadataSpec, RuleSpec};
use squall_config::units::{format_duration, parse_duration};
use squall_config::{Problem, Problems, parse_value, validate_experiment_anywhere, validate_pods, validate_rule};

use super::fault_rule::FaultRuleSpec;

/// How long rules live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lives {
    /// Those that do not say.
    pub(crate) default: Duration,
    /// At most.
    pub(crate) longest: Duration,
}

/// What a FaultRule means.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CheckedRule {
    /// Whom it is for.
    pub(crate) pods: Pods,
    /// What they get, by the name of the object.
    pub(crate) rule: RuleSpec,
    /// For so long.
    pub(crate) ttl: Duration,
    /// Whether anybody gets it.
    pub(crate) is_enabled: bool,
}

/// What an Experiment means.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CheckedExperiment {
    /// Whom it is for.
    pub(crate) pods: Pods,
    /// What they run, by the name of the object.
    pub(crate) document: ExperimentDocument,
    /// The longest that it takes.
    pub(crate) duration: Duration,
}

/// Reads a FaultRule, the whole object.
///
/// # Errors
/// All problems of its name and its spec, with places such as `spec.fault.delay`.
pub(crate) fn check_fault_rule(object: &Value, lives: Lives) -> Result<CheckedRule, Problems> {
    let (name, mut problems) = name(object);
    let spec: FaultRuleSpec = match parse_value(object.get("spec").unwrap_or(&Value::Null)) {
        Ok(spec) => spec,
        Err(Problems(more)) => {
            problems.extend(more.into_iter().map(|problem| below("spec", problem)));
            return Err(Problems(problems));
        }
    };
    let pods = spec.pods.as_ref().map_or_else(|| Ok(Pods::default()), |pods| validate_pods("spec.pods", pods));
    let pods = pods.unwrap_or_else(|Problems(more)| {
        problems.extend(more);
        Pods::default()
    });
    let is_enabled = spec.enabled.unwrap_or(true);
    let ttl = spec.ttl.as_ref().map_or(Some(lives.default), |ttl| {
        // What is no duration is told with the rest of the rule.
        parse_duration(&ttl.to_string()).ok()
    });
    let written_ttl = spec.ttl.clone();
    let rule = spec.rule(&name);
    let checked = RuleSpec { ttl: written_ttl, name: usable(&name), ..rule.clone() };
    if let Err(Problems(more)) = validate_rule("spec", &checked) {
        problems.extend(more);
    }
    if let Some(ttl) = ttl.filter(|ttl| *ttl > lives.longest) {
        let (ttl, longest) = (format_duration(ttl), format_duration(lives.longest));
        let problem =
            Problem::new("spec.ttl", format!("{ttl} is longer than {longest}, the most that the controller takes"));
        problems.push(problem.with_hint(format!("write at most {longest}, or raise its --ttl-max")));
    }
    match ttl {
        Some(ttl) if problems.is_empty() => Ok(CheckedRule { pods, rule, ttl, is_enabled }),
        _ => Err(Problems(problems)),
    }
}

/// Reads an Experiment, the whole object.
///
/// # Errors
/// As [`check_fault_rule`].
pub(crate) fn check_experiment(object: &Value) -> Result<CheckedExperiment, Problems> {
    let (name, mut problems) = name(object);
    let spec = object.get("spec").unwrap_or(&Value::Null);
    let mut document: ExperimentDocument = match parse_value(&serde_json::json!({ "spec": spec })) {
        Ok(document) => document,
        Err(Problems(more)) => {
            problems.extend(more);
            return Err(Problems(problems));
        }
    };
    document.api_version = "squall.dev/v1alpha1".to_owned();
    document.kind = "Experiment".to_owned();
    document.metadata = Some(MetadataSpec { name: usable(&name), labels: labels(object), ..MetadataSpec::default() });
    let experiment = validate_experiment_anywhere(&document);
    let mut spec = document.spec.unwrap_or_default();
    if spec.schedule.is_some() {
        let problem = Problem::new("spec.schedule", "in a cluster an experiment runs once for each change of its spec");
        problems.push(problem.with_hint("remove it; to run it again, let a CronJob make experiments"));
    }
    let experiment = match experiment {
        Ok(experiment) if problems.is_empty() => experiment,
        Ok(_) => return Err(Problems(problems)),
        Err(Problems(more)) => {
            problems.extend(more);
            return Err(Problems(problems));
        }
    };
    // Whom it is for is no concern of a sidecar.
    spec.pods = None;
    document.spec = Some(spec);
    Ok(CheckedExperiment { pods: experiment.pods, document, duration: experiment.duration })
}

/// Everything that is wrong with an object of a kind, each with its place and its fix; nothing for kinds that need no check.
pub(crate) fn problems(kind: &str, object: &Value, lives: Lives) -> Vec<String> {
    let checked = match kind {
        "FaultRule" => check_fault_rule(object, lives).map(|_| ()),
        "Experiment" => check_experiment(object).map(|_| ()),
        _ => Ok(()),
    };
    let Problems(problems) = checked.err().unwrap_or_default();
    problems.iter().map(ToString::to_string).collect()
}

/// The name of an object, and what is wrong with it: names of Kubernetes can be longer than those of Squall.
fn name(object: &Value) -> (String, Vec<Problem>) {
    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    // An object that gets its name from the API server has none yet when a webhook sees it.
    let is_generated = name.is_empty() && object.pointer("/metadata/generateName").is_some();
    let problem = match Name::new(name) {
        Err(detail) if !is_generated => Some(Problem::new("metadata.name", detail).with_hint("rename it")),
        _ => None,
    };
    (name.to_owned(), problem.into_iter().collect())
}

/// A name with which the rest can be checked.
fn usable(name: &str) -> String {
    if Name::new(name).is_ok() { name.to_owned() } else { "unnamed".to_owned() }
}

fn labels(object: &Value) -> BTreeMap<String, squall_config::spec::Scalar> {
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
    labels.into_iter().flatten().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.into()))).collect()
}

/// The problem of a part, in the whole.
fn below(parent: &str, problem: Problem) -> Problem {
    let path = match problem.path.as_str() {
        "" => parent.to_owned(),
        path => format!("{parent}.{path}"),
    };
    Problem { path, ..problem }
}
