//! `/v1/status`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, UNIX_EPOCH};

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use squall_config::model::{ClusterProtocol, ListenerProtocol, ListenerTls, Name};
use squall_telemetry::EndpointStatus;

use crate::access::TokenStatus;
use crate::app::App;
use crate::calls::halt_status::HaltStatus;
use crate::calls::lease::LeaseOut;
use crate::calls::limits::LimitsOut;
use crate::document::Now;
use crate::fleet::board::ControllerOut;
use crate::guards::board::GuardOut;
use crate::publish::View;
use crate::state::status::StateOut;
use crate::text::rfc3339;
use crate::view::{ReloadOut, answer};

/// How Squall is.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Status")]
pub(crate) struct StatusOut<'a> {
    /// The version of Squall.
    version: &'static str,
    #[serde(flatten)]
    halt: HaltStatus,
    /// Whether traffic is accepted.
    ready: bool,
    /// Seconds since start.
    uptime_seconds: u64,
    /// The seed of every random choice; start with it to repeat a run.
    seed: u64,
    /// Exchanges and connections that faults hold or alter right now.
    active_faults: u64,
    /// Bounds on what rules may do.
    limits: LimitsOut<'a>,
    /// How many rules there are.
    rules: usize,
    /// In the order of the configuration.
    listeners: Vec<ListenerOut>,
    /// In the order of the configuration.
    clusters: Vec<ClusterOut>,
    /// Certificates that listeners and clusters show.
    certificates: Vec<CertificateOut>,
    /// The file of those who may call; null when nobody is asked for a token.
    tokens: Option<TokensOut>,
    /// The directory of what outlives the process; null when nothing does.
    state: Option<StateOut>,
    /// Conditions that stop all faults, in the order of the configuration.
    guards: Vec<GuardOut>,
    /// Experiments that are running.
    experiments: Vec<RunningOut>,
    /// Who watches over the faults; null when nobody holds the lease.
    lease: Option<LeaseOut>,
    /// The controller whose orders are followed; null when there is none.
    controller: Option<ControllerOut>,
    /// The last reload of the file; null when there was none.
    last_reload: Option<ReloadOut<'a>>,
}

/// An experiment that is running.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RunningExperiment")]
struct RunningOut {
    /// Its name.
    name: String,
    /// `pending`, `baseline`, `injecting` or `recovering`.
    phase: &'static str,
}

/// A listener.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ListenerStatus")]
struct ListenerOut {
    /// Its name.
    name: String,
    /// Whether it accepts connections; one that is switched off does not.
    enabled: bool,
    /// The address that it is really bound to; null when it is not.
    address: Option<String>,
    /// `outbound` or `inbound`.
    direction: &'static str,
    /// `http`, `tcp` or `auto`.
    protocol: &'static str,
    /// `terminate`, `passthrough`, or null where clients speak no TLS.
    tls: Option<&'static str>,
    /// The cluster that gets its traffic, but for server names that lead elsewhere.
    cluster: String,
}

/// A cluster.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ClusterStatus")]
struct ClusterOut {
    /// Its name.
    name: String,
    /// `http1` or `http2`.
    protocol: &'static str,
    /// Whether its endpoints speak TLS.
    tls: bool,
    /// In the order of the configuration, each address of a name on its own.
    endpoints: Vec<EndpointOut>,
}

/// An endpoint.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EndpointStatus")]
struct EndpointOut {
    /// Its address as it is written.
    name: String,
    /// Where its traffic goes; null when the name has no address.
    address: Option<String>,
    /// `healthy`; `ejected`, because its traffic failed too often in a row; `failing`, as its health checks do; or
    /// `unresolved`.
    health: &'static str,
    /// Its labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
}

impl From<EndpointStatus> for EndpointOut {
    fn from(endpoint: EndpointStatus) -> Self {
        Self {
            name: endpoint.written.address.to_string(),
            address: endpoint.address.map(|address| address.to_string()),
            health: endpoint.health,
            labels: endpoint.written.labels,
        }
    }
}

/// A certificate in use.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CertificateStatus")]
struct CertificateOut {
    /// What shows it, as in `listener to-b`.
    of: String,
    /// Where it was read from.
    file: String,
    /// When its time ends, RFC 3339; null when it was never loaded.
    not_after: Option<String>,
    /// What is wrong with its files as they are now, so that those before are in use; null when they are in use.
    error: Option<String>,
}

