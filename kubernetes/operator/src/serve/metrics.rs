//! What the doors, the webhooks and the certificates count. Other parts register their own with the same registry.

use prometheus::process_collector::ProcessCollector;
use prometheus::{Encoder as _, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

mod admissions;
mod fleet;

pub(crate) use admissions::{Admissions, InjectionOutcome, ValidationOutcome};
pub(crate) use fleet::{Answers, FleetGauges};

/// The registry, and what is shown of it. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    /// Where every part registers its own.
    pub(crate) registry: Registry,
}

impl Metrics {
    /// With what is known of the process.
    ///
    /// # Errors
    /// Names that are taken already: an error of Squall.
    pub(crate) fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let build = Opts::new("squall_kubernetes_build_info", "Always 1; the version is in the label.");
        let build = IntGaugeVec::new(build, &["version"])?;
        build.get_metric_with_label_values(&[env!("CARGO_PKG_VERSION")])?.set(1);
        registry.register(Box::new(build))?;
        Ok(Self { registry })
    }

    /// All of it, in the text format.
    pub(crate) fn text(&self) -> String {
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "metrics cannot be written");
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    fn counters<const N: usize>(
        &self,
        opts: Opts,
        label: &str,
        values: [&str; N],
    ) -> prometheus::Result<[IntCounter; N]> {
        let family = IntCounterVec::new(opts, &[label])?;
        self.registry.register(Box::new(family.clone()))?;
        let mut resolved = Vec::with_capacity(N);
        for value in values {
            resolved.push(family.get_metric_with_label_values(&[value])?);
        }
        Ok(resolved.try_into().expect("invariant: one counter for each value"))
    }

    fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        let gauge = IntGauge::new(name, help)?;
        self.registry.register(Box::new(gauge.clone()))?;
        Ok(gauge)
    }
}

/// What the HTTPS listener counts.
#[derive(Clone, Debug)]
pub(crate) struct Connections {
    /// Open now.
    pub(crate) open: IntGauge,
    /// Ended before a request: no place, no TLS, or no handshake in time.
    pub(crate) no_place: IntCounter,
    pub(crate) no_handshake: IntCounter,
}

impl Connections {
    /// Registers them.
    ///
    /// # Errors
    /// Names that are taken already: an error of Squall.
    pub(crate) fn new(metrics: &Metrics) -> prometheus::Result<Self> {
        let refused = Opts::new(
            "squall_kubernetes_refused_connections_total",
            "Connections over HTTPS that came to nothing, by the reason.",
        );
        let [no_place, no_handshake] = metrics.counters(refused, "reason", ["no_place", "handshake"])?;
        let open = metrics.gauge("squall_kubernetes_connections", "Connections over HTTPS that are open.")?;
        Ok(Self { open, no_place, no_handshake })
    }
}

/// What is counted of the certificates.
#[derive(Clone, Debug)]
pub(crate) struct TlsMetrics {
    pub(crate) loaded: IntCounter,
    pub(crate) failed: IntCounter,
    pub(crate) not_after: IntGauge,
}

impl TlsMetrics {
    /// Registers them.
    ///
    /// # Errors
    /// Names that are taken already: an error of Squall.
    pub(crate) fn new(metrics: &Metrics) -> prometheus::Result<Self> {
        let loads =
            Opts::new("squall_kubernetes_tls_loads_total", "Certificates taken into use, and those that could not be.");
        let [loaded, failed] = metrics.counters(loads, "result", ["ok", "error"])?;
        let not_after = metrics.gauge(
            "squall_kubernetes_tls_not_after_seconds",
            "When the time of the certificate in use ends, in seconds of Unix time.",
        )?;
        Ok(Self { loaded, failed, not_after })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn every_outcome_is_there_from_the_start_and_has_its_own_counter() {
        let metrics = Metrics::new().unwrap();
        let admissions = Admissions::new(&metrics).unwrap();
        TlsMetrics::new(&metrics).unwrap();
        Connections::new(&metrics).unwrap();
        let began = Instant::now();
        admissions.injected(InjectionOutcome::Skipped, began);
        admissions.validated(ValidationOutcome::Denied, began);
        admissions.unreadable();
        let text = metrics.text();
        for line in [
            "squall_kubernetes_injections_total{outcome=\"injected\"} 0",
            "squall_kubernetes_injections_total{outcome=\"skipped\"} 1",
            "squall_kubernetes_injections_total{outcome=\"invalid\"} 0",
            "squall_kubernetes_injections_total{outcome=\"ignored\"} 0",
            "squall_kubernetes_validations_total{outcome=\"allowed\"} 0",
            "squall_kubernetes_validations_total{outcome=\"denied\"} 1",
            "squall_kubernetes_unreadable_reviews_total 1",
            "squall_kubernetes_review_seconds_count 2",
            "squall_kubernetes_tls_loads_total{result=\"error\"} 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
    }
}
