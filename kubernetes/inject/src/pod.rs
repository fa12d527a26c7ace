//! Reading a pod that nobody has checked yet.

use serde_json::{Map, Value};

/// What of a pod is looked at has the shape that it should have, so that every addition has its place.
///
/// # Errors
/// The first field that has not, and what it should be.
pub(crate) fn check(pod: &Value) -> Result<(), String> {
    let is_object_or_none = |pointer: &str| pod.pointer(pointer).is_none_or(|v| v.is_object() || v.is_null());
    for pointer in ["/metadata", "/metadata/annotations", "/metadata/labels"] {
        if !is_object_or_none(pointer) {
            return Err(format!("{} is not an object", field(pointer)));
        }
    }
    if !pod.get("spec").is_some_and(Value::is_object) {
        return Err("spec is not an object".to_owned());
    }
    for pointer in ["/spec/initContainers", "/spec/containers", "/spec/volumes"] {
        let is_list = |value: &Value| value.as_array().is_some_and(|items| items.iter().all(is_named));
        if !pod.pointer(pointer).is_none_or(|value| value.is_null() || is_list(value)) {
            return Err(format!("{} is not a list of objects with a name", field(pointer)));
        }
    }
    for container in containers(pod) {
        if !container.get("env").is_none_or(|env| env.is_null() || env.is_array()) {
            return Err(format!("env of container {} is not a list", name(container)));
        }
    }
    Ok(())
}

fn field(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".")
}

fn is_named(item: &Value) -> bool {
    item.get("name").is_some_and(Value::is_string)
}

/// The text at a pointer.
pub(crate) fn text<'a>(pod: &'a Value, pointer: &str) -> Option<&'a str> {
    pod.pointer(pointer)?.as_str()
}

/// The annotations.
pub(crate) fn annotations(pod: &Value) -> Option<&Map<String, Value>> {
    pod.pointer("/metadata/annotations")?.as_object()
}

/// The text of an annotation.
pub(crate) fn annotation<'a>(pod: &'a Value, name: &str) -> Option<&'a str> {
    annotations(pod)?.get(name)?.as_str()
}

/// The text of a label.
pub(crate) fn label<'a>(pod: &'a Value, name: &str) -> Option<&'a str> {
    pod.pointer("/metadata/labels")?.as_object()?.get(name)?.as_str()
}

/// The containers of a list of the spec: `initContainers` or `containers`.
pub(crate) fn containers_of<'a>(pod: &'a Value, list: &str) -> &'a [Value] {
    pod.pointer(&format!("/spec/{list}")).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// All containers, those of the start first.
pub(crate) fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    containers_of(pod, "initContainers").iter().chain(containers_of(pod, "containers"))
}

/// The name of a container.
pub(crate) fn name(container: &Value) -> &str {
    container.get("name").and_then(Value::as_str).unwrap_or_default()
}
