//! Which kinds of objects there are: those of Kubernetes that pages and the chart use, and those that
//! CustomResourceDefinitions add.

use serde_json::{Value, json};

use super::place::Resource;

/// Group, version, plural, kind, whether it is in namespaces, and what people type in place of the plural.
const OWN: [(&str, &str, &str, &str, bool, &str); 20] = [
    ("", "v1", "namespaces", "Namespace", false, "ns"),
    ("", "v1", "pods", "Pod", true, "po"),
    ("", "v1", "services", "Service", true, "svc"),
    ("", "v1", "serviceaccounts", "ServiceAccount", true, "sa"),
    ("", "v1", "configmaps", "ConfigMap", true, "cm"),
    ("", "v1", "secrets", "Secret", true, ""),
    ("", "v1", "events", "Event", true, "ev"),
    ("apps", "v1", "deployments", "Deployment", true, "deploy"),
    // Helm asks for those of a Deployment; there are none.
    ("apps", "v1", "replicasets", "ReplicaSet", true, "rs"),
    ("events.k8s.io", "v1", "events", "Event", true, "ev"),
    ("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", false, ""),
    ("rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", false, ""),
    ("rbac.authorization.k8s.io", "v1", "roles", "Role", true, ""),
    ("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding", true, ""),
    ("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", true, "netpol"),
    ("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", true, "pdb"),
    ("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", false, "crd"),
    ("admissionregistration.k8s.io", "v1", MUTATING, "MutatingWebhookConfiguration", false, ""),
    ("admissionregistration.k8s.io", "v1", VALIDATING, "ValidatingWebhookConfiguration", false, ""),
    ("authentication.k8s.io", "v1", "tokenreviews", "TokenReview", false, ""),
];
const MUTATING: &str = "mutatingwebhookconfigurations";
const VALIDATING: &str = "validatingwebhookconfigurations";

/// A kind of objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) resource: Resource,
    pub(super) kind: String,
    pub(super) is_namespaced: bool,
    singular: String,
    short: Vec<String>,
    categories: Vec<String>,
}

pub(super) fn resource(group: &str, version: &str, plural: &str) -> Resource {
    Resource { group: group.to_owned(), version: version.to_owned(), plural: plural.to_owned() }
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// What a definition defines; nothing where it is not whole.
pub(super) fn defined(definition: &Value) -> Option<Kind> {
    let (spec, names) = (&definition["spec"], &definition["spec"]["names"]);
    let version = spec["versions"].as_array()?.iter().find(|version| version["served"] == true)?;
    let kind = names["kind"].as_str()?.to_owned();
    Some(Kind {
        resource: resource(spec["group"].as_str()?, version["name"].as_str()?, names["plural"].as_str()?),
        singular: names["singular"].as_str().map_or_else(|| kind.to_lowercase(), str::to_owned),
        kind,
        is_namespaced: spec["scope"] == "Namespaced",
        short: texts(&names["shortNames"]),
        categories: texts(&names["categories"]),
    })
}

/// Those that are there without a definition.
pub(super) fn own() -> impl Iterator<Item = Kind> {
    OWN.into_iter().map(|(group, version, plural, kind, is_namespaced, short)| Kind {
        resource: resource(group, version, plural),
        kind: kind.to_owned(),
        is_namespaced,
        singular: kind.to_lowercase(),
        short: short.split_whitespace().map(str::to_owned).collect(),
        categories: Vec::new(),
    })
}

impl Kind {
    /// As discovery tells it, with its parts.
    pub(super) fn told(&self) -> Vec<Value> {
        let plural = &self.resource.plural;
        let verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
        let mut all = vec![json!({
            "name": plural, "singularName": self.singular, "namespaced": self.is_namespaced, "kind": self.kind,
            "verbs": verbs, "shortNames": self.short, "categories": self.categories,
        })];
        if plural == "deployments" {
            all.push(json!({
                "name": "deployments/scale", "singularName": "", "namespaced": true, "kind": "Scale",
                "group": "autoscaling", "version": "v1", "verbs": ["get", "patch", "update"],
            }));
        }
        all
    }
}
