//! The containers, the volume and the variables that are added.

use serde_json::{Value, json};

use crate::PROXY_UID;
use crate::configuration::{FORWARD_PORT, OUTBOUND_PORT};
use crate::mesh::Mesh;
use crate::settings::{Calls, Resources, Settings};

/// The sidecar.
pub(crate) const SIDECAR: &str = "squall";
/// What sets the redirect up, before it.
pub(crate) const INIT: &str = "squall-init";
/// The volume with the configuration.
pub(crate) const VOLUME: &str = "squall-config";
/// The control API, on loopback.
pub(crate) const CONTROL_PORT: u16 = 9470;
/// Metrics and health, for the kubelet and Prometheus.
pub(crate) const TELEMETRY_PORT: u16 = 9471;

/// The volume with what a sidecar needs to follow a controller.
pub(crate) const CONTROLLER_VOLUME: &str = "squall-controller";

const CONTROLLER_FOLDER: &str = "/var/run/squall";
const CA_FILE: &str = "ca.crt";
const TOKEN_FILE: &str = "token";
const LABELS_FILE: &str = "labels";
/// The kubelet renews the token in time, when four fifths of this have passed.
const TOKEN_SECONDS: u32 = 3600;

const CONFIG_FOLDER: &str = "/etc/squall";
const CONFIG_FILE: &str = "squall.yaml";

/// The sidecar: an init container that stays (`restartPolicy: Always`), so that it runs before the application's own
/// init containers, ends after its containers, and never keeps a Job from being done.
pub(crate) fn sidecar(settings: &Settings) -> Value {
    let file = format!("{CONFIG_FOLDER}/{CONFIG_FILE}");
    let telemetry = format!("[::]:{TELEMETRY_PORT}");
    let (mut args, mut mounts) = (Vec::new(), vec![mount(VOLUME, CONFIG_FOLDER)]);
    args.extend(["run", "-c", &file, "--telemetry", &telemetry, "--log", &settings.log_level].map(str::to_owned));
    args.extend(["--log-format", &settings.log_format].map(str::to_owned));
    if let Some(controller) = &settings.controller {
        args.extend(["--controller", controller.url.as_str()].map(str::to_owned));
        for (flag, file) in
            [("--controller-ca", CA_FILE), ("--controller-token", TOKEN_FILE), ("--pod-labels", LABELS_FILE)]
        {
            args.extend([flag.to_owned(), format!("{CONTROLLER_FOLDER}/{file}")]);
        }
        mounts.push(mount(CONTROLLER_VOLUME, CONTROLLER_FOLDER));
    }
    json!({
        "name": SIDECAR,
        "image": settings.image,
        "restartPolicy": "Always",
        "args": args,
        "env": identity(),
        "ports": [{ "name": "squall-admin", "containerPort": TELEMETRY_PORT, "protocol": "TCP" }],
        // The application starts when this has succeeded.
        "startupProbe": probe("/readyz", &json!({ "periodSeconds": 1, "failureThreshold": 60 })),
        "readinessProbe": probe("/readyz", &json!({ "periodSeconds": 5 })),
        "livenessProbe": probe("/livez", &json!({ "periodSeconds": 10 })),
        "resources": resources(&settings.resources),
        "securityContext": confined(&json!({
            "runAsNonRoot": true, "runAsUser": PROXY_UID, "runAsGroup": PROXY_UID,
            "capabilities": { "drop": ["ALL"] },
        })),
        "volumeMounts": mounts,
    })
}

fn mount(volume: &str, folder: &str) -> Value {
    json!({ "name": volume, "mountPath": folder, "readOnly": true })
}

/// What sets the redirect up and ends.
///
/// It runs as root with `NET_ADMIN` and nothing else. Capabilities of files would let it run as another user, but they
/// do not count under `allowPrivilegeEscalation: false`, and of the sidecar's own file they would keep the sidecar, which
/// has dropped them, from starting. No namespace is lost by that: the Pod Security Standards that forbid root
/// (`restricted`) forbid `NET_ADMIN`, too, as `baseline` does. There, mode `explicit` is for.
pub(crate) fn init(settings: &Settings, meshes: &[Mesh]) -> Value {
    let mut args = vec![
        "net-init".to_owned(),
        "--outbound-port".to_owned(),
        OUTBOUND_PORT.to_string(),
        "--proxy-uid".to_owned(),
        PROXY_UID.to_string(),
        // The listener is at [::]: calls over IPv6 do not go past it.
        "--ipv6".to_owned(),
    ];
    args.extend(meshes.iter().flat_map(|mesh| ["--mesh".to_owned(), mesh.word.to_owned()]));
    for (flag, value) in [
        ("--skip-outbound-ports", list(&settings.skip_outbound_ports)),
        ("--skip-subnets", list(&settings.skip_subnets)),
    ] {
        args.extend(value.into_iter().flat_map(|value| [flag.to_owned(), value]));
    }
    json!({
        "name": INIT,
        "image": settings.init_image,
        "args": args,
        // A namespace with a quota takes no container without.
        "resources": resources(&settings.resources),
        "securityContext": confined(&json!({
            "runAsNonRoot": false, "runAsUser": 0, "runAsGroup": 0,
            "capabilities": { "drop": ["ALL"], "add": ["NET_ADMIN"] },
        })),
    })
}

