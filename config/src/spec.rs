//! What the operator writes, in YAML or JSON: the shape and nothing else.
//!
//! Everything is optional here and quantities are still texts or numbers, so that [`crate::validate()`] can report all
//! problems of a document at once. What was written is what is printed back. Comments of fields are the descriptions
//! in the JSON Schema ([`crate::schema()`]).

mod cluster;
mod fault;
mod file;
mod listener;
mod rule;
mod shape;
mod written;

pub use cluster::{ClusterSpec, EndpointSpec};
pub use fault::{
    AbortSpec, BlackholeSpec, DelaySpec, ExponentialSpec, FaultSpec, LogNormalSpec, NormalSpec, ParetoSpec, ResetSpec,
    ThrottleSpec, UniformSpec,
};
pub use file::{AccessLogSpec, ConfigSpec, ControlSpec, DrainSpec, LimitsSpec, TelemetrySpec};
pub use listener::ListenerSpec;
pub use rule::{
    EndpointMatchSpec, GrpcMatchSpec, MatchSpec, RuleSpec, RulesSpec, SampleSpec, TextMatchSpec, ValueMatchSpec,
};
pub use written::{Full, OneOrMany, Scalar, Written};
