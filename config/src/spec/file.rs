//! The file but for its listeners, clusters and rules.

use schemars::{JsonSchema, Schema, json_schema};
use serde::{Deserialize, Serialize};

use super::blast_radius::{ProtectedSpec, TrafficShareSpec};
use super::cluster::ClusterSpec;
use super::controller::ControllerSpec;
use super::guard::{GuardSpec, LeaseSpec};
use super::listener::ListenerSpec;
use super::rule::RuleSpec;
use super::tls::ControlTlsSpec;
use super::toxiproxy::ToxiproxySpec;
use crate::shape;
use crate::written::{Full, Scalar, Written, list};

/// The configuration of Squall.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object with version, listeners, clusters and rules")]
#[schemars(extend("required" = ["version"]))]
pub struct ConfigSpec {
    /// The version of this format: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1))]
    pub version: Option<u32>,
    /// The control API, which changes rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control: Option<ControlSpec>,
    /// Read-only telemetry on an address of its own; off unless written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub telemetry: Option<TelemetrySpec>,
    /// Toxiproxy's HTTP API, for the clients that speak it, and its proxies; off unless written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub toxiproxy: Option<ToxiproxySpec>,
    /// The controller of a cluster, whose orders Squall follows; nobody's unless written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller: Option<ControllerSpec>,
    /// Sockets that accept traffic.
    #[serde(deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<ListenerSpec>,
    /// Named upstreams.
    #[serde(deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<ClusterSpec>,
    /// What goes wrong, for which share of which traffic. They apply in this order.
    #[serde(deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleSpec>,
    /// Conditions that stop all faults when they hold.
    #[serde(deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub guards: Vec<GuardSpec>,
    /// Faults flow only while somebody holds a lease. Default: nobody has to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease: Option<LeaseSpec>,
    /// Bounds on what rules may do and on what the proxy may hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitsSpec>,
    /// How the process ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain: Option<DrainSpec>,
    /// Who resolves the names of endpoints. Default: whom the system asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns: Option<DnsSpec>,
    /// Where one line per exchange goes; off unless written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_log: Option<Written<AccessLogSpec>>,
    /// Whether responses that a fault touched carry `x-squall-fault`. Default true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault_header: Option<bool>,
    /// A directory of this process alone, in which rules that were made through the API, the kill switch and the audit outlive
    /// it; made when it is not there. Default: they end with the process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_dir: Option<String>,
    /// Seed of every random choice, to repeat a run. Default: one from the system at start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

/// The control API, which changes rules.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object such as {address: 127.0.0.1:9470}")]
pub struct ControlSpec {
    /// Where it listens: an IP address and a port, or unix: and the path of a socket. Default 127.0.0.1:9470. Who reaches it
    /// can break traffic: off loopback it needs a token_file, or tls with client_ca.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::control_address")]
    pub address: Option<Scalar>,
    /// A file of bearer tokens, one a line: role (read, inject or admin), name, token. It is read again when it changes, and
    /// must be readable by its owner alone. Default: none, and who reaches the API may do everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<String>,
    /// The certificate that the API shows, and with client_ca whose clients it serves. Default: plain HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<ControlTlsSpec>,
}

/// Read-only telemetry: `/metrics`, `/livez`, `/readyz`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object such as {address: 127.0.0.1:9471}")]
#[schemars(extend("required" = ["address"]))]
pub struct TelemetrySpec {
    /// Where it listens: an IP address and a port.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::socket_address")]
    pub address: Option<Scalar>,
}

/// Bounds on what rules may do and on what the proxy may hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object of limits")]
pub struct LimitsSpec {
    /// Life of a rule that came through the API and names none. Default 1h, or ttl_max when that is less.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub default_ttl: Option<Scalar>,
    /// No delay may be longer. Default and most: 1h.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub delay_max: Option<Scalar>,
    /// Exchanges and connections that faults may hold or alter at once; what is beyond passes unharmed. Default 10000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_faults_max: Option<u64>,
    /// Paths that no rule touches unless it names them exactly. Default: the usual health-check paths.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclude_paths: Option<Vec<String>>,
    /// The largest request head. Default 64KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::bytes")]
    pub head_bytes_max: Option<Scalar>,
    /// The most downstream connections at once. Default 10000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections_max: Option<u64>,
    /// The most rules. Default 10000, at most 65535.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules_max: Option<u64>,
    /// The most bytes that a delayed TCP stream holds back in one direction. Default 16MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::bytes")]
    pub stream_buffer_bytes_max: Option<Scalar>,
    /// No rule may reach more of what it matches, and no rules that can match the same traffic more of that together. A sample
    /// `every: N` reaches an N-th of its percentage, `first` and `attempt` all of it; rules in shadow mode do not count. Default 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::percentage")]
    pub percentage_max: Option<Scalar>,
    /// The share of exchanges that may be faulted within a time; what is beyond passes unharmed. Default: no bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic_share: Option<TrafficShareSpec>,
    /// No ttl may be longer. Default: no bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub ttl_max: Option<Scalar>,
    /// What no rule touches, even if it names it exactly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protected: Option<ProtectedSpec>,
}

/// How the process ends after SIGTERM.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object such as {delay: 0s, timeout: 30s}")]
pub struct DrainSpec {
    /// Time between "not ready" and closing the sockets, for load balancers to notice. Default 0s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub delay: Option<Scalar>,
    /// What is still in flight after this long is cut. Default 30s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::duration")]
    pub timeout: Option<Scalar>,
}

/// Who resolves the names of endpoints.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object such as {server: 127.0.0.1:5353}")]
#[schemars(extend("required" = ["server"]))]
pub struct DnsSpec {
    /// A DNS server: an IP address and a port. It is asked in place of those in /etc/resolv.conf; /etc/hosts still comes
    /// first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shape::socket_address")]
    pub server: Option<Scalar>,
}

/// A file that gets the access log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["file"]))]
pub struct AccessLogSpec {
    /// Lines are appended to this file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

impl Full for AccessLogSpec {
    const EXPECTED: &'static str = "stdout, or an object such as {file: access.log}";

    fn short_schema() -> Schema {
        json_schema!({ "type": "string", "enum": ["stdout"] })
    }
}