/// The token file.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TokensStatus")]
struct TokensOut {
    /// Where it is.
    file: String,
    /// Tokens in force.
    count: usize,
    /// What is wrong with the file as it is now, so that the tokens before it are in force; null when nothing is.
    error: Option<String>,
}

impl From<TokenStatus> for TokensOut {
    fn from(status: TokenStatus) -> Self {
        Self { file: status.file.display().to_string(), count: status.count, error: status.error }
    }
}

/// `GET /v1/status`.
pub(crate) async fn get(State(app): State<Arc<App>>) -> Response {
    let view = app.publisher.view();
    let App { publisher, recovery, audit, .. } = &*app;
    let active = view.snapshot.rules.iter().map(|rule| rule.state.active.load(Ordering::Relaxed).max(0));
    let status = StatusOut {
        version: env!("CARGO_PKG_VERSION"),
        halt: HaltStatus::new(&view),
        ready: app.data_plane.is_ready(),
        uptime_seconds: app.started.elapsed().as_secs(),
        seed: app.publisher.seed(),
        active_faults: u64::try_from(active.sum::<i64>()).unwrap_or(0),
        limits: LimitsOut::new(&view, app.data_plane.traffic_used()),
        rules: view.written.document.rules.len(),
        listeners: listeners(&app, &view),
        clusters: clusters(&app, &view),
        certificates: certificates(&app),
        guards: app.guards.out(),
        experiments: running(&app),
        lease: LeaseOut::of(&app.publisher),
        state: StateOut::of(&publisher.keeper, recovery, audit),
        controller: app.controller.out(Now::read()),
        tokens: app.access.token_status().map(TokensOut::from),
        last_reload: view.last_reload.as_ref().map(ReloadOut::from),
    };
    answer(StatusCode::OK, view.generation, &status)
}

fn running(app: &App) -> Vec<RunningOut> {
    let all = app.experiments.all().into_iter().filter(|(_, entry)| entry.is_busy());
    all.map(|(name, entry)| RunningOut { name, phase: entry.phase() }).collect()
}

fn listeners(app: &App, view: &View) -> Vec<ListenerOut> {
    let bound = app.data_plane.listener_addresses();
    let address = |name: &Name| bound.iter().find(|(bound, _)| bound == name).map(|(_, address)| address.to_string());
    let listeners = view.written.config.listeners.iter().map(|listener| ListenerOut {
        name: listener.name.to_string(),
        enabled: listener.is_enabled,
        address: address(&listener.name),
        direction: listener.direction.as_str(),
        protocol: match listener.protocol {
            ListenerProtocol::Http => "http",
            ListenerProtocol::Tcp => "tcp",
            ListenerProtocol::Auto => "auto",
        },
        tls: listener.tls.as_ref().map(|tls| match tls {
            ListenerTls::Terminate(_) => "terminate",
            ListenerTls::Passthrough => "passthrough",
        }),
        cluster: listener.cluster.to_string(),
    });
    listeners.collect()
}

fn clusters(app: &App, view: &View) -> Vec<ClusterOut> {
    let mut known = app.data_plane.endpoints();
    let mut endpoints = |name: &Name| {
        let found = known.iter_mut().find(|(cluster, _)| cluster == name);
        found.map(|(_, endpoints)| std::mem::take(endpoints)).unwrap_or_default().into_iter().map(EndpointOut::from)
    };
    let clusters = view.written.config.clusters.iter().map(|cluster| ClusterOut {
        name: cluster.name.to_string(),
        protocol: match cluster.protocol {
            ClusterProtocol::Http1 => "http1",
            ClusterProtocol::Http2 => "http2",
        },
        tls: cluster.tls.is_some(),
        endpoints: endpoints(&cluster.name).collect(),
    });
    clusters.collect()
}

fn certificates(app: &App) -> Vec<CertificateOut> {
    let at = |seconds: i64| UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    let all = app.data_plane.certificates().into_iter().map(|certificate| CertificateOut {
        of: format!("{} {}", certificate.kind, certificate.name),
        file: certificate.file.display().to_string(),
        not_after: certificate.not_after.map(|seconds| rfc3339(at(seconds))),
        error: certificate.error,
    });
    all.collect()
}
