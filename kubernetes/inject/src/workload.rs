//! Which part of an object is a pod.

use serde_json::Value;

use crate::pod;

/// An object that was looked at.
#[derive(Debug)]
pub struct Workload<'a> {
    /// As people call it: `Deployment shop/service-a`.
    pub title: String,
    /// Where it is, when it says so.
    pub namespace: Option<String>,
    /// The pod, or the template of pods, in it; `None` in objects that make none.
    pub pod: Option<&'a mut Value>,
}

/// The objects of a document: the one that it is, or the items of a list.
pub fn workloads(document: &mut Value) -> Vec<Workload<'_>> {
    let kind = pod::text(document, "/kind").unwrap_or_default();
    let is_list = kind.ends_with("List") && document.get("items").is_some_and(Value::is_array);
    if is_list {
        let items = document.get_mut("items").and_then(Value::as_array_mut);
        return items.into_iter().flatten().flat_map(workloads).collect();
    }
    if document.is_null() { Vec::new() } else { vec![workload(document)] }
}

fn workload(object: &mut Value) -> Workload<'_> {
    let text = |pointer: &str| pod::text(object, pointer).map(str::to_owned);
    let namespace = text("/metadata/namespace");
    let kind = text("/kind").unwrap_or_else(|| "object".to_owned());
    let name = text("/metadata/name").or_else(|| text("/metadata/generateName")).unwrap_or_default();
    let title = match &namespace {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    };
    let place = template(&kind, &text("/apiVersion").unwrap_or_default());
    let pod = place.and_then(|place| object.pointer_mut(place));
    Workload { title: title.trim_end().to_owned(), namespace, pod }
}

/// Where objects of a kind have the template of their pods. Other groups have kinds of the same names.
fn template(kind: &str, api_version: &str) -> Option<&'static str> {
    let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
    match (group, kind) {
        ("", "Pod") => Some(""),
        ("", "ReplicationController")
        | ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet")
        | ("batch", "Job") => Some("/spec/template"),
        ("batch", "CronJob") => Some("/spec/jobTemplate/spec/template"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pods_are_found_where_they_are() {
        let pod = || json!({ "spec": { "containers": [] } });
        for (version, kind, spec) in [
            ("apps/v1", "Deployment", json!({ "template": pod() })),
            ("apps/v1", "StatefulSet", json!({ "template": pod() })),
            ("apps/v1", "DaemonSet", json!({ "template": pod() })),
            ("apps/v1", "ReplicaSet", json!({ "template": pod() })),
            ("v1", "ReplicationController", json!({ "template": pod() })),
            ("batch/v1", "Job", json!({ "template": pod() })),
            ("batch/v1", "CronJob", json!({ "jobTemplate": { "spec": { "template": pod() } } })),
        ] {
            let mut object = json!({ "apiVersion": version, "kind": kind, "metadata": { "name": "a" }, "spec": spec });
            let found = workloads(&mut object);
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].title, format!("{kind} a"));
            assert_eq!(found[0].pod.as_deref(), Some(&pod()), "{kind}");
        }
    }

    #[test]
    fn other_objects_have_none() {
        for (version, kind) in [("v1", "Service"), ("batch.volcano.sh/v1", "Job"), ("v1", "Deployment"), ("", "")] {
            let mut object = json!({ "apiVersion": version, "kind": kind, "spec": { "template": {} } });
            assert!(workloads(&mut object)[0].pod.is_none(), "{version} {kind}");
        }
        assert!(workloads(&mut json!(null)).is_empty());
        assert_eq!(workloads(&mut json!("text"))[0].title, "object");
    }

    #[test]
    fn lists_are_their_items() {
        let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p", "namespace": "shop" } });
        let mut list = json!({ "apiVersion": "v1", "kind": "List", "items": [pod, { "kind": "Service" }, null] });
        let found = workloads(&mut list);
        assert_eq!(found.iter().map(|w| w.title.as_str()).collect::<Vec<_>>(), ["Pod shop/p", "Service"]);
        assert_eq!(found[0].namespace.as_deref(), Some("shop"));
        assert!(found[0].pod.is_some());
    }
}
