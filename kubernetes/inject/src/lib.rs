//! The pod patch: what makes Squall a sidecar of a pod.
//!
//! One pure function, [`inject`]: a pod and options in, a JSON Patch of additions out. `squall inject` applies it to
//! manifests, an admission webhook answers with it; both get the same sidecar. [`uninject`] takes out what it added, and
//! nothing else. No Kubernetes client is linked here, no runtime, and no text is read or written.
//!
//! ```text
//! pod ─▶ skip (never touched, and why) ─▶ settings (annotations over options) ─▶ additions ─▶ patch
//! ```

mod additions;
mod configuration;
mod containers;
mod decision;
mod mesh;
mod pod;
mod port_range;
mod ports;
mod quantity;
mod settings;
mod skip;
mod status;
mod workload;

pub use decision::{Decision, Injection, inject, uninject};
pub use port_range::PortRange;
pub use settings::{Controller, Invalid, Mode, Options, Problem, Setting};
pub use skip::Skip;
pub use workload::{Workload, workloads};

/// The user that Squall runs as: the redirect leaves its connections alone, so nobody else may have it. Istio has 1337
/// and Linkerd 2102.
const PROXY_UID: u32 = 65502;
/// The label, on a pod, that keeps Squall away when it is `disabled`; a webhook selects by it.
const LABEL_INJECT: &str = "squall.dev/inject";
/// The annotation that tells an injected pod: JSON with the version, the mode and a hash of what was added.
pub const ANNOTATION_STATUS: &str = "squall.dev/status";
/// The annotation that holds the configuration where no ConfigMap does.
pub const ANNOTATION_CONFIG: &str = "squall.dev/default-config";
/// The annotation that holds the authorities that vouch for the controller, for pods whose sidecar follows one.
const ANNOTATION_CONTROLLER_CA: &str = "squall.dev/controller-ca";
/// Whom the token is for with which a sidecar shows its controller which pod it is.
const CONTROLLER_AUDIENCE: &str = "squall-controller";
/// Every annotation that is added.
const ANNOTATIONS: [&str; 3] = [ANNOTATION_STATUS, ANNOTATION_CONFIG, ANNOTATION_CONTROLLER_CA];