/// The volume with the configuration: of a ConfigMap, or the annotation as a file.
pub(crate) fn volume(settings: &Settings) -> Value {
    match &settings.config_map {
        Some(name) => json!({ "name": VOLUME, "configMap": { "name": name } }),
        None => {
            let field = format!("metadata.annotations['{}']", crate::ANNOTATION_CONFIG);
            let item = json!({ "path": CONFIG_FILE, "fieldRef": { "fieldPath": field } });
            json!({ "name": VOLUME, "downwardAPI": { "items": [item] } })
        }
    }
}

/// The volume with what a sidecar needs to follow a controller: a token that says which pod it is, the labels of the pod, and
/// the authorities of the controller.
pub(crate) fn controller_volume() -> Value {
    let token = json!({
        "audience": crate::CONTROLLER_AUDIENCE, "expirationSeconds": TOKEN_SECONDS, "path": TOKEN_FILE,
    });
    let ca = format!("metadata.annotations['{}']", crate::ANNOTATION_CONTROLLER_CA);
    let items = json!([
        { "path": LABELS_FILE, "fieldRef": { "fieldPath": "metadata.labels" } },
        { "path": CA_FILE, "fieldRef": { "fieldPath": ca } },
    ]);
    let sources = json!([{ "serviceAccountToken": token }, { "downwardAPI": { "items": items } }]);
    json!({ "name": CONTROLLER_VOLUME, "projected": { "sources": sources } })
}

/// What tells clients of HTTP to go through Squall. Both spellings: some libraries know only the one or the other.
pub(crate) const PROXY_VARIABLES: [&str; 6] =
    ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"];

/// These variables, for an application container; none where calls get to Squall otherwise.
pub(crate) fn proxy_variables(settings: &Settings) -> Vec<Value> {
    if settings.calls != Calls::Proxied {
        return Vec::new();
    }
    // Loopback, the addresses of clouds that tell a machine about itself, and the API server.
    let mut around =
        "localhost,127.0.0.1,::1,169.254.169.254,kubernetes.default.svc,$(KUBERNETES_SERVICE_HOST)".to_owned();
    if let Some(subnets) = list(&settings.skip_subnets) {
        around = format!("{around},{subnets}");
    }
    let value = |name: &str| match name.to_ascii_uppercase().as_str() {
        "NO_PROXY" => around.clone(),
        _ => format!("http://127.0.0.1:{FORWARD_PORT}"),
    };
    PROXY_VARIABLES.iter().map(|name| json!({ "name": name, "value": value(name) })).collect()
}

/// Who the pod is, for the spans that it sends.
fn identity() -> Value {
    let field = |name: &str, path: &str| json!({ "name": name, "valueFrom": { "fieldRef": { "fieldPath": path } } });
    let attributes = "k8s.pod.name=$(POD_NAME),k8s.namespace.name=$(POD_NAMESPACE),k8s.pod.uid=$(POD_UID),\
                      k8s.pod.ip=$(POD_IP),k8s.node.name=$(NODE_NAME)";
    json!([
        field("POD_NAME", "metadata.name"),
        field("POD_NAMESPACE", "metadata.namespace"),
        field("POD_UID", "metadata.uid"),
        field("POD_IP", "status.podIP"),
        field("NODE_NAME", "spec.nodeName"),
        { "name": "OTEL_RESOURCE_ATTRIBUTES", "value": attributes },
    ])
}

fn probe(path: &str, times: &Value) -> Value {
    merged(&json!({ "httpGet": { "path": path, "port": "squall-admin" } }), times)
}

/// A security context with what both containers have.
fn confined(own: &Value) -> Value {
    let both = json!({
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "seccompProfile": { "type": "RuntimeDefault" },
    });
    merged(own, &both)
}

fn resources(resources: &Resources) -> Value {
    let Resources { cpu_request, cpu_limit, memory_request, memory_limit } = resources;
    let limits = cpu_limit.as_ref().map_or_else(|| json!({}), |cpu| json!({ "cpu": cpu }));
    json!({
        "requests": { "cpu": cpu_request, "memory": memory_request },
        "limits": merged(&limits, &json!({ "memory": memory_limit })),
    })
}

/// Two objects as one.
fn merged(first: &Value, second: &Value) -> Value {
    let fields = [first, second].into_iter().filter_map(Value::as_object).flatten();
    fields.map(|(name, value)| (name.clone(), value.clone())).collect::<serde_json::Map<_, _>>().into()
}

/// `1,2,3`; `None` when there is nothing.
fn list<T: ToString>(items: &[T]) -> Option<String> {
    let texts: Vec<String> = items.iter().map(T::to_string).collect();
    (!texts.is_empty()).then(|| texts.join(","))
}
