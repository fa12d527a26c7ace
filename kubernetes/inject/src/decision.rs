//! A pod and options in, a patch or a reason out; and the way back.

use json_patch::Patch;
use serde_json::{Map, Value};

use crate::additions::{Additions, CONTAINER_LISTS};
use crate::containers::{CONTROLLER_VOLUME, INIT, PROXY_VARIABLES, SIDECAR, VOLUME};
use crate::settings::{Invalid, Mode, Options, Problem, Settings};
use crate::skip::{self, Skip};
use crate::status::Status;
use crate::{ANNOTATIONS, PROXY_UID, mesh, pod};

/// What becomes of a pod.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// It gets the sidecar.
    Inject(Injection),
    /// It stays as it is.
    Skip(Skip),
}

/// The sidecar for one pod.
#[derive(Clone, Debug, PartialEq)]
pub struct Injection {
    /// Operations `add` alone.
    pub patch: Patch,
    /// The pod after it.
    pub pod: Value,
    /// How connections get to Squall.
    pub mode: Mode,
    /// What whoever injects should know.
    pub notes: Vec<String>,
}

/// Decides, and makes the patch. The pod is one, or the template of one; `namespace` is where it will be, when its own
/// metadata does not say that.
///
/// The patch of a patched pod is none: that is [`Skip::Injected`].
///
/// # Errors
/// Annotations or options that cannot be used, all of them; or what is not a pod.
pub fn inject(pod: &Value, namespace: Option<&str>, options: &Options) -> Result<Decision, Invalid> {
    pod::check(pod).map_err(|detail| Invalid(vec![Problem { what: "pod".to_owned(), detail }]))?;
    let namespace = pod::text(pod, "/metadata/namespace").or(namespace);
    if let Some(skip) = skip::reason(pod, namespace, options) {
        return Ok(Decision::Skip(skip));
    }
    let settings = Settings::of(pod, options)?;
    let is_current = |hash: &str| uninject(pod).is_some_and(|bare| additions(&bare, &settings).hash() == hash);
    if let Some(skip) = skip::taken(pod, is_current).or_else(|| skip::port_taken(pod, &settings)) {
        return Ok(Decision::Skip(skip));
    }
    let mut additions = additions(pod, &settings);
    let notes = [settings.notes(pod), std::mem::take(&mut additions.notes), notes(pod, &settings)].concat();
    let patch = additions.patch(pod);
    let mut patched = pod.clone();
    json_patch::patch(&mut patched, &patch).expect("invariant: every parent of an addition was checked to be there");
    Ok(Decision::Inject(Injection { patch, pod: patched, mode: settings.calls.mode(), notes }))
}

fn additions(pod: &Value, settings: &Settings) -> Additions {
    Additions::to(pod, settings, &mesh::of(pod))
}

/// What the pod brings along that the redirect has to do with.
fn notes(pod: &Value, settings: &Settings) -> Vec<String> {
    if settings.calls.mode() == Mode::Explicit {
        return Vec::new();
    }
    let meshes = mesh::of(pod)
        .into_iter()
        .map(|mesh| format!("{} is in the pod, too: what its sidecar sends, and its ports, are left alone", mesh.name));
    let is_user = |place: &Value| place.pointer("/securityContext/runAsUser").and_then(Value::as_u64);
    let same = |place: &&Value| is_user(place) == Some(u64::from(PROXY_UID));
    let spec = pod.get("spec").into_iter();
    let users = spec
        .chain(pod::containers(pod))
        .find(same)
        .map(|_| format!("a container runs as user {PROXY_UID}, which is Squall's own: its calls are not redirected"));
    meshes.chain(users).collect()
}

/// Takes out what [`inject`] added, whatever version of it did; `None` when the pod does not say that it was injected.
///
/// Lists and objects that were empty before may be gone: for Kubernetes that is the same.
pub fn uninject(pod: &Value) -> Option<Value> {
    pod::check(pod).ok()?;
    let status = Status::of(pod)?;
    let mut pod = pod.clone();
    let spec = pod.get_mut("spec")?.as_object_mut()?;
    keep(spec, "initContainers", |container| ![SIDECAR, INIT].contains(&pod::name(container)));
    keep(spec, "volumes", |volume| ![VOLUME, CONTROLLER_VOLUME].contains(&pod::name(volume)));
    for list in CONTAINER_LISTS {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
        for container in containers.filter(|container| status.env.iter().any(|name| name == pod::name(container))) {
            let container = container.as_object_mut()?;
            keep(container, "env", |variable| !PROXY_VARIABLES.contains(&pod::name(variable)));
        }
    }
    let root = pod.as_object_mut()?;
    if let Some(metadata) = root.get_mut("metadata").and_then(Value::as_object_mut) {
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.retain(|name, _| !ANNOTATIONS.contains(&name.as_str()));
        }
        drop_if_empty(metadata, "annotations");
    }
    drop_if_empty(root, "metadata");
    Some(pod)
}

/// Keeps some items of a list, and no empty list.
fn keep(object: &mut Map<String, Value>, list: &str, is_kept: impl Fn(&Value) -> bool) {
    if let Some(items) = object.get_mut(list).and_then(Value::as_array_mut) {
        items.retain(is_kept);
        drop_if_empty(object, list);
    }
}

fn drop_if_empty(object: &mut Map<String, Value>, field: &str) {
    let is_empty = match object.get(field) {
        Some(Value::Object(fields)) => fields.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        _ => false,
    };
    if is_empty {
        object.remove(field);
    }
}

#[cfg(test)]
mod tests;
