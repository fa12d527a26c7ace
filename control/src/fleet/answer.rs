//! What the controller answered, as orders. Nothing of it is in force here.
//!
//! A rule or an experiment that this version does not understand is left out alone: what it does not know might be what makes it
//! harmless.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use squall_config::spec::{ExperimentDocument, RuleSpec};
use squall_config::{Problems, parse_value, parse_values};

use super::board::ControllerAnswer;
use crate::web::WebAnswer;

/// A controller that promises less has no time to keep its promise; one that promises more keeps faults going when it is gone.
const LEASE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(300);

/// It is said again in each report.
const REVISION_BYTES_MAX: usize = 1000;

/// All that is to be done.
#[derive(Debug, PartialEq)]
pub(crate) struct Orders {
    pub(crate) revision: String,
    /// So long they hold.
    pub(crate) lease: Duration,
    /// Why no fault may flow.
    pub(crate) halt: Option<String>,
    pub(crate) rules: Vec<Result<RuleSpec, Unread>>,
    pub(crate) experiments: Vec<Result<ExperimentOrder, Unread>>,
}

/// An experiment to be run once.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ExperimentOrder {
    pub(crate) name: String,
    /// Tells it from other runs.
    pub(crate) run: String,
    pub(crate) document: ExperimentDocument,
}

/// Something that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unread {
    /// What it is called, as far as one can tell.
    pub(crate) name: String,
    pub(crate) problem: String,
}

/// Why there are no orders.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) answer: ControllerAnswer,
    pub(crate) why: String,
}

/// The outside of the orders; what is in them is read piece by piece.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Written {
    revision: String,
    lease_ms: u64,
    halt: Option<String>,
    rules: Vec<Value>,
    experiments: Vec<Value>,
}

/// The orders in an answer.
///
/// # Errors
/// There are none.
pub(crate) fn read(answer: &WebAnswer) -> Result<Orders, Trouble> {
    if answer.status != 200 {
        let kind =
            if (400..500).contains(&answer.status) { ControllerAnswer::Refused } else { ControllerAnswer::Failed };
        return Err(Trouble { answer: kind, why: said(answer) });
    }
    let invalid = |why: String| Trouble { answer: ControllerAnswer::Invalid, why };
    let written: Written = serde_json::from_slice(&answer.body)
        .map_err(|error| invalid(format!("the answer is not one of a controller: {error}")))?;
    if written.revision.is_empty() || written.revision.len() > REVISION_BYTES_MAX || written.lease_ms == 0 {
        return Err(invalid(
            "the answer is not one of a controller: revision or lease_ms is missing, or cannot be".to_owned(),
        ));
    }
    Ok(Orders {
        revision: written.revision,
        lease: Duration::from_millis(written.lease_ms).clamp(*LEASE.start(), *LEASE.end()),
        halt: written.halt.map(|reason| shortened(&reason)),
        rules: rules(&written.rules),
        experiments: written.experiments.iter().map(experiment).collect(),
    })
}

fn experiment(written: &Value) -> Result<ExperimentOrder, Unread> {
    let name = &written["document"]["metadata"]["name"];
    let document = parse_value(&written["document"]).map_err(|problems| unread(name, &problems))?;
    let name = name.as_str().unwrap_or_default().to_owned();
    match written["run"].as_str().filter(|run| !run.is_empty()) {
        Some(run) => Ok(ExperimentOrder { name, run: run.to_owned(), document }),
        None => Err(Unread { name, problem: "the orders do not say which run this is".to_owned() }),
    }
}

fn rules(written: &[Value]) -> Vec<Result<RuleSpec, Unread>> {
    let named =
        |(rule, read): (&Value, Result<RuleSpec, Problems>)| read.map_err(|problems| unread(&rule["name"], &problems));
    written.iter().zip(parse_values(written)).map(named).collect()
}

fn unread(name: &Value, problems: &Problems) -> Unread {
    Unread { name: shortened(name.as_str().unwrap_or_default()), problem: shortened(&problems.to_string()) }
}

