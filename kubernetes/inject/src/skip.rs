//! Pods that get no sidecar, and why.

use serde_json::Value;

use crate::containers::{CONTROL_PORT, CONTROLLER_VOLUME, INIT, SIDECAR, TELEMETRY_PORT, VOLUME};
use crate::settings::{Calls, Options, Settings};
use crate::status::Status;
use crate::{ANNOTATIONS, LABEL_INJECT, configuration, pod};

/// Why a pod is left as it is. Its text is for people, and completes "not injected: ".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Skip {
    /// Its label, or annotation, says so.
    #[error("{LABEL_INJECT} is disabled")]
    Disabled,
    /// What keeps the cluster alive.
    #[error("namespace {0} keeps the cluster running; nothing is ever injected there")]
    SystemNamespace(String),
    /// Squall itself.
    #[error("namespace {0} is that of Squall itself")]
    OwnNamespace(String),
    /// The redirect would be one of the whole node.
    #[error("it uses the network of its node (hostNetwork)")]
    HostNetwork,
    /// The image of a static pod, which the kubelet runs from a file.
    #[error("it mirrors a static pod; the file on its node decides what runs")]
    MirrorPod,
    /// The sidecar is for Linux.
    #[error("it is for Windows")]
    Windows,
    /// Nothing would be served.
    #[error("it has no containers")]
    NoContainers,
    /// It is there, and as it should be.
    #[error("it has the sidecar already")]
    Injected,
    /// It is there, but other than it would be made now.
    #[error("it has the sidecar of version {version}, with other settings; take that out first: squall uninject")]
    InjectedOtherwise {
        /// Of the Squall that did it.
        version: String,
    },
    /// Somebody else has the name, or a part of a sidecar was left.
    #[error("it has {0} already, which Squall would add")]
    Taken(String),
    /// Containers of a pod share their ports.
    #[error("container {container} has port {port}, which Squall needs")]
    PortTaken {
        /// The container.
        container: String,
        /// The port.
        port: u16,
    },
}

/// Namespaces without which there is no cluster.
const SYSTEM_NAMESPACES: [&str; 2] = ["kube-system", "kube-node-lease"];

/// Why this pod is left alone, whatever its settings are. What is there already is for [`taken`].
pub(crate) fn reason(pod: &Value, namespace: Option<&str>, options: &Options) -> Option<Skip> {
    let written = pod::label(pod, LABEL_INJECT).or_else(|| pod::annotation(pod, LABEL_INJECT));
    if written == Some("disabled") {
        return Some(Skip::Disabled);
    }
    let namespace = namespace.unwrap_or_default();
    if SYSTEM_NAMESPACES.contains(&namespace) {
        return Some(Skip::SystemNamespace(namespace.to_owned()));
    }
    if namespace == options.own_namespace {
        return Some(Skip::OwnNamespace(namespace.to_owned()));
    }
    if pod.pointer("/spec/hostNetwork") == Some(&Value::Bool(true)) {
        return Some(Skip::HostNetwork);
    }
    if pod::annotation(pod, "kubernetes.io/config.mirror").is_some() {
        return Some(Skip::MirrorPod);
    }
    let selector =
        pod.pointer("/spec/nodeSelector").and_then(|all| all.get("kubernetes.io/os")).and_then(Value::as_str);
    if pod::text(pod, "/spec/os/name").or(selector) == Some("windows") {
        return Some(Skip::Windows);
    }
    pod::containers_of(pod, "containers").is_empty().then_some(Skip::NoContainers)
}

/// What of ours, or with our names, is in the pod. `is_current` tells whether a hash is that of what would be added now.
pub(crate) fn taken(pod: &Value, is_current: impl FnOnce(&str) -> bool) -> Option<Skip> {
    let container = pod::containers(pod).map(pod::name).find(|name| [SIDECAR, INIT].contains(name));
    match (Status::of(pod), container) {
        (Some(status), Some(_)) if is_current(&status.hash) => Some(Skip::Injected),
        (Some(status), Some(_)) => Some(Skip::InjectedOtherwise { version: status.version }),
        (None, Some(name)) => Some(Skip::Taken(format!("a container {name}"))),
        (_, None) => {
            let mut left =
                ANNOTATIONS.into_iter().filter(|name| pod::annotations(pod).is_some_and(|all| all.contains_key(*name)));
            let mut volumes = pod::containers_of(pod, "volumes").iter().map(pod::name);
            let volume = volumes.find(|name| [VOLUME, CONTROLLER_VOLUME].contains(name));
            let volume = volume.map(|name| format!("a volume {name}"));
            left.next().map(|name| format!("an annotation {name}")).or(volume).map(Skip::Taken)
        }
    }
}

/// A port of an application container that Squall listens on.
pub(crate) fn port_taken(pod: &Value, settings: &Settings) -> Option<Skip> {
    let mut ours = vec![CONTROL_PORT, TELEMETRY_PORT];
    match &settings.calls {
        Calls::Redirected => ours.push(configuration::OUTBOUND_PORT),
        Calls::Proxied => ours.push(configuration::FORWARD_PORT),
        Calls::Routed(routes) => ours.extend(routes.iter().map(|route| route.port)),
    }
    pod::containers(pod).find_map(|container| {
        let ports = container.get("ports").and_then(Value::as_array).into_iter().flatten();
        let tcp = ports.filter(|port| port.get("protocol").and_then(Value::as_str).is_none_or(|name| name == "TCP"));
        let mut numbers = tcp.filter_map(|port| u16::try_from(port.get("containerPort")?.as_u64()?).ok());
        let port = numbers.find(|port| ours.contains(port))?;
        Some(Skip::PortTaken { container: pod::name(container).to_owned(), port })
    })
}
