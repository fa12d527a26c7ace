//! What is shown of the fleet, and of what sidecars were answered.

use axum::http::StatusCode;
use prometheus::{IntCounter, IntGauge, Opts};

use super::Metrics;
use crate::fleet::Plan;

/// How the fleet is.
#[derive(Clone, Debug)]
pub(crate) struct FleetGauges {
    sidecars: IntGauge,
    pods_hit: IntGauge,
    pods_hit_max: IntGauge,
    orders_given: IntGauge,
}

impl FleetGauges {
    /// Registers them.
    ///
    /// # Errors
    /// Names that are taken already: an error of Squall.
    pub(crate) fn new(metrics: &Metrics) -> prometheus::Result<Self> {
        Ok(Self {
            sidecars: metrics.gauge("squall_kubernetes_sidecars", "Connected sidecars.")?,
            pods_hit: metrics.gauge("squall_kubernetes_pods_hit", "Pods that have rules or experiments.")?,
            pods_hit_max: metrics
                .gauge("squall_kubernetes_pods_hit_max", "Pods that may have rules or experiments at once.")?,
            orders_given: metrics.gauge(
                "squall_kubernetes_orders_given",
                "Whether sidecars are given orders: 0 while not all is listed, and when the API server does not answer.",
            )?,
        })
    }

    /// Shows how it is now.
    pub(crate) fn show(&self, n_sidecars: usize, plan: &Plan, orders_are_given: bool) {
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.sidecars.set(number(n_sidecars));
        self.pods_hit.set(number(plan.pods_hit.len()));
        self.pods_hit_max.set(number(plan.pods_hit_max));
        self.orders_given.set(i64::from(orders_are_given));
    }
}

const STATUSES: [StatusCode; 6] = [
    StatusCode::OK,
    StatusCode::BAD_REQUEST,
    StatusCode::UNAUTHORIZED,
    StatusCode::FORBIDDEN,
    StatusCode::INTERNAL_SERVER_ERROR,
    StatusCode::SERVICE_UNAVAILABLE,
];

/// What sidecars were answered.
#[derive(Clone, Debug)]
pub(crate) struct Answers([IntCounter; STATUSES.len()]);

impl Answers {
    /// Registers them.
    ///
    /// # Errors
    /// A name that is taken already: an error of Squall.
    pub(crate) fn new(metrics: &Metrics) -> prometheus::Result<Self> {
        let family = Opts::new("squall_kubernetes_answers_total", "What sidecars were answered, by status.");
        metrics.counters(family, "code", STATUSES.each_ref().map(StatusCode::as_str)).map(Self)
    }

    /// One was answered so.
    pub(crate) fn count(&self, status: StatusCode) {
        if let Some(at) = STATUSES.iter().position(|known| *known == status) {
            self.0[at].inc();
        }
    }
}
