//! Micro benches of Squall's hot paths, for `benches/instructions`.

pub mod cases;
pub mod process;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use squall_config::model::{
    Amount, BlastRadius, Cluster, Config, ControlApi, Delay, DelayPoint, Direction, Drain, Endpoint, Fault, HostPort,
    Latency, Limits, Listener, ListenerProtocol, Match, Mode, Name, Rule, Sample,
};
use squall_config::units::Percentage;

/// That of the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A well-formed name.
///
/// # Panics
/// When the name is not well-formed.
pub fn name(text: &str) -> Name {
    Name::new(text).expect("names in benches are well-formed")
}

/// A rule that delays everything that matches by 1 s.
pub fn delay_rule(text: &str, matches: Match) -> Rule {
    let second = Duration::from_secs(1);
    let delay = Delay { amount: Amount::Drawn(Latency::Fixed(second)), on: DelayPoint::Request, max: second };
    Rule {
        name: name(text),
        enabled: true,
        mode: Mode::Inject,
        matches,
        percentage: Percentage::ALWAYS,
        sample: Sample::Random,
        faults: vec![Fault::Delay(delay)],
        ttl: None,
        experiment: None,
    }
}

/// One HTTP listener `to-b`, one cluster `service-b`, these rules.
pub fn config(rules: Vec<Rule>) -> Arc<Config> {
    config_of(Direction::Outbound, rules)
}

/// One HTTP listener `to-b` of this direction, one cluster `service-b`, these rules.
pub fn config_of(direction: Direction, rules: Vec<Rule>) -> Arc<Config> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let minute = Duration::from_secs(60);
    let listener = Listener {
        name: name("to-b"),
        address,
        is_enabled: true,
        direction,
        protocol: ListenerProtocol::Http,
        cluster: name("service-b"),
        tls: None,
        server_names: Default::default(),
        intercept: None,
        original_dst: None,
        accepts_proxy_protocol: false,
        header_timeout: minute,
        idle_timeout: None,
        stall_timeout: None,
        detect_timeout: minute,
        start: None,
    };
    let endpoint = Endpoint::new(HostPort { host: "127.0.0.1".into(), port: 9000 });
    let cluster =
        Cluster { connect_timeout: minute, idle_timeout: minute, ..Cluster::new(name("service-b"), vec![endpoint]) };
    Arc::new(Config {
        control: ControlApi::at(address),
        telemetry: None,
        toxiproxy: None,
        controller: None,
        listeners: vec![listener],
        clusters: vec![cluster],
        rules,
        guards: Vec::new(),
        lease_ttl: None,
        limits: limits(),
        drain: Drain { delay: Duration::ZERO, timeout: minute },
        access_log: None,
        fault_header: true,
        state_dir: None,
        seed: None,
    })
}

fn limits() -> Limits {
    let hour = Duration::from_secs(3600);
    Limits {
        default_ttl: hour,
        delay_max: hour,
        active_faults_max: 10_000,
        exclude_paths: ["/livez", "/readyz", "/healthz", "/health", "/metrics"].map(str::to_owned).to_vec(),
        head_bytes_max: 1 << 16,
        connections_max: 10_000,
        rules_max: 65_535,
        stream_buffer_bytes_max: 1 << 24,
        blast_radius: BlastRadius::default(),
    }
}
