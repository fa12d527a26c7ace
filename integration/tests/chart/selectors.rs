//! Which pods the API server asks about.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use squall_integration::programs::python;

use crate::{find, objects};

type Labels = BTreeMap<&'static str, &'static str>;

/// A label selector, as Kubernetes has it: `NotIn` takes what has no such label.
fn selects(selector: &Value, labels: &Labels) -> bool {
    selector["matchExpressions"].as_array().unwrap().iter().all(|requirement| {
        let values = requirement["values"].as_array().unwrap();
        let is_in =
            labels.get(requirement["key"].as_str().unwrap()).is_some_and(|label| values.contains(&json!(label)));
        match requirement["operator"].as_str().unwrap() {
            "In" => is_in,
            "NotIn" => !is_in,
            other => panic!("{other}"),
        }
    })
}

#[test]
fn pods_are_asked_about_once_and_only_where_somebody_wants_it() {
    let Some(python) = python("chart: selectors") else { return };
    let objects = objects(&python, &json!({}));
    let webhooks = find(&objects, "MutatingWebhookConfiguration")["webhooks"].as_array().unwrap();
    let words = [None, Some("enabled"), Some("disabled"), Some("other")];
    let mut n_asked = 0;
    for name in ["shop", "kube-system", "kube-node-lease", "squall-system"] {
        for (of_namespace, of_pod) in words.iter().flat_map(|one| words.iter().map(move |other| (*one, *other))) {
            let labels = |word: Option<&'static str>| word.map(|word| ("squall.dev/inject", word)).into_iter();
            let namespace: Labels = labels(of_namespace).chain([("kubernetes.io/metadata.name", name)]).collect();
            let pod: Labels = labels(of_pod).collect();
            let asked = webhooks.iter().filter(|webhook| {
                selects(&webhook["namespaceSelector"], &namespace) && selects(&webhook["objectSelector"], &pod)
            });
            let wanted = name == "shop"
                && match (of_namespace, of_pod) {
                    (Some("disabled"), _) | (_, Some("disabled")) => false,
                    (namespace, pod) => namespace == Some("enabled") || pod == Some("enabled"),
                };
            assert_eq!(asked.count(), usize::from(wanted), "{name} {of_namespace:?} {of_pod:?}");
            n_asked += usize::from(wanted);
        }
    }
    // In a namespace that wants it all but those that do not; elsewhere those that want it.
    assert_eq!(n_asked, 3 + 2);
}

/// A release somewhere else never gets sidecars itself.
#[test]
fn no_webhook_keeps_a_pod_from_starting() {
    let Some(python) = python("chart: webhooks") else { return };
    let objects = objects(&python, &json!({}));
    let mutating = find(&objects, "MutatingWebhookConfiguration")["webhooks"].as_array().unwrap();
    let validating = find(&objects, "ValidatingWebhookConfiguration")["webhooks"].as_array().unwrap();
    for webhook in mutating.iter().chain(validating) {
        assert_eq!(webhook["failurePolicy"], "Ignore");
        assert_eq!(webhook["sideEffects"], "None");
        assert_eq!(webhook["timeoutSeconds"], 5);
        assert_eq!(webhook["admissionReviewVersions"], json!(["v1"]));
        assert_eq!(webhook["clientConfig"].get("caBundle"), None, "Squall sets it");
    }
    assert!(mutating.iter().all(|webhook| webhook["reinvocationPolicy"] == "IfNeeded"));
    assert!(mutating.iter().all(|webhook| webhook["rules"][0]["operations"] == json!(["CREATE"])));
}
