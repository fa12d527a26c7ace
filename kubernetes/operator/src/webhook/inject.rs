//! Pods on their way into the cluster: which of them get the sidecar, and what is said about the others.
//!
//! Whatever is wrong, the pod is allowed: a tool for rehearsals never keeps somebody's pods from starting. What could not
//! be done is in a warning, which kubectl shows, in the audit log of the API server, in our log and in the metrics.

use json_patch::Patch;
use serde_json::Value;
use squall_inject::{Decision, Injection, Mode, Options, Skip};

use super::review::{Answer, Review};
use crate::serve::metrics::InjectionOutcome as Outcome;

/// The containers of meshes, which come later than ours when their webhooks are called after this one.
const MESH_CONTAINERS: [&str; 4] = ["istio-proxy", "istio-init", "linkerd-proxy", "linkerd-init"];

/// Decides about one review. Pure, so a dry run is a run.
pub(crate) fn answer(review: &Review, options: &Options) -> (Answer, Outcome) {
    if let Some(problem) = review.problem() {
        return (review.allow().with_warning(&problem), Outcome::Ignored);
    }
    let (Some(("", "Pod")), "CREATE") = (review.kind(), review.operation()) else {
        return (review.allow(), Outcome::Ignored);
    };
    let Some(pod) = review.object() else {
        return (review.allow().with_warning("not injected: the review has no object"), Outcome::Invalid);
    };
    let placed = placed(pod, review.namespace());
    match squall_inject::inject(&placed, review.namespace(), options) {
        Ok(Decision::Inject(injection)) => (injected(review, &injection), Outcome::Injected),
        Ok(Decision::Skip(skip)) => skipped(review, &placed, &skip, options),
        Err(invalid) => {
            let told = invalid.0.iter().fold(review.allow(), |answer, problem| {
                answer.with_warning(&format!("not injected: {problem}")).with_audit("outcome", "invalid".to_owned())
            });
            (told, Outcome::Invalid)
        }
    }
}

/// The pod in the namespace of the request: what the object says of that is not what counts.
fn placed(pod: &Value, namespace: Option<&str>) -> Value {
    let mut pod = pod.clone();
    if let (Some(own), Some(namespace)) = (pod.pointer_mut("/metadata/namespace"), namespace) {
        *own = namespace.into();
    }
    pod
}

fn injected(review: &Review, injection: &Injection) -> Answer {
    let answer = review.allow().with_patch(&injection.patch);
    let answer = answer.with_audit("outcome", format!("injected, mode {}", injection.mode.name()));
    injection.notes.iter().fold(answer, |answer, note| answer.with_warning(note))
}

fn skipped(review: &Review, pod: &Value, skip: &Skip, options: &Options) -> (Answer, Outcome) {
    let answer = review.allow().with_audit("outcome", format!("not injected: {skip}"));
    match skip {
        // As somebody wanted it.
        Skip::Injected | Skip::Disabled => (answer, Outcome::Skipped),
        Skip::InjectedOtherwise { .. } => match meshed(pod, review.namespace(), options) {
            Some(patch) => {
                (answer.with_patch(&patch).with_audit("outcome", "a mesh joined".to_owned()), Outcome::Injected)
            }
            None => (answer.with_warning(&format!("not injected anew: {skip}")), Outcome::Skipped),
        },
        _ => (answer.with_warning(&format!("not injected: {skip}")), Outcome::Skipped),
    }
}

/// A pod that was injected here and that a mesh joined since, when the API server calls a second time
/// (`reinvocationPolicy`): the redirect has to leave alone what the mesh sends. `None` when something else differs.
fn meshed(pod: &Value, namespace: Option<&str>, options: &Options) -> Option<Patch> {
    let mut alone = pod.clone();
    for list in ["/spec/initContainers", "/spec/containers"] {
        let containers = alone.pointer_mut(list).and_then(Value::as_array_mut);
        let is_of_mesh = |container: &Value| {
            container.get("name").and_then(Value::as_str).is_some_and(|name| MESH_CONTAINERS.contains(&name))
        };
        containers.into_iter().for_each(|all| all.retain(|container| !is_of_mesh(container)));
    }
    let is_ours = matches!(squall_inject::inject(&alone, namespace, options), Ok(Decision::Skip(Skip::Injected)));
    let bare = is_ours.then(|| squall_inject::uninject(pod)).flatten()?;
    match squall_inject::inject(&bare, namespace, options) {
        // Without a redirect the mesh changes nothing, and its containers must not get our variables.
        Ok(Decision::Inject(injection)) => {
            let is_native = injection.mode == Mode::Native;
            Some(if is_native { json_patch::diff(pod, &injection.pod) } else { Patch::default() })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
