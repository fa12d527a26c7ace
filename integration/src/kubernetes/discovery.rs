//! How clients such as kubectl learn what the API server has: `/version`, groups, and the resources of each.

use serde_json::{Value, json};

use super::answer::Answered;
use super::kinds::Kind;
use super::store::Store;

/// The answer, where the path is one of these.
pub(super) fn answer(path: &str, store: &Store) -> Option<Answered> {
    let steps: Vec<&str> = path.trim_matches('/').split('/').collect();
    let told = match steps[..] {
        ["version"] => json!({ "major": "1", "minor": "33", "gitVersion": "v1.33.0" }),
        ["api"] => json!({ "kind": "APIVersions", "versions": ["v1"] }),
        ["api", "v1"] => resources("", "v1", store),
        ["apis"] => groups(store),
        ["apis", group, version] => resources(group, version, store),
        _ => return None,
    };
    Some((200, told))
}

fn groups(store: &Store) -> Value {
    let mut groups: Vec<Value> = Vec::new();
    for Kind { resource, .. } in store.kinds() {
        if !resource.group.is_empty() && groups.iter().all(|group| group["name"] != resource.group.as_str()) {
            let version = json!({ "groupVersion": resource.api_version(), "version": resource.version });
            groups.push(json!({ "name": resource.group, "versions": [version], "preferredVersion": version }));
        }
    }
    json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups })
}

fn resources(group: &str, version: &str, store: &Store) -> Value {
    let here = |kind: &Kind| kind.resource.group == group && kind.resource.version == version;
    let told: Vec<Value> = store.kinds().filter(here).flat_map(|kind| kind.told()).collect();
    let of = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    json!({ "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": of, "resources": told })
}
