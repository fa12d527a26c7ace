//! Sidecars of other meshes in the same pod: what is theirs is left alone.

use serde_json::Value;

use crate::pod;

/// A mesh whose sidecar may be in the pod. Which user and ports are its own, `squall net-init --mesh` knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mesh {
    pub(crate) name: &'static str,
    /// The word of `--mesh`.
    pub(crate) word: &'static str,
}

const ISTIO: Mesh = Mesh { name: "Istio", word: "istio" };
const LINKERD: Mesh = Mesh { name: "Linkerd", word: "linkerd" };

/// The meshes that have put, or will put, a sidecar into the pod.
pub(crate) fn of(pod: &Value) -> Vec<Mesh> {
    let has_container = |name: &str| pod::containers(pod).any(|container| pod::name(container) == name);
    let either = |name: &str| pod::label(pod, name).or_else(|| pod::annotation(pod, name));
    let istio = has_container("istio-proxy")
        || either("sidecar.istio.io/inject").is_some_and(|value| value == "true")
        || (pod::label(pod, "istio.io/rev").is_some() && either("sidecar.istio.io/inject") != Some("false"));
    let linkerd = has_container("linkerd-proxy")
        || pod::annotation(pod, "linkerd.io/inject").is_some_and(|value| ["enabled", "ingress"].contains(&value));
    [(istio, ISTIO), (linkerd, LINKERD)].into_iter().filter_map(|(is, mesh)| is.then_some(mesh)).collect()
}
