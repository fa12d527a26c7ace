//! The limits on faults that are in force, as `/v1/status` shows them.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use squall_config::spec::ProtectedSpec;
use squall_config::units::Percentage;
use squall_fault::share::Used;

use crate::publish::View;
use crate::view::percentage;

/// Bounds on what rules may do.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "LimitsStatus")]
pub(crate) struct LimitsOut<'a> {
    /// What rules may reach of the same traffic, in percent.
    percentage_max: f64,
    /// What may be faulted of all traffic; null without that bound.
    traffic_share: Option<TrafficShareOut>,
    /// How many exchanges and connections faults may hold or alter at once.
    active_faults_max: usize,
    /// The longest delay.
    delay_max_seconds: f64,
    /// The life of a rule that was made through the API and says nothing of it.
    default_ttl_seconds: f64,
    /// The longest life of a rule that has one; null without that bound.
    ttl_max_seconds: Option<f64>,
    /// What no rule touches, as written; null when nothing is.
    protected: Option<&'a ProtectedSpec>,
}

/// The share of the traffic that may be faulted, and what of it is used now.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TrafficShareStatus")]
struct TrafficShareOut {
    /// In percent.
    max: f64,
    /// Of the exchanges of this long.
    window_seconds: f64,
    /// Requests that ended and connections that began within the window.
    seen: u64,
    /// Exchanges within the window that a fault was begun for.
    faulted: u64,
    /// `faulted` of `seen`, in percent; null when nothing was seen.
    percentage: Option<f64>,
}

impl<'a> LimitsOut<'a> {
    /// Of one moment.
    pub(crate) fn new(view: &'a View, used: Option<Used>) -> Self {
        let limits = &view.written.config.limits;
        let bounds = &limits.blast_radius;
        let share = bounds.traffic_share.map(|share| {
            // For a moment after a change the data plane may not count yet.
            let Used { seen, faulted } = used.unwrap_or_default();
            TrafficShareOut {
                max: percent(share.max),
                window_seconds: share.window.as_secs_f64(),
                seen,
                faulted,
                percentage: percentage(faulted, seen),
            }
        });
        Self {
            percentage_max: percent(bounds.percentage_max),
            traffic_share: share,
            active_faults_max: limits.active_faults_max,
            delay_max_seconds: limits.delay_max.as_secs_f64(),
            default_ttl_seconds: limits.default_ttl.as_secs_f64(),
            ttl_max_seconds: bounds.ttl_max.as_ref().map(Duration::as_secs_f64),
            protected: view.written.document.limits.as_ref().and_then(|limits| limits.protected.as_ref()),
        }
    }
}

fn percent(share: Percentage) -> f64 {
    f64::from(share.ppm()) / 10_000.0
}
