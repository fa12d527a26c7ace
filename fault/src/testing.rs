//! Configurations, requests and shorthands for the tests of this crate.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};
use squall_config::model::*;
use squall_config::units::Percentage;

use crate::decide::decide_request;
use crate::meta::{ConnectionMeta, RequestMeta};
use crate::plan::{FaultPlan, Step};
use crate::snapshot::Snapshot;
use crate::{Stamp, compile};

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).expect("invariant: tests write valid names")
}

pub(crate) fn percent(percent: f64) -> Percentage {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1,000,000")]
    let ppm = (percent * 10_000.0).round() as u32;
    Percentage::from_ppm(ppm).expect("invariant: tests write valid shares")
}

pub(crate) fn delay(on: Phase, ms: u64) -> Fault {
    drawn_delay(on, Latency::Fixed(Duration::from_millis(ms)))
}

pub(crate) fn drawn_delay(on: Phase, latency: Latency) -> Fault {
    let on = match on {
        Phase::Request => DelayPoint::Request,
        Phase::Response => DelayPoint::Response,
    };
    Fault::Delay(Delay { amount: Amount::Drawn(latency), on, max: Duration::from_secs(3600) })
}

/// The sum of the delays of a stage.
pub(crate) fn delay_of(plan: &FaultPlan, snapshot: &Snapshot, stage: Stage) -> Duration {
    plan.steps().iter().filter(|step| snapshot.step_fault(**step).stage() == stage).map(Step::delay).sum()
}

/// The fault that ends the exchange, with its rule.
pub(crate) fn end_of<'s>(plan: &FaultPlan, snapshot: &'s Snapshot) -> Option<(usize, &'s Fault)> {
    let faults = plan.steps().iter().map(|step| (step.rule.place(), snapshot.step_fault(*step)));
    faults.into_iter().find(|(_, fault)| fault.ends().is_some())
}

pub(crate) fn abort() -> Fault {
    let answer = AbortAnswer::Http { status: StatusCode::SERVICE_UNAVAILABLE, body: None, headers: Vec::new() };
    Fault::Abort(Abort { answer })
}

pub(crate) fn reset(on: Phase, after_bytes: u64) -> Fault {
    let moment = match on {
        Phase::Request => ResetMoment::Request,
        Phase::Response => ResetMoment::Response { after_bytes },
    };
    Fault::Reset(Reset { moment, code: Http2Code::INTERNAL_ERROR })
}

/// A rule that matches everything, always.
pub(crate) fn rule(text: &str, faults: Vec<Fault>) -> Rule {
    Rule {
        name: name(text),
        enabled: true,
        mode: Mode::Inject,
        matches: Match::default(),
        percentage: Percentage::ALWAYS,
        sample: Sample::Random,
        faults,
        ttl: None,
        experiment: None,
    }
}

/// A rule that delays this share of everything by 1 ms.
pub(crate) fn share_rule(text: &str, share: Percentage, sample: Sample) -> Rule {
    Rule { percentage: share, sample, ..rule(text, vec![delay(Phase::Request, 1)]) }
}

fn listener(text: &str, direction: Direction, protocol: ListenerProtocol) -> Listener {
    Listener {
        name: name(text),
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        is_enabled: true,
        direction,
        protocol,
        cluster: name(if direction == Direction::Outbound { "service-b" } else { "service-a" }),
        tls: None,
        server_names: Default::default(),
        intercept: None,
        original_dst: None,
        accepts_proxy_protocol: false,
        header_timeout: Duration::from_secs(60),
        idle_timeout: None,
        stall_timeout: None,
        detect_timeout: Duration::from_secs(1),
        start: None,
    }
}

fn cluster(text: &str) -> Cluster {
    let endpoint = Endpoint {
        labels: BTreeMap::from([("region".to_owned(), "a".to_owned()), ("zone".to_owned(), "1".to_owned())]),
        ..Endpoint::new(HostPort { host: "127.0.0.1".into(), port: 9000 })
    };
    Cluster::new(name(text), vec![endpoint])
}

/// Listeners `to-b` (outbound, http), `from-c` (inbound, http), `db` (outbound, tcp) and `any` (outbound, auto).
pub(crate) fn config(rules: Vec<Rule>) -> Config {
    let hour = Duration::from_secs(3600);
    Config {
        control: ControlApi::at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
        telemetry: None,
        toxiproxy: None,
        controller: None,
        listeners: vec![
            listener("to-b", Direction::Outbound, ListenerProtocol::Http),
            listener("from-c", Direction::Inbound, ListenerProtocol::Http),
            listener("db", Direction::Outbound, ListenerProtocol::Tcp),
            listener("any", Direction::Outbound, ListenerProtocol::Auto),
        ],
        clusters: vec![cluster("service-b"), cluster("service-a")],
        rules,
        guards: Vec::new(),
        lease_ttl: None,
        limits: Limits {
            default_ttl: hour,
            delay_max: hour,
            active_faults_max: 10,
            exclude_paths: vec!["/healthz".to_owned()],
            head_bytes_max: 1 << 16,
            connections_max: 100,
            rules_max: 10_000,
            stream_buffer_bytes_max: 1 << 24,
            blast_radius: BlastRadius::default(),
        },
        drain: Drain { delay: Duration::ZERO, timeout: hour },
        access_log: None,
        fault_header: true,
        state_dir: None,
        seed: None,
    }
}

pub(crate) fn snapshot(seed: u64, rules: Vec<Rule>) -> Snapshot {
    compile(Arc::new(config(rules)), None, Stamp::first(seed))
}

static NO_HEADERS: std::sync::LazyLock<HeaderMap> = std::sync::LazyLock::new(HeaderMap::new);

/// `GET path` from 10.0.0.1 to `b.example:8080`.
pub(crate) fn get<'a>(snapshot: &'a Snapshot, path: &'a str) -> RequestMeta<'a> {
    RequestMeta {
        source: IpAddr::from([10, 0, 0, 1]),
        endpoint: &snapshot.clusters[0].endpoints[0],
        method: &Method::GET,
        path,
        query: None,
        authority: "b.example:8080",
        headers: &NO_HEADERS,
    }
}

pub(crate) fn connection(snapshot: &Snapshot) -> ConnectionMeta<'_> {
    ConnectionMeta { source: IpAddr::from([10, 0, 0, 1]), endpoint: &snapshot.clusters[0].endpoints[0] }
}

/// Decides `GET path` on `to-b`.
pub(crate) fn decide(snapshot: &Snapshot, path: &str) -> FaultPlan {
    decide_request(snapshot, &snapshot.listeners[0], &get(snapshot, path)).plan
}

/// For each of `count` requests: the names of the rules that fired.
pub(crate) fn fired(snapshot: &Snapshot, count: usize) -> Vec<Vec<String>> {
    let names = |plan: FaultPlan| plan.rules().map(|r| snapshot.rule(r).rule.name.to_string()).collect();
    (0..count).map(|_| names(decide(snapshot, "/"))).collect()
}
