//! What the operator writes, in YAML or JSON: the shape and nothing else.
//!
//! Everything is optional here and quantities are still texts or numbers, so that [`crate::validate()`] can report all
//! problems of a document at once. What was written is what is printed back. Comments of fields are the descriptions
//! in the JSON Schema ([`crate::schema()`]).

mod fault;
mod file;
mod rule;
mod shape;
mod written;

pub use fault::{
    AbortSpec, BlackholeSpec, DelaySpec, ExponentialSpec, FaultSpec, LogNormalSpec, NormalSpec, ParetoSpec, ResetSpec,
    ThrottleSpec, UniformSpec,
};
pub use file::{
    AccessLogSpec, ClusterSpec, ConfigSpec, ControlSpec, DrainSpec, EndpointSpec, LimitsSpec, ListenerSpec,
    TelemetrySpec,
};
pub use rule::{
    EndpointMatchSpec, GrpcMatchSpec, MatchSpec, RuleSpec, RulesSpec, SampleSpec, TextMatchSpec, ValueMatchSpec,
};
pub use written::{Full, OneOrMany, Scalar, Written};
