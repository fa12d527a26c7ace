//! The whole Prometheus exposition: the proxy's families, the process's, and those about the configuration.

use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;
use prometheus::{Encoder, Gauge, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, TextEncoder};
use squall_control::{ControlStats, ControllerAnswer, ControllerStats, GuardStats, Refused};

use crate::logging;

/// What the composition root adds to the proxy's metrics.
pub(super) struct Exposition {
    process: ProcessCollector,
}

impl Exposition {
    /// Begins to watch the process.
    pub(super) fn new() -> Self {
        Self { process: ProcessCollector::for_self() }
    }

    /// All metrics as text, sorted by name as scrapers and people expect.
    pub(super) fn text(&self, mut families: Vec<MetricFamily>, stats: ControlStats, guards: &[GuardStats]) -> String {
        families.extend(self.process.collect());
        let controller = || stats.controller.map_or_else(|| Ok(Vec::new()), controller_families);
        let more = || Ok([control_families(stats)?, controller()?, guard_families(guards)?, log_families()?].concat());
        match more() as prometheus::Result<Vec<MetricFamily>> {
            Ok(more) => families.extend(more),
            Err(error) => tracing::error!(%error, "metrics about the configuration are missing"),
        }
        families.retain(|family| !family.get_metric().is_empty());
        families.sort_by(|a, b| a.name().cmp(b.name()));
        debug_assert!(families.windows(2).all(|pair| pair[0].name() != pair[1].name()), "one family per name");
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&families, &mut text) {
            tracing::error!(%error, "metrics cannot be written");
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}

fn control_families(stats: ControlStats) -> prometheus::Result<Vec<MetricFamily>> {
    let generation = IntGauge::new("squall_config_generation", "Generation of the configuration in force.")?;
    generation.set(i64::try_from(stats.publisher.generation).unwrap_or(i64::MAX));
    let reloads = Opts::new("squall_config_reloads_total", "Reloads of the configuration file by result.");
    let reloads = IntCounterVec::new(reloads, &["result"])?;
    for (result, n) in [("ok", stats.publisher.reloads_ok), ("error", stats.publisher.reloads_error)] {
        reloads.get_metric_with_label_values(&[result])?.inc_by(n);
    }
    let build =
        IntGaugeVec::new(Opts::new("squall_build_info", "Always 1; the version is in the label."), &["version"])?;
    build.get_metric_with_label_values(&[env!("CARGO_PKG_VERSION")])?.set(1);
    let refused =
        Opts::new("squall_control_refused_total", "Calls of the control API that were turned away at the door.");
    let refused = IntCounterVec::new(refused, &["reason"])?;
    for (reason, n) in Refused::ALL.into_iter().zip(stats.refused) {
        refused.get_metric_with_label_values(&[reason.label()])?.inc_by(n);
    }
    let tokens = Opts::new(
        "squall_control_token_reloads_total",
        "Changes of the token file, by whether they were taken into use.",
    );
    let tokens = IntCounterVec::new(tokens, &["result"])?;
    for (result, n) in [("ok", stats.token_reloads_ok), ("error", stats.token_reloads_error)] {
        tokens.get_metric_with_label_values(&[result])?.inc_by(n);
    }
    let lease = Gauge::new("squall_lease_remaining_seconds", "What is left of the lease; 0 when nobody holds it.")?;
    lease.set(stats.publisher.lease_left.unwrap_or_default().as_secs_f64());
    let lease = if stats.publisher.lease_left.is_some() { lease.collect() } else { Vec::new() };
    Ok([lease, generation.collect(), reloads.collect(), refused.collect(), tokens.collect(), build.collect()].concat())
}

/// Where a controller's orders are followed.
fn controller_families(stats: ControllerStats) -> prometheus::Result<Vec<MetricFamily>> {
    let connected = "1 while the orders of the controller hold, 0 when it is silent.";
    let connected = IntGauge::new("squall_controller_connected", connected)?;
    connected.set(i64::from(stats.connected));
    let answers = Opts::new("squall_controller_answers_total", "What came back when the controller was asked.");
    let answers = IntCounterVec::new(answers, &["result"])?;
    for (answer, n) in ControllerAnswer::ALL.into_iter().zip(stats.answers) {
        answers.get_metric_with_label_values(&[answer.label()])?.inc_by(n);
    }
    Ok([connected.collect(), answers.collect()].concat())
}

fn log_families() -> prometheus::Result<Vec<MetricFamily>> {
    let lost = IntCounter::new("squall_log_lines_lost_total", "Lines of the log that nobody read in time.")?;
    lost.inc_by(logging::lines_lost());
    Ok(lost.collect())
}

fn guard_families(guards: &[GuardStats]) -> prometheus::Result<Vec<MetricFamily>> {
    let state = Opts::new("squall_guard_state", "1 for the state that a guard is in, 0 for the others.");
    let state = IntGaugeVec::new(state, &["guard", "state"])?;
    let trips = Opts::new("squall_guard_trips_total", "How often a guard stopped all faults.");
    let trips = IntCounterVec::new(trips, &["guard"])?;
    for guard in guards {
        for word in GuardStats::STATES {
            state.get_metric_with_label_values(&[&guard.name, word])?.set(i64::from(guard.state == word));
        }
        trips.get_metric_with_label_values(&[&guard.name])?.inc_by(guard.trips);
    }
    Ok([state.collect(), trips.collect()].concat())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use squall_control::PublisherStats;

    use super::*;

    #[test]
    fn process_configuration_and_build_are_in_the_text() {
        let stats = ControlStats {
            publisher: PublisherStats {
                generation: 3,
                reloads_ok: 2,
                reloads_error: 1,
                lease_left: Some(Duration::from_millis(1500)),
                ..PublisherStats::default()
            },
            refused: [1, 2, 3, 4],
            controller: Some(ControllerStats { connected: true, answers: [5, 0, 0, 0, 2] }),
            ..ControlStats::default()
        };
        let guard = GuardStats { name: "errors".to_owned(), state: "breaching", trips: 2 };
        let text = Exposition::new().text(Vec::new(), stats, &[guard]);
        for line in [
            "squall_config_generation 3",
            r#"squall_config_reloads_total{result="ok"} 2"#,
            r#"squall_config_reloads_total{result="error"} 1"#,
            r#"squall_control_refused_total{reason="rate_limited"} 3"#,
            r#"squall_control_token_reloads_total{result="ok"} 0"#,
            r#"squall_guard_state{guard="errors",state="breaching"} 1"#,
            r#"squall_guard_state{guard="errors",state="blind"} 0"#,
            r#"squall_guard_trips_total{guard="errors"} 2"#,
            "squall_lease_remaining_seconds 1.5",
            "squall_controller_connected 1",
            r#"squall_controller_answers_total{result="orders"} 5"#,
            r#"squall_controller_answers_total{result="refused"} 0"#,
            r#"squall_controller_answers_total{result="none"} 2"#,
            "squall_log_lines_lost_total 0",
            concat!("squall_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
        }
        assert!(text.contains("process_resident_memory_bytes"), "{text}");
    }
}
