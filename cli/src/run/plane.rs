//! The data plane as the control plane sees it: the proxy behind control's trait.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use squall_config::model::Config;
use squall_config::{Problem, Problems};
use squall_control::{
    Certificate, DataPlane, EndpointHealth, ExchangeOutcome, Observation, Publisher, TapEvent, TapFilter, Taps,
    Traffic, TrafficTotals, TrafficUsed,
};
use squall_fault::trace_share::TraceShare;
use squall_proxy::{CertificateStatus, DURATION_BOUNDS, EndpointStatus, Proxy};

use super::exposition::Exposition;
use crate::logging;

/// Joins proxy and publisher. The publisher is known later than the plane that it is made with, hence the cell; weak,
/// because the publisher owns the plane.
pub(super) struct Plane {
    proxy: Arc<Proxy>,
    publisher: OnceLock<Weak<Publisher>>,
    exposition: Exposition,
    is_leaving: AtomicBool,
}

impl Plane {
    /// A plane over a proxy.
    pub(super) fn new(proxy: Arc<Proxy>) -> Arc<Self> {
        let (publisher, is_leaving) = (OnceLock::new(), AtomicBool::new(false));
        Arc::new(Self { proxy, publisher, exposition: Exposition::new(), is_leaving })
    }

    /// Makes the publisher's numbers part of the metrics.
    pub(super) fn connect(&self, publisher: &Arc<Publisher>) {
        let _ = self.publisher.set(Arc::downgrade(publisher));
    }

    /// From now on not ready, while everything still works: load balancers get time to notice.
    pub(super) fn leave(&self) {
        self.is_leaving.store(true, Ordering::Relaxed);
    }
}

impl DataPlane for Plane {
    fn prepare(&self, config: &Config) -> Result<Box<dyn FnOnce() + Send>, Problems> {
        self.proxy.load_certificates(config)?;
        let bound = self.proxy.bind(config).map_err(|error| {
            let at = config.listeners.iter().position(|listener| listener.name == error.listener);
            let path = at.map_or_else(|| "listeners".to_owned(), |index| format!("listeners[{index}].address"));
            let (line, column, hint) = (None, None, None);
            Problems(vec![Problem { path, line, column, detail: error.to_string(), hint }])
        })?;
        let proxy = Arc::clone(&self.proxy);
        Ok(Box::new(move || proxy.apply(bound)))
    }

    fn listener_addresses(&self) -> Vec<(String, SocketAddr)> {
        self.proxy.addresses().into_iter().map(|(name, address)| (name.to_string(), address)).collect()
    }

    fn endpoints(&self) -> Vec<(String, Vec<EndpointHealth>)> {
        let health = |EndpointStatus { written, address, health }| EndpointHealth { written, address, health };
        let clusters = self.proxy.endpoints().into_iter();
        clusters.map(|(name, endpoints)| (name.to_string(), endpoints.into_iter().map(health).collect())).collect()
    }

    fn traffic(&self) -> Traffic {
        let convert = |t: squall_proxy::TrafficTotals| TrafficTotals {
            listener: t.listener,
            cluster: t.cluster,
            direction: t.direction,
            connections: t.connections,
            bytes_request: t.bytes_request,
            bytes_response: t.bytes_response,
            begun: t.begun,
            ended: t.ended,
            injected: t.injected,
            failed: t.failed,
            durations: t.durations.to_vec(),
        };
        Traffic { duration_bounds: DURATION_BOUNDS, totals: self.proxy.traffic().into_iter().map(convert).collect() }
    }

    fn traffic_used(&self) -> Option<TrafficUsed> {
        self.proxy.traffic_used().map(|used| TrafficUsed { seen: used.seen, faulted: used.faulted })
    }

    fn metrics_text(&self) -> String {
        let publisher = self.publisher.get().and_then(Weak::upgrade);
        let (stats, guards) = publisher.map(|publisher| (publisher.stats(), publisher.guards())).unwrap_or_default();
        self.exposition.text(self.proxy.metric_families(), stats, &guards)
    }

    fn files(&self) -> Vec<PathBuf> {
        self.proxy.certificate_files()
    }

    fn reload_files(&self) {
        self.proxy.reload_certificates();
    }

    fn certificates(&self) -> Vec<Certificate> {
        let all = self.proxy.certificates().into_iter();
        let convert = |c: CertificateStatus| Certificate {
            of: format!("{} {}", c.kind, c.name),
            file: c.file,
            not_after: c.not_after,
            error: c.error,
        };
        all.map(convert).collect()
    }

    fn tap(&self, filter: TapFilter) -> Option<Taps> {
        let TapFilter { rule, path, status, is_faulted, rate_max } = filter;
        let tap = self.proxy.tap(squall_proxy::TapFilter { rule, path, status, is_faulted, rate_max })?;
        let events = futures_util::stream::unfold(tap, |mut tap| async {
            let event = match tap.next().await {
                squall_proxy::TapEvent::Exchange(line) => TapEvent::Exchange(line),
                squall_proxy::TapEvent::Missed(n) => TapEvent::Missed(n),
            };
            Some((event, tap))
        });
        Some(Box::pin(events))
    }

    fn observe(&self, observation: Option<Observation>) {
        let convert =
            |Observation { fallbacks, add_ids, share }| squall_proxy::Observation { fallbacks, add_ids, share };
        self.proxy.observe(observation.map(convert));
    }

    fn note_share(&self, share: TraceShare) {
        self.proxy.note_share(share);
    }

    fn outcomes(&self, into: &mut Vec<ExchangeOutcome>) -> u64 {
        let mut outcomes = Vec::new();
        let lost = self.proxy.outcomes(&mut outcomes);
        into.reserve(outcomes.len());
        into.extend(outcomes.into_iter().map(exchange_outcome));
        lost
    }

    fn log_filter(&self) -> String {
        logging::filter()
    }

    fn prepare_log_filter(&self, filter: &str) -> Result<Box<dyn FnOnce() + Send>, String> {
        logging::prepare_filter(filter)
    }

    fn is_ready(&self) -> bool {
        !self.is_leaving.load(Ordering::Relaxed) && self.proxy.is_accepting()
    }
}

fn exchange_outcome(outcome: squall_proxy::Outcome) -> ExchangeOutcome {
    ExchangeOutcome {
        direction: outcome.direction,
        trace: outcome.trace,
        request_id: outcome.request_id,
        has_added_ids: outcome.has_added_ids,
        place: outcome.place,
        began: outcome.began,
        ended: outcome.ended,
        status: outcome.status,
        grpc_status: outcome.grpc_status,
        is_abandoned: outcome.is_abandoned,
        is_injected: outcome.is_injected,
        route: outcome.route,
        cluster: outcome.cluster,
        operation: outcome.operation,
        is_repeatable: outcome.is_repeatable,
        shape: outcome.shape,
        response_bytes: outcome.response_bytes,
        fallbacks: outcome.fallbacks,
        matched: outcome.matched,
    }
}