/// What an answer that is a refusal or a failure says, as people read it.
fn said(answer: &WebAnswer) -> String {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let text = |field: &str| body[field].as_str().map(shortened).filter(|text| !text.is_empty());
    let said = [text("detail"), text("hint")].into_iter().flatten().collect::<Vec<_>>().join("; ");
    if said.is_empty() { format!("status {}", answer.status) } else { format!("status {}: {said}", answer.status) }
}

/// A text of somebody else is not shown any further.
const TEXT_LENGTH_MAX: usize = 500;

/// As much of a text as is shown.
pub(super) fn shortened(text: &str) -> String {
    text.chars().take(TEXT_LENGTH_MAX).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answered(status: u16, body: &Value) -> Result<Orders, Trouble> {
        read(&WebAnswer { status, body: body.to_string().into_bytes() })
    }

    #[test]
    fn what_a_controller_writes_is_read() {
        let rule: RuleSpec = parse_value(&json!({"name": "slow", "percentage": 5, "fault": {"delay": "2s"}})).unwrap();
        let document: ExperimentDocument =
            parse_value(&json!({"kind": "Experiment", "metadata": {"name": "e"}})).unwrap();
        let written = squall_orders::Orders {
            revision: "7".to_owned(),
            lease_ms: 15_000,
            halt: Some("an incident".to_owned()),
            rules: vec![rule.clone()],
            experiments: vec![squall_orders::ExperimentOrder { run: "u/3".to_owned(), document: document.clone() }],
        };
        let orders = answered(200, &serde_json::to_value(written).unwrap()).unwrap();
        let experiment = ExperimentOrder { name: "e".to_owned(), run: "u/3".to_owned(), document };
        assert_eq!((orders.rules, orders.experiments), (vec![Ok(rule)], vec![Ok(experiment)]));
        assert_eq!((orders.revision.as_str(), orders.lease), ("7", Duration::from_secs(15)));
        assert_eq!(orders.halt.as_deref(), Some("an incident"));
    }

    #[test]
    fn what_is_not_understood_is_left_out_alone() {
        let good = json!({"name": "good", "percentage": 5, "fault": {"delay": "2s"}});
        let strange = json!({"name": "new", "percentage": 5, "fault": {"delay": "2s"}, "only_on_sundays": true});
        let experiments =
            json!([{"document": {"metadata": {"name": "e"}}}, {"run": "1", "document": {"colour": 1}}, 7]);
        let rules = json!([good, strange, 7, {"name": 7}]);
        let orders = answered(
            200,
            &json!({"revision": "1", "lease_ms": 1, "rules": rules, "experiments": experiments, "colour": "red"}),
        )
        .unwrap();
        assert_eq!(orders.lease, Duration::from_secs(1));
        assert_eq!(orders.rules[0].as_ref().unwrap().name, "good");
        let unread: Vec<&Unread> = orders.rules[1..].iter().map(|rule| rule.as_ref().unwrap_err()).collect();
        assert!(unread[0].name == "new" && unread[0].problem.contains("only_on_sundays"), "{unread:?}");
        assert_eq!(orders.experiments.iter().filter(|experiment| experiment.is_err()).count(), 3);
    }

    #[test]
    fn everything_else_is_no_order() {
        for body in [
            json!({}),
            json!([]),
            json!("x"),
            json!({"revision": "1"}),
            json!({"lease_ms": 5}),
            json!({"rules": 1}),
            json!({"revision": "x".repeat(1001), "lease_ms": 5000}),
        ] {
            assert_eq!(answered(200, &body).unwrap_err().answer, ControllerAnswer::Invalid, "{body}");
        }
        let refused = answered(401, &json!({"detail": "the token is too old", "hint": "mount another"})).unwrap_err();
        assert_eq!(refused.why, "status 401: the token is too old; mount another");
        assert_eq!(refused.answer, ControllerAnswer::Refused);
        for (status, answer) in
            [(500, ControllerAnswer::Failed), (302, ControllerAnswer::Failed), (204, ControllerAnswer::Failed)]
        {
            let body = json!({"revision": "1", "lease_ms": 5000});
            assert_eq!(answered(status, &body).unwrap_err().answer, answer, "{status}");
        }
        assert!(read(&WebAnswer { status: 500, body: b"\xff<html>".to_vec() }).unwrap_err().why.contains("status 500"));
    }
}
