//! Sidecars of other meshes in the same pod: what is theirs is left alone.

use serde_json::Value;

use crate::pod;
use crate::ports::PortRange;

/// A mesh whose sidecar may be in the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mesh {
    pub(crate) name: &'static str,
    /// The user of its proxy: its connections are not redirected a second time.
    pub(crate) uid: u32,
    /// Where its proxy listens.
    pub(crate) ports: PortRange,
}

const ISTIO: Mesh = Mesh { name: "Istio", uid: 1337, ports: PortRange { first: 15000, last: 15090 } };
const LINKERD: Mesh = Mesh { name: "Linkerd", uid: 2102, ports: PortRange { first: 4140, last: 4191 } };

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
