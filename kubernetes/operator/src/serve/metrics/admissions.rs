//! What the webhooks count, by what became of what came by.

use std::time::Instant;

use prometheus::{Histogram, HistogramOpts, IntCounter, Opts};

use super::Metrics;

/// What became of a pod; the label of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InjectionOutcome {
    /// It gets the sidecar.
    Injected,
    /// It has it, or wants none, or can have none.
    Skipped,
    /// It should have got the sidecar, and what was said about it cannot be used.
    Invalid,
    /// The review is about something else.
    Ignored,
}

/// What became of an object; the label of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValidationOutcome {
    /// It can be used.
    Allowed,
    /// It cannot.
    Denied,
    /// The review is about something else.
    Ignored,
}

/// What the webhooks count.
#[derive(Clone, Debug)]
pub(crate) struct Admissions {
    injections: [IntCounter; 4],
    validations: [IntCounter; 3],
    unreadable: IntCounter,
    seconds: Histogram,
}

impl Admissions {
    /// Registers them.
    ///
    /// # Errors
    /// Names that are taken already: an error of Squall.
    pub(crate) fn new(metrics: &Metrics) -> prometheus::Result<Self> {
        let injections = Opts::new("squall_kubernetes_injections_total", "Pods that came by, by what became of them.");
        let validations = Opts::new(
            "squall_kubernetes_validations_total",
            "Rules and experiments that came by, by what became of them.",
        );
        let unreadable = IntCounter::new(
            "squall_kubernetes_unreadable_reviews_total",
            "Requests to the webhooks that were no review.",
        )?;
        metrics.registry.register(Box::new(unreadable.clone()))?;
        // The API server waits for five seconds; a review takes less than a millisecond.
        let buckets = vec![0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];
        let seconds = HistogramOpts::new("squall_kubernetes_review_seconds", "What a review took.").buckets(buckets);
        let seconds = Histogram::with_opts(seconds)?;
        metrics.registry.register(Box::new(seconds.clone()))?;
        Ok(Self {
            injections: metrics.counters(injections, "outcome", ["injected", "skipped", "invalid", "ignored"])?,
            validations: metrics.counters(validations, "outcome", ["allowed", "denied", "ignored"])?,
            unreadable,
            seconds,
        })
    }

    /// A review of `/inject` is done.
    pub(crate) fn injected(&self, outcome: InjectionOutcome, began: Instant) {
        self.injections[outcome as usize].inc();
        self.seconds.observe(began.elapsed().as_secs_f64());
    }

    /// A review of `/validate` is done.
    pub(crate) fn validated(&self, outcome: ValidationOutcome, began: Instant) {
        self.validations[outcome as usize].inc();
        self.seconds.observe(began.elapsed().as_secs_f64());
    }

    /// What came was no review.
    pub(crate) fn unreadable(&self) {
        self.unreadable.inc();
    }
}
