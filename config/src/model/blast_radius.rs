//! How much of the traffic faults may reach.

use std::time::Duration;

use super::Name;
use crate::pattern::Pattern;
use crate::units::Percentage;

/// Bounds on the share of the traffic that rules may reach, on how long they live, and on what they never touch.
#[derive(Clone, Debug)]
pub struct BlastRadius {
    /// No rule, and no rules that can match the same traffic, reach more of it.
    pub percentage_max: Percentage,
    /// Of what really comes along; `None` is no bound.
    pub traffic_share: Option<TrafficShare>,
    /// The longest ttl of a rule; `None` is no bound.
    pub ttl_max: Option<Duration>,
    /// What no rule touches.
    pub protected: Protected,
}

impl Default for BlastRadius {
    /// No bound at all.
    fn default() -> Self {
        Self { percentage_max: Percentage::ALWAYS, traffic_share: None, ttl_max: None, protected: Protected::default() }
    }
}

/// A bound on the share of exchanges that are faulted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrafficShare {
    /// Above 0.
    pub max: Percentage,
    /// What the share is a share of: the exchanges of this long until now.
    pub window: Duration,
}

/// What no rule touches, even if it names it.
#[derive(Clone, Debug, Default)]
pub struct Protected {
    /// Paths of requests, and of those that open tunnels.
    pub paths: Vec<Pattern>,
    /// Clusters, which exist.
    pub clusters: Vec<Name>,
}

impl Protected {
    /// Whether requests with this path are.
    pub fn has_path(&self, path: &str) -> bool {
        self.paths.iter().any(|pattern| pattern.is_match(path))
    }

    /// Whether all that goes to this cluster is.
    pub fn has_cluster(&self, cluster: &Name) -> bool {
        self.clusters.contains(cluster)
    }
}
