//! What the operator writes, in YAML or JSON: the shape and nothing else.
//!
//! Everything is optional here and quantities are still texts or numbers, so that [`crate::validate()`] can report all
//! problems of a document at once. What was written is what is printed back. Comments of fields are the descriptions
//! in the JSON Schema ([`crate::schema()`]).

mod blast_radius;
mod cluster;
mod controller;
mod experiment;
mod file;
mod gameday;
mod guard;
mod listener;
mod pods;
mod rule;
mod tls;
mod toxiproxy;

pub use crate::faults::{
    AbortSpec, BlackholeSpec, CorruptSpec, DelaySpec, DuplicateSpec, ExponentialSpec, FaultSpec, GoawaySpec,
    HandshakeFaultSpec, LogNormalSpec, ModifySpec, NormalSpec, ParetoSpec, RequestedSpec, ResetSpec, SliceSpec,
    SlowBodySpec, SlowCloseSpec, StallSpec, ThrottleSpec, TlsFaultSpec, TruncateSpec, UniformSpec,
};
pub use crate::written::{Full, OneOrMany, Scalar, Written};
pub use blast_radius::{ProtectedSpec, TrafficShareSpec};
pub use cluster::{ClusterSpec, EjectionSpec, EndpointSpec, HealthCheckSpec};
pub use controller::ControllerSpec;
pub use experiment::{
    ExpectSpec, ExperimentDocument, ExperimentSpec, FallbackSpec, MetadataSpec, RampSpec, RollbackSpec, ScheduleSpec,
    SteadyStateSpec, StepSpec,
};
pub use file::{AccessLogSpec, ConfigSpec, ControlSpec, DnsSpec, DrainSpec, LimitsSpec, TelemetrySpec};
pub use gameday::{GameDayDocument, GameDayExperimentSpec, GameDaySpec};
pub use guard::{ConditionSpec, GuardSpec, LeaseSpec};
pub use listener::ListenerSpec;
pub use pods::{LabelConditionSpec, LabelSelectorSpec, PodsSpec};
pub use rule::{
    EndpointMatchSpec, GrpcMatchSpec, MatchSpec, RuleSpec, RulesSpec, SampleSpec, TextMatchSpec, ValueMatchSpec,
};
pub use tls::{ClusterTlsSpec, ControlTlsSpec, InterceptSpec, ListenerTlsSpec};
pub use toxiproxy::{ProxySpec, ToxicSpec, ToxiproxySpec};
