//! The proxies that are compared, each with one worker, logs off, in its most favourable configuration.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::origin::Origin;
use crate::process::{LOAD_CORE, PROXY_CORE, Process, free_address, pinned};
use crate::work::Work;

/// The path whose requests are delayed.
pub(crate) const DELAYED: &str = "/delayed";

/// A proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// None at all: the origin.
    Direct,
    /// The floor.
    Copy,
    /// With metrics on, one rule of 0 % that matches, and so many that do not.
    Squall {
        others: usize,
    },
    /// With so many conditions that do not match.
    HaProxy {
        others: usize,
    },
    Nginx,
    /// With so many routes that do not match.
    Envoy {
        others: usize,
    },
    /// fault-cli, which knows bytes only.
    Fault,
}

/// A proxy that runs.
#[derive(Debug)]
pub(crate) struct Running {
    /// `None` for the origin.
    pub(crate) process: Option<Process>,
    pub(crate) address: SocketAddr,
    /// What it says goes there.
    log: Option<PathBuf>,
}

impl Running {
    pub(crate) fn process(&self) -> anyhow::Result<&Process> {
        self.process.as_ref().context("the origin is not measured")
    }

    /// How many bytes it has written to its log.
    pub(crate) fn logged(&self) -> anyhow::Result<u64> {
        Ok(self.log.as_ref().map(std::fs::metadata).transpose()?.map_or(0, |log| log.len()))
    }
}

/// Where to find things.
#[derive(Debug)]
pub(crate) struct Setup<'a> {
    pub(crate) squall: &'a Path,
    pub(crate) directory: &'a Path,
    pub(crate) origin: Origin,
}

impl Peer {
    pub(crate) fn name(self) -> String {
        match self {
            Self::Direct => "direct (absolute)".into(),
            Self::Copy => "bare TCP copy".into(),
            Self::Squall { others: 0 } => "Squall".into(),
            Self::Squall { others } => format!("Squall, {others} rules"),
            Self::HaProxy { others: 0 } => "HAProxy".into(),
            Self::HaProxy { others } => format!("HAProxy, {others} rules"),
            Self::Nginx => "nginx".into(),
            Self::Envoy { others: 0 } => "Envoy".into(),
            Self::Envoy { others } => format!("Envoy, {others} routes"),
            Self::Fault => "fault-cli".into(),
        }
    }

    /// All that can do this work, the floor first.
    pub(crate) fn of(work: Work) -> Vec<Self> {
        let (squall, haproxy, envoy) =
            (Self::Squall { others: 0 }, Self::HaProxy { others: 0 }, Self::Envoy { others: 0 });
        match work {
            Work::Http1 => vec![Self::Copy, squall, haproxy, Self::Nginx, envoy],
            Work::Rules => vec![
                squall,
                Self::Squall { others: 1_000 },
                Self::Squall { others: 10_000 },
                haproxy,
                Self::HaProxy { others: 1_000 },
                envoy,
                Self::Envoy { others: 1_000 },
            ],
            // nginx 1.22 does not speak HTTP/2 to upstreams.
            Work::Http2 => vec![Self::Copy, squall, haproxy, envoy],
            Work::TcpBulk | Work::TcpPingPong => vec![Self::Copy, squall, haproxy, envoy, Self::Fault],
            Work::OpenLoop => vec![Self::Direct, Self::Copy, squall, haproxy, Self::Nginx, envoy],
            // The others have no delay of their own; that of fault-cli is one for each connection, not for each request.
            Work::Delay => vec![squall, envoy],
            // The workers of nginx are processes, and share as the kernel does.
            Work::WorkersHttp1 | Work::WorkersHttp2 => vec![squall, haproxy, envoy],
            Work::Idle => vec![squall, haproxy, Self::Nginx, envoy],
        }
    }

    /// The program; `None` when this machine does not have it.
    fn program(self, setup: &Setup<'_>) -> Option<PathBuf> {
        let found = |places: &[&str]| places.iter().map(PathBuf::from).find(|path| path.is_file());
        match self {
            Self::Direct | Self::Copy => std::env::current_exe().ok(),
            Self::Squall { .. } => setup.squall.is_file().then(|| setup.squall.to_owned()),
            Self::HaProxy { .. } => found(&["/usr/sbin/haproxy", "/usr/local/sbin/haproxy"]),
            Self::Nginx => found(&["/usr/sbin/nginx", "/usr/local/sbin/nginx"]),
            Self::Envoy { .. } => std::env::var_os("ENVOY").map(PathBuf::from).filter(|path| path.is_file()),
            Self::Fault => std::env::var_os("FAULT").map(PathBuf::from).filter(|path| path.is_file()),
        }
    }

