//! Rules and experiments on their way into the cluster: what cannot be used is refused, with everything that is wrong.

use serde_json::Value;

use super::review::{Answer, Review};
use crate::serve::metrics::ValidationOutcome as Outcome;

/// Everything that is wrong with an object of a kind, each with where and how to put it right; nothing for kinds that it
/// does not know.
pub(crate) type Check = dyn Fn(&str, &Value) -> Vec<String> + Send + Sync;

/// Decides about one review.
pub(crate) fn answer(review: &Review, check: &Check) -> (Answer, Outcome) {
    if let Some(problem) = review.problem() {
        return (review.deny(400, "BadRequest", problem), Outcome::Denied);
    }
    // What goes is not looked at, and neither is who writes down what has become of it.
    let (Some(("squall.dev", kind)), "CREATE" | "UPDATE") = (review.kind(), review.operation()) else {
        return (review.allow(), Outcome::Ignored);
    };
    let Some(object) = review.object() else {
        return (review.deny(400, "BadRequest", "the review has no object".to_owned()), Outcome::Denied);
    };
    // Something else waits for the end of this object, and its last updates must not fail.
    if object.pointer("/metadata/deletionTimestamp").is_some_and(Value::is_string) {
        return (review.allow(), Outcome::Ignored);
    }
    // What was let in once, perhaps by an older version, can still get a label.
    if review.old_object().is_some_and(|old| old.get("spec") == object.get("spec")) {
        return (review.allow(), Outcome::Ignored);
    }
    let problems = check(kind, object);
    if problems.is_empty() {
        return (review.allow(), Outcome::Allowed);
    }
    let message = format!("{}: {}", review.title(), problems.join("; "));
    (review.deny(422, "Invalid", message), Outcome::Denied)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(kind: &str, object: &Value) -> Vec<String> {
        let is_slow = object.pointer("/spec/fault/delay").is_some();
        let problems = ["spec.fault: is required", "spec.percentage: is required"];
        if kind == "FaultRule" && !is_slow { problems.map(str::to_owned).to_vec() } else { Vec::new() }
    }

    fn answered(operation: &str, sub_resource: &str, object: &Value) -> (Value, Outcome) {
        let review = json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "1", "kind": { "group": "squall.dev", "version": "v1alpha1", "kind": "FaultRule" },
            "subResource": sub_resource, "name": "slow", "namespace": "shop", "operation": operation, "object": object,
        } });
        let (answer, outcome) = answer(&Review::read(review.to_string().as_bytes()).unwrap(), &check);
        (answer.document()["response"].clone(), outcome)
    }

    #[test]
    fn what_can_be_used_is_allowed() {
        let good = json!({ "spec": { "fault": { "delay": "2s" } } });
        assert_eq!(answered("CREATE", "", &good), (json!({ "uid": "1", "allowed": true }), Outcome::Allowed));
    }

    #[test]
    fn all_that_is_wrong_is_told() {
        for operation in ["CREATE", "UPDATE"] {
            let (response, outcome) = answered(operation, "", &json!({ "spec": {} }));
            assert_eq!(outcome, Outcome::Denied);
            assert_eq!(
                response["status"],
                json!({
                    "code": 422, "reason": "Invalid",
                    "message": "FaultRule shop/slow: spec.fault: is required; spec.percentage: is required",
                })
            );
        }
        let (response, _) = answered("CREATE", "", &json!("no object"));
        assert_eq!((&response["allowed"], &response["status"]["code"]), (&json!(false), &json!(400)));
    }

    #[test]
    fn what_goes_and_what_others_write_is_not_looked_at() {
        let bad = json!({ "spec": {} });
        for (operation, sub_resource) in [("DELETE", ""), ("UPDATE", "status"), ("CONNECT", ""), ("", "")] {
            assert_eq!(answered(operation, sub_resource, &bad).1, Outcome::Ignored);
        }
        let going = json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" }, "spec": {} });
        assert_eq!(answered("UPDATE", "", &going).1, Outcome::Ignored);
        let review = json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "1", "kind": { "group": "squall.dev", "kind": "FaultRule" }, "operation": "UPDATE",
            "object": { "metadata": { "labels": {} }, "spec": {} }, "oldObject": { "spec": {} },
        } });
        let labelled = answer(&Review::read(review.to_string().as_bytes()).unwrap(), &check);
        assert_eq!(labelled.1, Outcome::Ignored);
    }
}
