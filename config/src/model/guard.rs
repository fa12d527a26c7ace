//! Guards: conditions that stop all faults.

use std::fmt;
use std::time::Duration;

use super::{Bound, Direction, Name, ProbeCondition, QueryCondition};
use crate::units::{Percentage, format_duration};

/// A condition that stops all faults when it has held for long enough.
#[derive(Clone, Debug, PartialEq)]
pub struct Guard {
    /// Unique among guards.
    pub name: Name,
    /// What must not go on.
    pub condition: Condition,
}

/// What a guard looks at.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// The HTTP traffic that goes through Squall.
    Traffic(TrafficCondition),
    /// What Prometheus knows.
    Query(QueryCondition),
    /// Whether something answers as it should.
    Probe(ProbeCondition),
}

/// What must not go on in the traffic.
#[derive(Clone, Debug, PartialEq)]
pub struct TrafficCondition {
    /// Whose traffic.
    pub scope: Scope,
    /// What of it.
    pub measure: Measure,
    /// How long without a break; at least a second.
    pub held_for: Duration,
}

/// A part of the traffic; each that is named must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Through the listeners of one direction.
    pub direction: Option<Direction>,
    /// Through one listener, which exists.
    pub listener: Option<Name>,
    /// To one cluster, which exists.
    pub cluster: Option<Name>,
}

impl Scope {
    /// Whether traffic of this listener to this cluster is meant.
    pub fn covers(&self, listener: &Name, cluster: &Name, direction: Direction) -> bool {
        self.direction.is_none_or(|only| only == direction)
            && self.listener.as_ref().is_none_or(|only| only == listener)
            && self.cluster.as_ref().is_none_or(|only| only == cluster)
    }
}

/// What is measured, and how much of it is too much.
#[derive(Clone, Debug, PartialEq)]
pub enum Measure {
    /// More failed requests than this share; above 0 and below 100 %.
    ErrorRate {
        /// The share.
        above: Percentage,
        /// Fewer say nothing.
        minimum_requests: u64,
    },
    /// A quantile of the time that requests take.
    Latency {
        /// Which.
        quantile: Quantile,
        /// Longer is too long.
        above: Duration,
        /// Fewer say nothing.
        minimum_requests: u64,
    },
    /// Requests at once.
    InFlight(Bound),
    /// Requests a second.
    RequestRate(Bound),
}

/// A quantile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantile {
    /// As it is written.
    pub name: &'static str,
    /// The share that lies beyond it; above 0.
    pub beyond: Percentage,
}

impl Measure {
    /// The word of the file.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::ErrorRate { .. } => "error_rate",
            Self::Latency { quantile, .. } => quantile.name,
            Self::InFlight(_) => "in_flight",
            Self::RequestRate(_) => "request_rate",
        }
    }
}

impl fmt::Display for Scope {
    /// As in ` of inbound traffic of listener to-a to cluster a`; nothing when it is all traffic.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(direction) = self.direction {
            write!(f, " of {} traffic", direction.as_str())?;
        }
        if let Some(listener) = &self.listener {
            write!(f, " of listener {listener}")?;
        }
        match &self.cluster {
            Some(cluster) => write!(f, " to cluster {cluster}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Condition {
    /// As in `error_rate of inbound traffic above 1% for 1m`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Traffic(traffic) => traffic.fmt(f),
            Self::Query(query) => query.fmt(f),
            Self::Probe(probe) => probe.fmt(f),
        }
    }
}

impl fmt::Display for TrafficCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{} ", self.measure.as_str(), self.scope)?;
        match &self.measure {
            Measure::ErrorRate { above, .. } => write!(f, "above {above}")?,
            Measure::Latency { above, .. } => write!(f, "above {}", format_duration(*above))?,
            Measure::InFlight(bound) | Measure::RequestRate(bound) => bound.fmt(f)?,
        }
        write!(f, " for {}", format_duration(self.held_for))
    }
}