    /// Starts it for this work; `None` when it is not installed.
    pub(crate) fn start(self, work: Work, setup: &Setup<'_>) -> anyhow::Result<Option<Running>> {
        let Some(program) = self.program(setup) else { return Ok(None) };
        let upstream = match work {
            Work::Http1 | Work::Rules | Work::OpenLoop | Work::Delay | Work::WorkersHttp1 | Work::Idle => {
                setup.origin.http1
            }
            Work::Http2 | Work::WorkersHttp2 => setup.origin.http2,
            Work::TcpBulk => setup.origin.source,
            Work::TcpPingPong => setup.origin.echo,
        };
        if self == Self::Direct {
            return Ok(Some(Running { process: None, address: upstream, log: None }));
        }
        let workers = work.workers().to_string();
        // A second worker has to share the core of the load.
        let cores = [PROXY_CORE, LOAD_CORE];
        let mut command = pinned(&cores[..work.workers()], &program);
        if self == Self::Copy {
            let (process, line) = Process::start_and_read_line(command.args(["copy", &upstream.to_string()]))?;
            return Ok(Some(Running { process: Some(process), address: line.parse()?, log: None }));
        }
        let address = free_address()?;
        // fault-cli tells the form from the extension; the others do not care.
        let file = setup.directory.join(format!("{}.yaml", self.name().replace([' ', ','], "-")));
        let path = file.display().to_string();
        match self {
            Self::Direct | Self::Copy => {}
            Self::Squall { others } => {
                std::fs::write(&file, squall(work, address, upstream, others))?;
                command.args(["run", "-c", &path, "--workers", &workers, "--control", "127.0.0.1:0"]);
            }
            Self::HaProxy { others } => {
                std::fs::write(&file, haproxy(work, address, upstream, others))?;
                command.args(["-db", "-f", &path]);
            }
            Self::Nginx => {
                std::fs::write(&file, nginx(address, upstream, setup.directory))?;
                command.args(["-c", &path, "-p", &setup.directory.display().to_string()]);
            }
            Self::Envoy { others } => {
                std::fs::write(&file, envoy(work, address, upstream, others).to_string())?;
                let options =
                    ["--concurrency", &workers, "--disable-hot-restart", "-l", "error", "--config-path", &path];
                command.args(options);
            }
            Self::Fault => {
                std::fs::write(&file, fault(address, upstream).to_string())?;
                command.args(["run", &path]);
            }
        }
        let log = file.with_extension("log");
        let mut process = Process::start(&mut command, &log)?;
        process.wait_for(address).with_context(|| format!("{} did not start; see {}", self.name(), log.display()))?;
        Ok(Some(Running { process: Some(process), address, log: Some(log) }))
    }
}

fn squall(work: Work, address: SocketAddr, upstream: SocketAddr, others: usize) -> String {
    let (listener, cluster) = match work {
        Work::TcpBulk | Work::TcpPingPong => ("tcp", "http1"),
        Work::Http2 | Work::WorkersHttp2 => ("http", "http2"),
        _ => ("http", "http1"),
    };
    let matching = r#"{"name": "matches", "percentage": 0, "fault": {"delay": "1s"}}"#.to_owned();
    let other = |i| {
        format!(
            r#"{{"name": "other-{i}", "percentage": 100, "match": {{"path": {{"prefix": "/other/{i}"}}}}, "fault": {{"delay": "1s"}}}}"#
        )
    };
    let delay = format!(
        r#"{{"name": "delayed", "percentage": 100, "match": {{"path": "{DELAYED}"}}, "fault": {{"delay": "100ms"}}}}"#
    );
    let delay = (work == Work::Delay).then_some(delay);
    let rules: Vec<String> = std::iter::once(matching).chain(delay).chain((0..others).map(other)).collect();
    format!(
        "version: 1\nlimits: {{rules_max: 20000}}\n\
         listeners: [{{name: in, address: '{address}', protocol: {listener}, cluster: b}}]\n\
         clusters: [{{name: b, endpoints: ['{upstream}'], protocol: {cluster}}}]\n\
         rules: [{}]\n",
        rules.join(",\n")
    )
}

