//! The data plane as the control plane sees it: the proxy behind control's trait.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use squall_config::model::{Config, Name};
use squall_config::{Chain, Problem, Problems};
use squall_control::{App, DataPlane, Taps};
use squall_fault::share::Used;
use squall_fault::trace_share::TraceShare;
use squall_proxy::{BindError, DURATION_BOUNDS, Proxy};
use squall_telemetry::{CertificateStatus, EndpointStatus, Observation, Outcome, TapFilter, Traffic};

use super::exposition::Exposition;
use crate::logging;

/// Joins proxy and control side. That is known later than the plane that it is made with, hence the cell; weak, because it
/// owns the plane.
pub(super) struct Plane {
    proxy: Arc<Proxy>,
    app: OnceLock<Weak<App>>,
    exposition: Exposition,
    is_leaving: AtomicBool,
}

impl Plane {
    /// A plane over a proxy.
    pub(super) fn new(proxy: Arc<Proxy>) -> Arc<Self> {
        let (app, is_leaving) = (OnceLock::new(), AtomicBool::new(false));
        Arc::new(Self { proxy, app, exposition: Exposition::new(), is_leaving })
    }

    /// Makes the numbers of the control side part of the metrics.
    pub(super) fn connect(&self, app: &Arc<App>) {
        let _ = self.app.set(Arc::downgrade(app));
    }

    /// From now on not ready, while everything still works: load balancers get time to notice.
    pub(super) fn leave(&self) {
        self.is_leaving.store(true, Ordering::Relaxed);
    }
}

/// What is wrong with which listener, and what can be done.
pub(super) fn unbound(config: &Config, error: &BindError) -> Problem {
    let at = config.listeners.iter().position(|listener| listener.name == error.listener);
    let path = at.map_or_else(|| "listeners".to_owned(), |index| format!("listeners[{index}].address"));
    Problem { hint: error.hint().map(str::to_owned), ..Problem::new(path, Chain(error).to_string()) }
}

impl DataPlane for Plane {
    fn prepare(&self, config: &Config) -> Result<Box<dyn FnOnce() + Send>, Problems> {
        self.proxy.load_certificates(config)?;
        let bound = self.proxy.bind(config).map_err(|error| Problems::from(unbound(config, &error)))?;
        let proxy = Arc::clone(&self.proxy);
        Ok(Box::new(move || proxy.apply(bound)))
    }

    fn listener_addresses(&self) -> Vec<(Name, SocketAddr)> {
        self.proxy.addresses()
    }

    fn endpoints(&self) -> Vec<(Name, Vec<EndpointStatus>)> {
        self.proxy.endpoints()
    }

    fn traffic(&self) -> Traffic {
        Traffic { duration_bounds: DURATION_BOUNDS, totals: self.proxy.traffic() }
    }

    fn traffic_used(&self) -> Option<Used> {
        self.proxy.traffic_used()
    }

    fn metrics_text(&self) -> String {
        let app = self.app.get().and_then(Weak::upgrade);
        let (stats, guards) = app.map(|app| (app.stats(), app.guards())).unwrap_or_default();
        self.exposition.text(self.proxy.metric_families(), stats, &guards)
    }

    fn files(&self) -> Vec<PathBuf> {
        self.proxy.certificate_files()
    }

    fn reload_files(&self) {
        self.proxy.reload_certificates();
    }

    fn certificates(&self) -> Vec<CertificateStatus> {
        self.proxy.certificates()
    }

    fn tap(&self, filter: TapFilter) -> Option<Taps> {
        let tap = self.proxy.tap(filter)?;
        Some(Box::pin(futures_util::stream::unfold(tap, |mut tap| async { Some((tap.next().await, tap)) })))
    }

    fn observe(&self, observation: Option<Observation>) {
        self.proxy.observe(observation);
    }

    fn note_share(&self, share: TraceShare) {
        self.proxy.note_share(share);
    }

    fn outcomes(&self, into: &mut Vec<Outcome>) -> u64 {
        self.proxy.outcomes(into)
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

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "
        version: 1
        listeners: [{ name: web, address: 127.0.0.1:80, cluster: b }]
        clusters: [{ name: b, endpoints: [127.0.0.1:81] }]";

    /// What is said of a listener whose port the system refuses with this number.
    fn said(errno: i32) -> String {
        let (_, config) = squall_config::load_text(CONFIG).unwrap();
        let listener = &config.listeners[0];
        let source = std::io::Error::from_raw_os_error(errno);
        let error = BindError { listener: listener.name.clone(), address: listener.address, source };
        unbound(&config, &error).to_string()
    }

    #[test]
    fn the_cause_of_a_port_that_cannot_be_had_is_told() {
        let (unusual, usual) = (said(24), said(98));
        let begin = "listeners[0].address: listener web: cannot listen on 127.0.0.1:80";
        assert_eq!(unusual, format!("{begin}: Too many open files (os error 24)"));
        let hint = "another program uses this port; choose another port, or 0 for a free one";
        assert_eq!(usual, format!("{begin}: Address already in use (os error 98); {hint}"));
    }
}
