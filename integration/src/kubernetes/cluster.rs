//! What controllers of a real cluster would do to objects, as far as somebody waits for it.

use serde_json::{Value, json};

use super::kinds;
use super::place::{Key, Resource};

/// What becomes of an object as soon as it is written: a Deployment counts as rolled out, though no pod runs; a definition is
/// in force; a namespace is there, and has the label with its name.
pub(super) fn settle(resource: &Resource, object: &mut Value) {
    let condition = |type_: &str, reason: &str| json!({ "type": type_, "status": "True", "reason": reason });
    match resource.plural.as_str() {
        "deployments" => {
            let replicas = object["spec"]["replicas"].as_u64().unwrap_or(1);
            object["spec"]["replicas"] = replicas.into();
            object["status"] = json!({
                "observedGeneration": object["metadata"]["generation"],
                "replicas": replicas, "updatedReplicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas,
                "conditions": [condition("Available", "Settled"), condition("Progressing", "NewReplicaSetAvailable")],
            });
        }
        "customresourcedefinitions" => {
            let names = object["spec"]["names"].clone();
            let conditions =
                [condition("NamesAccepted", "NoConflicts"), condition("Established", "InitialNamesAccepted")];
            object["status"] = json!({ "acceptedNames": names, "conditions": conditions, "storedVersions": [] });
        }
        "namespaces" => {
            object["metadata"]["labels"]["kubernetes.io/metadata.name"] = object["metadata"]["name"].clone();
            object["status"] = json!({ "phase": "Active" });
        }
        _ => {}
    }
}

/// Whether an object goes with this one: what is in a namespace, and what a definition defined.
pub(super) fn goes_with(gone: &Key, object: &Value, other: &Key) -> bool {
    match gone.resource.plural.as_str() {
        "namespaces" => other.namespace == gone.name,
        "customresourcedefinitions" => kinds::defined(object).is_some_and(|kind| kind.resource == other.resource),
        _ => false,
    }
}

/// The part `scale` of an object that has replicas.
pub(super) fn scale(object: &Value) -> Value {
    let metadata = &object["metadata"];
    let labels = object["spec"]["selector"]["matchLabels"].as_object().into_iter().flatten();
    let selector: Vec<String> =
        labels.map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default())).collect();
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"], "creationTimestamp": metadata["creationTimestamp"],
        },
        "spec": { "replicas": object["spec"]["replicas"] },
        "status": { "replicas": object["status"]["replicas"], "selector": selector.join(",") },
    })
}

/// An Event of `events.k8s.io` as the core has the same, where `kubectl describe` looks for it.
pub(super) fn core_event(event: &Value) -> Value {
    json!({
        "kind": "Event", "apiVersion": "v1", "metadata": event["metadata"], "type": event["type"],
        "involvedObject": event["regarding"], "reason": event["reason"], "message": event["note"],
        "eventTime": event["eventTime"], "reportingComponent": event["reportingController"],
        "reportingInstance": event["reportingInstance"], "action": event["action"],
    })
}
