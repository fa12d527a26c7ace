//! What can be said about a sidecar: by annotations of the pod, else by the options of whoever injects, else as below.

mod read;

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::PortRange;
use crate::pod;
use crate::ports::Route;

/// What an annotation `squall.dev/…`, or an option of the same name, says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Setting {
    /// `native` or `explicit`.
    Mode,
    /// The image of the sidecar.
    Image,
    /// The image of the init container, which has `nft` as well.
    InitImage,
    /// The ConfigMap whose `squall.yaml` is the configuration.
    Config,
    /// Ports that lead to upstreams: `8081=service-b:80`; mode `explicit`.
    Ports,
    /// Ports whose connections are not redirected.
    SkipOutboundPorts,
    /// Ports of the pod; nothing redirects calls to them as yet.
    SkipInboundPorts,
    /// Networks that are reached without Squall.
    SkipSubnets,
    /// Level or filter of the log.
    LogLevel,
    /// `text` or `json`.
    LogFormat,
    /// Processor time that is set aside.
    CpuRequest,
    /// Processor time that is not exceeded.
    CpuLimit,
    /// Memory that is set aside.
    MemoryRequest,
    /// Memory that is not exceeded.
    MemoryLimit,
}

impl Setting {
    /// Every one.
    pub const ALL: [Self; 14] = [
        Self::Mode,
        Self::Image,
        Self::InitImage,
        Self::Config,
        Self::Ports,
        Self::SkipOutboundPorts,
        Self::SkipInboundPorts,
        Self::SkipSubnets,
        Self::LogLevel,
        Self::LogFormat,
        Self::CpuRequest,
        Self::CpuLimit,
        Self::MemoryRequest,
        Self::MemoryLimit,
    ];

    /// Its name; behind `squall.dev/` it is that of the annotation.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mode => "mode",
            Self::Image => "image",
            Self::InitImage => "init-image",
            Self::Config => "config",
            Self::Ports => "ports",
            Self::SkipOutboundPorts => "skip-outbound-ports",
            Self::SkipInboundPorts => "skip-inbound-ports",
            Self::SkipSubnets => "skip-subnets",
            Self::LogLevel => "log-level",
            Self::LogFormat => "log-format",
            Self::CpuRequest => "cpu-request",
            Self::CpuLimit => "cpu-limit",
            Self::MemoryRequest => "memory-request",
            Self::MemoryLimit => "memory-limit",
        }
    }

    /// The annotation.
    pub fn annotation(self) -> String {
        format!("{PREFIX}{}", self.name())
    }
}

/// Before the name of each of our annotations.
const PREFIX: &str = "squall.dev/";

/// How connections get to Squall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They are redirected, whatever the application does; an init container with `NET_ADMIN` sees to that.
    Native,
    /// The application connects to Squall: through `HTTP_PROXY`, or to ports on loopback. Needs no privilege.
    Explicit,
}

impl Mode {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Explicit => "explicit",
        }
    }
}

/// What whoever injects says.
#[derive(Clone, Debug)]
pub struct Options {
    /// For pods whose annotations say nothing else.
    pub defaults: BTreeMap<Setting, String>,
    /// Where Squall's own pods are; they get no sidecar.
    pub own_namespace: String,
    /// Whose orders sidecars follow; nobody's without one.
    pub controller: Option<Controller>,
}

/// The controller of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Controller {
    /// Where it is: `https://` and a host, perhaps a port.
    pub url: String,
    /// The certificates of the authorities that vouch for it, PEM. They are in an annotation of the pod: whoever changes that of
    /// a running pod changes what its sidecar trusts.
    pub ca: String,
}

impl Options {
    /// What is wrong with them, whatever the pod is.
    ///
    /// # Errors
    /// Defaults that cannot be used, all of them.
    pub fn check(&self) -> Result<(), Invalid> {
        Settings::of(&Value::Null, self).map(drop)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self { defaults: BTreeMap::new(), own_namespace: "squall-system".to_owned(), controller: None }
    }
}

/// A setting that cannot be used, or a pod that is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which field, annotation or option.
    pub what: String,
    /// What is wrong with it, and what would be right.
    pub detail: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.detail)
    }
}

/// All that is wrong with a pod or with what is said about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(Problem::to_string).collect::<Vec<_>>().join("; "))]
pub struct Invalid(pub Vec<Problem>);

/// What a sidecar is made from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    pub(crate) calls: Calls,
    pub(crate) image: String,
    pub(crate) init_image: String,
    /// The ConfigMap that has the configuration.
    pub(crate) config_map: Option<String>,
    pub(crate) skip_outbound_ports: Vec<PortRange>,
    /// Said, checked, and of no effect as long as calls to the pod are not redirected.
    pub(crate) skips_inbound_ports: bool,
    pub(crate) skip_subnets: Vec<ipnet::IpNet>,
    pub(crate) log_level: String,
    pub(crate) log_format: String,
    pub(crate) resources: Resources,
    pub(crate) controller: Option<Controller>,
}

/// How the application's calls get to Squall.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Calls {
    /// All are redirected.
    Redirected,
    /// By `HTTP_PROXY`.
    Proxied,
    /// By a port of its own for each upstream.
    Routed(Vec<Route>),
}

impl Calls {
    pub(crate) fn mode(&self) -> Mode {
        if matches!(self, Self::Redirected) { Mode::Native } else { Mode::Explicit }
    }
}

/// Quantities as they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resources {
    pub(crate) cpu_request: String,
    pub(crate) cpu_limit: Option<String>,
    pub(crate) memory_request: String,
    pub(crate) memory_limit: String,
}

impl Settings {
    /// What was said and has no effect.
    pub(crate) fn notes(&self, pod: &Value) -> Vec<String> {
        let mut notes = unknown(pod);
        if self.calls.mode() == Mode::Explicit && !self.skip_outbound_ports.is_empty() {
            notes.push("skip-outbound-ports has no effect in mode explicit, where nothing is redirected".to_owned());
        }
        if self.skips_inbound_ports {
            notes.push("skip-inbound-ports has no effect: calls to the pod are not redirected".to_owned());
        }
        if matches!(self.calls, Calls::Routed(_)) && !self.skip_subnets.is_empty() {
            notes.push("skip-subnets has no effect where ports say which calls go through Squall".to_owned());
        }
        notes
    }
}

/// Annotations that look like ours and are none.
fn unknown(pod: &Value) -> Vec<String> {
    let known: Vec<String> = Setting::ALL.map(Setting::annotation).into_iter().chain(others()).collect();
    let ours = pod::annotations(pod).into_iter().flat_map(|all| all.keys()).filter(|name| name.starts_with(PREFIX));
    let strange = ours.filter(|name| !known.contains(name)).map(|name| {
        let near = known.iter().map(|k| (strsim::jaro_winkler(name, k), k)).max_by(|a, b| a.0.total_cmp(&b.0));
        let meant = near.filter(|(likeness, _)| *likeness > 0.9).map(|(_, k)| format!("; did you mean {k}?"));
        format!("annotation {name} is not known{}", meant.unwrap_or_default())
    });
    strange.collect()
}

fn others() -> impl Iterator<Item = String> {
    [crate::LABEL_INJECT, crate::ANNOTATION_STATUS, crate::ANNOTATION_CONFIG, crate::ANNOTATION_CONTROLLER_CA]
        .into_iter()
        .map(str::to_owned)
}

#[cfg(test)]
mod tests;