fn haproxy(work: Work, address: SocketAddr, upstream: SocketAddr, others: usize) -> String {
    // Spliced connections take four descriptors for their pipes, and HAProxy insists on having them all.
    let maxconn = if matches!(work, Work::TcpBulk | Work::TcpPingPong) { 1_000 } else { 8_000 };
    let (mode, proto, options) = match work {
        Work::TcpBulk | Work::TcpPingPong => ("tcp", "", "option splice-request\n option splice-response"),
        Work::Http2 | Work::WorkersHttp2 => ("http", "proto h2", "http-reuse always"),
        _ => ("http", "", "http-reuse always"),
    };
    let other = |i| format!(" use_backend out if {{ path_beg /other/{i} }}\n");
    let (others, workers): (String, _) = ((0..others).map(other).collect(), work.workers());
    format!(
        "global\n nbthread {workers}\n maxconn {maxconn}\n\
         defaults\n mode {mode}\n {options}\n timeout connect 5s\n timeout client 1h\n timeout server 1h\n\
         frontend in\n bind {address} {proto}\n{others} default_backend out\n\
         backend out\n server b {upstream} {proto}\n"
    )
}

fn nginx(address: SocketAddr, upstream: SocketAddr, directory: &Path) -> String {
    let here = directory.display();
    format!(
        "daemon off; master_process off; worker_processes 1; pid {here}/nginx.pid; error_log {here}/nginx-error.log;\n\
         events {{ worker_connections 16000; }}\n\
         http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 1h;\n\
         client_body_temp_path {here}/b; proxy_temp_path {here}/p; fastcgi_temp_path {here}/f;\n\
         uwsgi_temp_path {here}/u; scgi_temp_path {here}/s;\n\
         upstream b {{ server {upstream}; keepalive 256; keepalive_requests 1000000000; }}\n\
         server {{ listen {address};\n\
         location / {{ proxy_pass http://b; proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
         proxy_set_header Host $http_host; }} }} }}\n"
    )
}

fn fault(address: SocketAddr, upstream: SocketAddr) -> serde_json::Value {
    serde_json::json!({"schema_version": 1, "name": "compare", "phases": [{"name": "all", "proxies": []}],
        "proxies": [{"name": "in", "protocol": "tcp", "listen": address, "upstream": upstream}]})
}

fn envoy(work: Work, address: SocketAddr, upstream: SocketAddr, others: usize) -> serde_json::Value {
    use serde_json::json;
    let is_http2 = matches!(work, Work::Http2 | Work::WorkersHttp2);
    let at = |a: SocketAddr| json!({"socket_address": {"address": a.ip().to_string(), "port_value": a.port()}});
    let filter = if matches!(work, Work::TcpBulk | Work::TcpPingPong) {
        json!({"name": "tcp", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
            "stat_prefix": "in", "cluster": "b"}})
    } else {
        let delay = |fixed: &str, percent: u32| {
            json!({"@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
                "delay": {"fixed_delay": fixed, "percentage": {"numerator": percent}}})
        };
        let fault = json!({"name": "envoy.filters.http.fault", "typed_config": delay("1s", 0)});
        let other = |i| json!({"match": {"prefix": format!("/other/{i}")}, "route": {"cluster": "b"}});
        let mut routes: Vec<serde_json::Value> = (0..others).map(other).collect();
        routes.push(json!({"match": {"path": DELAYED}, "route": {"cluster": "b"},
            "typed_per_filter_config": {"envoy.filters.http.fault": delay("0.1s", 100)}}));
        routes.push(json!({"match": {"prefix": "/"}, "route": {"cluster": "b"}}));
        let router = json!({"name": "envoy.filters.http.router", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}});
        json!({"name": "http", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "in", "codec_type": if is_http2 { "HTTP2" } else { "HTTP1" },
            "generate_request_id": false,
            "route_config": {"virtual_hosts": [{"name": "b", "domains": ["*"], "routes": routes}]},
            "http_filters": [fault, router]}})
    };
    let mut cluster = json!({"name": "b", "type": "STATIC", "connect_timeout": "5s",
        "circuit_breakers": {"thresholds": [{"max_connections": 20000, "max_pending_requests": 20000, "max_requests": 20000}]},
        "load_assignment": {"cluster_name": "b", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": at(upstream)}}]}]}});
    if is_http2 {
        cluster["typed_extension_protocol_options"] = json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}}}});
    }
    json!({"static_resources": {
        "listeners": [{"name": "in", "address": at(address), "filter_chains": [{"filters": [filter]}]}],
        "clusters": [cluster]}})
}
