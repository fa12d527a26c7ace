//! Experiments: what is steady, what is expected, what goes wrong for how long.

use std::time::{Duration, SystemTime};

use http::{HeaderName, HeaderValue};

use super::{Condition, Guard, Name, Pods};
use crate::spec::RuleSpec;
use crate::units::Percentage;

/// A whole experiment, checked against the configuration that it is for.
#[derive(Clone, Debug, PartialEq)]
pub struct Experiment {
    /// Unique among experiments.
    pub name: Name,
    /// A line for people.
    pub title: String,
    /// What is expected to stay true, in words.
    pub hypothesis: String,
    /// What holds while all is well; at least one.
    pub steady_state: Vec<SteadyState>,
    /// How long all is watched before anything is injected.
    pub baseline: Duration,
    /// At least one, one after the other.
    pub method: Vec<MethodStep>,
    /// How long the steady state may take to come back.
    pub recovery: Duration,
    /// Percentages fall over this time at the end of the last step; zero is at once.
    pub rollback: Duration,
    /// What is expected of the requests whose calls were faulted.
    pub expect: Expect,
    /// How an answer shows that it is a fallback.
    pub fallback: Option<Fallback>,
    /// Conditions that stop the experiment.
    pub guards: Vec<Guard>,
    /// The longest that it may take from its start; at least what its parts take together.
    pub duration: Duration,
    /// When it starts by itself.
    pub schedule: Option<Schedule>,
    /// Fewer requests in a phase say nothing.
    pub minimum_requests: u64,
    /// Whether requests without ids are given some.
    pub add_ids: bool,
    /// Of more exchanges a second only a share of the traces is joined.
    pub joined_per_second: u64,
    /// For which pods it is; of no effect in a Squall of its own.
    pub pods: Pods,
}

/// One statement about the steady state.
#[derive(Clone, Debug, PartialEq)]
pub struct SteadyState {
    /// Unique in the experiment.
    pub name: Name,
    /// What it says, in words, as in `p99 of inbound traffic below 500ms`.
    pub statement: String,
    /// The opposite: what must not be. Its time to hold is a second and nobody is blind to it: neither means anything here.
    pub broken: Condition,
    /// While faults flow it may be broken for so long at a time; `None` is not at all, over the whole phase.
    pub restored_within: Option<Duration>,
}

/// Rules that are in force at the same time.
#[derive(Clone, Debug, PartialEq)]
pub struct MethodStep {
    /// For people.
    pub name: String,
    /// Valid in the configuration; each has a percentage, and neither `ttl` nor `enabled`.
    pub rules: Vec<StepRule>,
    /// How the percentages grow, before `hold`.
    pub ramp: Option<Ramp>,
    /// How long the rules are in force at their full share; at least a second.
    pub hold: Duration,
    /// How long nothing is injected after that.
    pub pause: Duration,
}

/// A rule of a step.
#[derive(Clone, Debug, PartialEq)]
pub struct StepRule {
    /// Its name, unique among all rules of the experiment and of the configuration.
    pub name: Name,
    /// As it was written.
    pub spec: RuleSpec,
    /// Its full share.
    pub percentage: Percentage,
}

/// How percentages grow: from the first share in equal stages to the full one, which `hold` begins with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ramp {
    /// The share of the first stage; `None` is the n-th part of the full one for n stages.
    pub from: Option<Percentage>,
    /// How long all stages take together.
    pub over: Duration,
    /// How many; at least 2.
    pub stages: u32,
}

/// What is expected of the requests whose calls were faulted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expect {
    /// The share of them that may be harmed beyond that of the others.
    pub harmed: Percentage,
    /// Whether the experiment ends as soon as more are beyond doubt.
    pub stop_on_harm: bool,
    /// Calls for each that is made without a fault, at most; at least 1.
    pub amplification: Option<f64>,
    /// Whether calls that are not safe to repeat may be repeated.
    pub unsafe_retries: bool,
}

/// A header field that shows a fallback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// Its name.
    pub header: HeaderName,
    /// Its value; `None` is any.
    pub value: Option<HeaderValue>,
}

/// When an experiment starts by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Once.
    At(SystemTime),
    /// Again and again; at least a minute.
    Every(Duration),
}
