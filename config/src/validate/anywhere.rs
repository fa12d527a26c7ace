//! Documents for Squalls whose configuration is not known here, as a controller of many gets them.
//!
//! Names of listeners, clusters and endpoints may be right or wrong, and what is spoken where is not known either: each Squall
//! tells that for itself. All else is checked as in a configuration with the default limits.

use crate::model::{Experiment, Limits, Pods, Rule};
use crate::problem::Problems;
use crate::report::Report;
use crate::spec::{ConfigSpec, ExperimentDocument, PodsSpec, RuleSpec};

use super::context::Context;
use super::{experiment, limits, pods, rules};

/// Checks a rule on its own. `path` stands before the places of problems, as in `spec`.
///
/// # Errors
/// Every problem of the rule, without positions.
pub fn validate_rule(path: &str, spec: &RuleSpec) -> Result<Rule, Problems> {
    let mut report = Report::default();
    let limits = default_limits();
    let rule = rules::rule(path, spec, &Context::unknown(&limits), &mut report);
    report.into_result()?;
    Ok(rule.expect("invariant: what is missing has been reported"))
}

/// Checks which pods a document is for. `path` is its place.
///
/// # Errors
/// Every problem of it, without positions.
pub fn validate_pods(path: &str, spec: &PodsSpec) -> Result<Pods, Problems> {
    let mut report = Report::default();
    let pods = pods::pods(path, spec, &mut report);
    report.into_result()?;
    Ok(pods)
}

/// Checks an experiment on its own.
///
/// # Errors
/// Every problem of the experiment, without positions.
pub fn validate_experiment_anywhere(document: &ExperimentDocument) -> Result<Experiment, Problems> {
    let mut report = Report::default();
    let limits = default_limits();
    let against = ConfigSpec::default();
    let experiment = experiment::experiment(document, &against, &Context::unknown(&limits), &mut report);
    report.into_result()?;
    Ok(experiment.expect("invariant: what is missing has been reported"))
}

fn default_limits() -> Limits {
    limits::limits(None, &[], &mut Report::default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{parse_experiment_text, parse_value};

    fn rule(json: &str) -> Result<Rule, Vec<String>> {
        let spec: RuleSpec = parse_value(&serde_json::from_str(json).unwrap()).unwrap();
        validate_rule("spec", &spec).map_err(|problems| {
            problems.0.into_iter().map(|problem| format!("{}: {}", problem.path, problem.detail)).collect()
        })
    }

    #[test]
    fn names_that_only_a_squall_knows_are_no_problem() {
        for matches in [
            r#"{"cluster": "service-b", "listener": "to-b", "direction": "outbound"}"#,
            r#"{"endpoint": "db-1:5432"}"#,
            r#"{"endpoint": {"labels": {"region": "a"}}}"#,
            r#"{"source": "10.0.0.0/8"}"#,
        ] {
            let text = format!(r#"{{"name": "r", "percentage": 5, "fault": {{"reset": true}}, "match": {matches}}}"#);
            assert_eq!(rule(&text).map(|rule| rule.name.to_string()), Ok("r".to_owned()), "{matches}");
        }
        let handshake = r#"{"name": "r", "percentage": 5, "fault": {"tls": {"certificate": "expired"}}}"#;
        assert!(rule(handshake).is_ok(), "{:?}", rule(handshake));
    }

    #[test]
    fn all_else_is_checked() {
        let wrong = r#"{"name": "r", "fault": {"delay": "2 sheep"}, "ttl": "0s",
            "match": {"cluster": "Service B", "path": "v1", "listener": "-"}}"#;
        let problems = rule(wrong).unwrap_err();
        for expected in [
            "spec.percentage: missing",
            "spec.fault.delay: ",
            "spec.ttl: ",
            "spec.match.path: ",
            "spec.match.cluster: ",
            "spec.match.listener: ",
        ] {
            assert!(problems.iter().any(|problem| problem.starts_with(expected)), "{expected} in {problems:#?}");
        }
        let both = r#"{"name": "r", "percentage": 5, "fault": {"abort": 503, "slow_close": "1s"}}"#;
        assert!(rule(both).is_err());
    }

    #[test]
    fn experiments_are_checked_without_a_configuration() {
        let text = crate::example_experiment();
        let document = parse_experiment_text(text).unwrap();
        let experiment = validate_experiment_anywhere(&document).unwrap();
        assert_eq!(experiment.pods, Pods::default());
        let mut wrong = document;
        wrong.spec.as_mut().unwrap().method.clear();
        wrong.metadata = None;
        let problems = validate_experiment_anywhere(&wrong).unwrap_err();
        let paths: Vec<&str> = problems.0.iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(paths, ["metadata", "spec.method"]);
    }
}
