//! The validated configuration: only values that make sense exist here.
//!
//! Built by [`crate::validate()`] from what was written ([`crate::spec`]). Fields are public because every
//! combination of them is valid; what must hold inside a field is held by the field's own type.

mod blast_radius;
mod bound;
mod cluster;
mod control;
mod controller;
mod destination;
mod exclusion;
mod experiment;
mod guard;
mod host_port;
mod limits;
mod listener;
pub(crate) mod name;
mod pods;
mod remote;
mod rule;
mod server_name;
mod tls;
mod toxiproxy;

use std::net::SocketAddr;
use std::path::PathBuf;

pub use crate::faults::{
    Abort, AbortAnswer, Amount, Blackhole, Corrupt, Delay, DelayPoint, Duplicate, Fault, Goaway, Http2Code, Latency,
    Malformed, Modify, Phase, Piece, Quantiles, Requested, RequestedBy, Reset, ResetMoment, Slice, SlowBody, SlowClose,
    Stage, Stall, Throttle, TlsFault, Truncate, Wish, WrongCertificate, grpc_status_name,
};
pub use blast_radius::{BlastRadius, Protected, TrafficShare};
pub use bound::Bound;
pub use cluster::{
    Caps, Cluster, ClusterProtocol, Ejection, Endpoint, HealthCheck, LoadBalancing, Probe, ProxyProtocol,
};
pub use control::{ControlAddress, ControlApi};
pub use controller::Controller;
pub use destination::{Destination, DestinationHost, DestinationPort};
pub use experiment::{Expect, Experiment, Fallback, MethodStep, Ramp, Schedule, SteadyState, StepRule};
pub use guard::{Condition, Guard, Measure, Quantile, Scope, TrafficCondition};
pub use host_port::HostPort;
pub use limits::{AccessLog, Drain, Limits};
pub use listener::{Direction, Listener, ListenerProtocol, OriginalDst};
pub use name::Name;
pub use pods::{LabelCondition, Pods, Selector};
pub use remote::{HttpTarget, ProbeCondition, QueryCondition, WhenBlind};
pub use rule::{EndpointMatch, GrpcMatch, Match, Mode, Rule, Sample, StickyKey, UpgradeMatch, ValueMatch};
pub use server_name::ServerNames;
pub use tls::{ClientTls, Intercept, KeyPairFiles, ListenerTls, ServerTls};
pub use toxiproxy::ToxiproxyApi;

/// The whole configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The mutating control API.
    pub control: ControlApi,
    /// Where the read-only telemetry listens, when it is on.
    pub telemetry: Option<SocketAddr>,
    /// Toxiproxy's HTTP API, when it is on.
    pub toxiproxy: Option<ToxiproxyApi>,
    /// The controller whose orders are followed.
    pub controller: Option<Controller>,
    /// In the order of the file.
    pub listeners: Vec<Listener>,
    /// In the order of the file.
    pub clusters: Vec<Cluster>,
    /// In the order of the file, which is the order of application.
    pub rules: Vec<Rule>,
    /// Conditions that stop all faults.
    pub guards: Vec<Guard>,
    /// The longest lease; faults flow only while somebody holds one. `None` asks for none.
    pub lease_ttl: Option<std::time::Duration>,
    /// Bounds on what rules may do and on what the proxy may hold.
    pub limits: Limits,
    /// How the process ends.
    pub drain: Drain,
    /// Where one line per exchange goes; `None` (default) writes none.
    pub access_log: Option<AccessLog>,
    /// Whether responses that a fault touched carry `x-squall-fault` (default true).
    pub fault_header: bool,
    /// The directory in which rules of the API, the kill switch and the audit outlive the process.
    pub state_dir: Option<PathBuf>,
    /// Seed of every random choice; `None` takes one from the system at start.
    pub seed: Option<u64>,
}
