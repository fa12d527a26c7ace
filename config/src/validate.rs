//! Spec → model: all problems at once, each with its place and its fix.

mod address;
mod anywhere;
mod blast_radius;
mod clusters;
mod conditions;
mod context;
mod control;
mod controller;
mod destinations;
mod experiment;
mod game_day;
mod guards;
mod health;
mod intercept;
mod labels;
mod limits;
mod listeners;
mod matches;
mod meets;
mod original_dst;
mod pods;
mod rules;
mod samples;
mod texts;
mod tls;
mod toxiproxy;
mod union;

use std::net::SocketAddr;

use crate::defaults;
use crate::model::{AccessLog, Cluster, Config, ControlApi, Limits, Listener, ListenerProtocol, Name, ToxiproxyApi};
use crate::problem::Problems;
use crate::report::Report;
use crate::spec::{AccessLogSpec, ConfigSpec, DnsSpec, Scalar, Written};

use address::OwnAddresses;
use context::Context;
use original_dst::ClusterNames;

pub use anywhere::{validate_experiment_anywhere, validate_pods, validate_rule};
pub use experiment::validate_experiment;
pub(crate) use game_day::validate_game_day;

/// Checks what was written and gives every value its meaning and every absent one its default.
///
/// # Errors
/// Every problem of the document, without positions.
pub fn validate(spec: &ConfigSpec) -> Result<Config, Problems> {
    let mut report = Report::default();
    version(spec, &mut report);
    let ground = Ground::of(spec, &mut report);
    let context = ground.context(spec);
    let rules = rules::rules(&spec.rules, &context, &mut report);
    let guards = guards::guards("guards", &spec.guards, &context, &mut report);
    let controller = spec.controller.as_ref().and_then(|spec| controller::controller(spec, &mut report));
    let lease_ttl = spec.lease.as_ref().and_then(|lease| guards::lease_ttl(lease, &mut report));
    let drain = limits::drain(spec.drain.as_ref(), &mut report);
    let access_log = spec.access_log.as_ref().and_then(|log| access_log(log, &mut report));
    let state_dir = spec.state_dir.as_ref().and_then(|name| state_dir(name, &mut report));
    report.into_result()?;
    let Ground { control, telemetry, toxiproxy, listeners, clusters, limits } = ground;
    Ok(Config {
        control,
        telemetry,
        toxiproxy,
        controller,
        listeners,
        clusters,
        rules,
        guards,
        lease_ttl,
        limits,
        drain,
        access_log,
        fault_header: spec.fault_header.unwrap_or(true),
        state_dir,
        seed: spec.seed,
    })
}

/// What rules, guards and experiments stand on.
struct Ground {
    control: ControlApi,
    telemetry: Option<SocketAddr>,
    toxiproxy: Option<ToxiproxyApi>,
    listeners: Vec<Listener>,
    clusters: Vec<Cluster>,
    limits: Limits,
}

impl Ground {
    fn of(spec: &ConfigSpec, report: &mut Report) -> Self {
        let mut own = OwnAddresses::default();
        let control = control::control(spec.control.as_ref(), &mut own, report);
        let telemetry = telemetry(spec, &mut own, report);
        let toxiproxy = spec.toxiproxy.as_ref();
        let toxiproxy = toxiproxy.and_then(|spec| toxiproxy::toxiproxy(spec, &control, &mut own, report));
        let cluster_names = ClusterNames::of(spec);
        let listeners = listeners::listeners(&spec.listeners, &cluster_names, &mut own, report);
        let mut clusters = clusters::clusters(&spec.clusters, &own, report);
        if original_dst::is_implied(spec) {
            clusters.extend(Name::new(defaults::ORIGINAL_DST).map(Cluster::of_original_dst));
        }
        let dns_server = spec.dns.as_ref().and_then(|dns| dns_server(dns, report));
        clusters.iter_mut().for_each(|cluster| cluster.dns_server = dns_server);
        tls::passthrough(&listeners, &clusters, report);
        let limits = limits::limits(spec.limits.as_ref(), &cluster_names.all, report);
        forwarding_listeners(&listeners, &clusters, report);
        intercept::possible(&listeners, &clusters, report);
        Self { control, telemetry, toxiproxy, listeners, clusters, limits }
    }

    /// Of the document that it was made of.
    fn context<'a>(&'a self, spec: &'a ConfigSpec) -> Context<'a> {
        Context {
            limits: &self.limits,
            listeners: &self.listeners,
            clusters: &self.clusters,
            listener_names: spec.listeners.iter().map(|listener| listener.name.as_str()).collect(),
            cluster_names: ClusterNames::of(spec).all,
            is_known: true,
        }
    }
}

/// Only HTTP says where a request goes.
fn forwarding_listeners(listeners: &[Listener], clusters: &[Cluster], report: &mut Report) {
    for (index, listener) in listeners.iter().enumerate() {
        let cluster = clusters.iter().find(|cluster| cluster.name == listener.cluster);
        if cluster.is_some_and(Cluster::forwards) && listener.protocol != ListenerProtocol::Http {
            let detail = format!(
                "listener {:?}: cluster {:?} has destinations, and only HTTP names one",
                listener.name.as_str(),
                listener.cluster.as_str()
            );
            report.add(format!("listeners[{index}].protocol"), detail, "write protocol: http");
        }
    }
}

fn version(spec: &ConfigSpec, report: &mut Report) {
    match spec.version {
        Some(1) => {}
        Some(other) => report.add("version", format!("version {other} is not known"), "write version: 1"),
        None => report.add("version", "missing", "write version: 1 at the top of the file"),
    }
}

fn telemetry(spec: &ConfigSpec, own: &mut OwnAddresses, report: &mut Report) -> Option<SocketAddr> {
    const PATH: &str = "telemetry.address";
    let written = spec.telemetry.as_ref()?.address.as_ref();
    let written = report.required(PATH, written, "write an address such as 127.0.0.1:9471")?;
    let address = address::socket(PATH, written, report)?;
    own.add(PATH, address, report);
    Some(address)
}

fn dns_server(dns: &DnsSpec, report: &mut Report) -> Option<SocketAddr> {
    const HINT: &str = "write the IP address and the port of a DNS server, such as 127.0.0.1:53";
    let text = report.required("dns.server", dns.server.as_ref(), HINT)?.to_string();
    match text.parse::<SocketAddr>() {
        Ok(server) if server.port() != 0 => Some(server),
        _ => {
            report.add("dns.server", format!("{text:?} is not the address of a DNS server"), HINT);
            None
        }
    }
}

fn state_dir(name: &str, report: &mut Report) -> Option<std::path::PathBuf> {
    if name.is_empty() {
        report.add("state_dir", "no directory is named", "name one, such as /var/lib/squall, or remove it");
        return None;
    }
    Some(name.into())
}

fn access_log(log: &Written<AccessLogSpec>, report: &mut Report) -> Option<AccessLog> {
    const HINT: &str = "write access_log: stdout, or access_log: {file: access.log}";
    match log {
        Written::Short(Scalar::Text(text)) if text == "stdout" => Some(AccessLog::Stdout),
        Written::Full(AccessLogSpec { file: Some(file) }) if !file.is_empty() => Some(AccessLog::File(file.into())),
        Written::Full(AccessLogSpec { .. }) => {
            report.add("access_log.file", "no file is named", HINT);
            None
        }
        Written::Short(other) => {
            report.add("access_log", format!("{other} is not a place for the access log"), HINT);
            None
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
