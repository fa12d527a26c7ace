//! The strategic merge patch, which kubectl sends for objects of Kubernetes itself: lists are merged item by item.

use serde_json::{Map, Value};

/// The field that tells the items of a list apart; `None` where a list is taken whole.
fn key_of(list: &str, items: &[Value]) -> Option<&'static str> {
    Some(match list {
        "containers"
        | "initContainers"
        | "ephemeralContainers"
        | "volumes"
        | "env"
        | "imagePullSecrets"
        | "secrets"
        | "webhooks" => "name",
        "volumeMounts" => "mountPath",
        "conditions" => "type",
        "ownerReferences" => "uid",
        // Those of a container, and those of a Service.
        "ports" if items.iter().any(|item| !item["containerPort"].is_null()) => "containerPort",
        "ports" => "port",
        _ => return None,
    })
}

/// Puts a patch into an object.
pub(super) fn merge(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() || patch.get("$patch").is_some_and(|what| what == "replace") {
        *target = Value::Object(Map::new());
    }
    let Some(fields) = target.as_object_mut() else { return };
    for (name, value) in patch {
        match (name.split_once('/'), value) {
            // Orders come last, when all items are there.
            (Some(("$setElementOrder", _)), _) => {}
            (Some(("$deleteFromPrimitiveList", list)), Value::Array(gone)) => {
                if let Some(Value::Array(items)) = fields.get_mut(list) {
                    items.retain(|item| !gone.contains(item));
                }
            }
            _ if name == "$retainKeys" => {
                let kept = |name: &str| value.as_array().is_some_and(|all| all.iter().any(|one| one == name));
                fields.retain(|name, _| kept(name));
            }
            _ if name == "$patch" => {}
            (_, Value::Null) => {
                fields.remove(name);
            }
            (_, Value::Array(items)) => merge_list(name, fields.entry(name.clone()).or_insert(Value::Null), items),
            _ => merge(fields.entry(name.clone()).or_insert(Value::Null), value),
        }
    }
    for (name, order) in patch {
        if let (Some(("$setElementOrder", list)), Some(order)) = (name.split_once('/'), order.as_array())
            && let Some(Value::Array(items)) = fields.get_mut(list)
        {
            sort(items, list, order);
        }
    }
}

fn merge_list(name: &str, target: &mut Value, patch: &[Value]) {
    let Some(key) = key_of(name, patch) else {
        *target = patch.to_vec().into();
        return;
    };
    if !target.is_array() {
        *target = Value::Array(Vec::new());
    }
    let Some(items) = target.as_array_mut() else { return };
    for item in patch {
        if item["$patch"] == "delete" {
            items.retain(|known| known[key] != item[key]);
        } else if let Some(known) = items.iter_mut().find(|known| known[key] == item[key]) {
            merge(known, item);
        } else {
            let mut new = Value::Null;
            merge(&mut new, item);
            items.push(new);
        }
    }
}

fn sort(items: &mut [Value], list: &str, order: &[Value]) {
    let key = key_of(list, items);
    let name = |item: &Value| key.map_or_else(|| item.clone(), |key| item[key].clone());
    items.sort_by_key(|item| order.iter().position(|one| name(one) == name(item)).unwrap_or(usize::MAX));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn items_are_merged_put_in_order_and_taken_out() {
        let mut object = json!({ "spec": {
            "initContainers": [{ "name": "squall" }, { "name": "migrate", "image": "a:1" }],
            "containers": [{ "name": "a", "env": [{ "name": "X", "value": "1" }], "args": ["1", "2"] }],
            "volumes": [{ "name": "v", "emptyDir": {} }], "hostNetwork": false,
        } });
        merge(
            &mut object,
            &json!({ "spec": {
                "$setElementOrder/initContainers": [{ "name": "first" }, { "name": "migrate" }],
                "initContainers": [{ "name": "squall", "$patch": "delete" }, { "name": "first", "args": null }],
                "containers": [{ "name": "a", "env": [{ "name": "X", "value": "2" }, { "name": "Y" }], "args": ["3"] }],
                "volumes": [{ "name": "v", "$retainKeys": ["name", "secret"], "secret": { "secretName": "s" } }],
                "hostNetwork": null,
            } }),
        );
        let merged = json!({ "spec": {
            "initContainers": [{ "name": "first" }, { "name": "migrate", "image": "a:1" }],
            "containers": [{ "name": "a", "env": [{ "name": "X", "value": "2" }, { "name": "Y" }], "args": ["3"] }],
            "volumes": [{ "name": "v", "secret": { "secretName": "s" } }],
        } });
        assert_eq!(object, merged);
        let mut ports = json!({ "ports": [{ "port": 80 }], "finalizers": ["a", "b"], "x": { "y": 1 } });
        let patch = json!({
            "ports": [{ "port": 80, "targetPort": "http" }, { "port": 81 }],
            "$deleteFromPrimitiveList/finalizers": ["a"], "x": { "$patch": "replace", "z": 2 },
        });
        merge(&mut ports, &patch);
        let patched = json!({ "ports": [{ "port": 80, "targetPort": "http" }, { "port": 81 }], "finalizers": ["b"], "x": { "z": 2 } });
        assert_eq!(ports, patched);
    }
}
