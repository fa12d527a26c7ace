//! The proxies that are compared, each with one worker, logs off, in its most favourable configuration.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::origin::Origin;
use crate::process::{PROXY_CORE, Process, free_address, pinned};
use crate::work::Work;

/// A proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// The floor.
    Copy,
    /// With metrics on, one rule of 0 % that matches, and so many that do not.
    Squall {
        others: usize,
    },
    HaProxy,
    Nginx,
    Envoy,
}

/// A proxy that runs.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
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
            Self::Copy => "bare TCP copy".into(),
            Self::Squall { others: 0 } => "Squall".into(),
            Self::Squall { others } => format!("Squall, {others} rules"),
            Self::HaProxy => "HAProxy".into(),
            Self::Nginx => "nginx".into(),
            Self::Envoy => "Envoy".into(),
        }
    }

    /// All that can do this work, the floor first.
    pub(crate) fn of(work: Work) -> Vec<Self> {
        let squall = Self::Squall { others: 0 };
        match work {
            Work::Http1 => vec![
                Self::Copy,
                squall,
                Self::Squall { others: 1_000 },
                Self::Squall { others: 10_000 },
                Self::HaProxy,
                Self::Nginx,
                Self::Envoy,
            ],
            // nginx 1.22 does not speak HTTP/2 to upstreams.
            Work::Http2 | Work::TcpBulk | Work::TcpPingPong => vec![Self::Copy, squall, Self::HaProxy, Self::Envoy],
            Work::Idle => vec![squall, Self::HaProxy, Self::Nginx, Self::Envoy],
        }
    }

    /// The program; `None` when this machine does not have it.
    fn program(self, setup: &Setup<'_>) -> Option<PathBuf> {
        let found = |places: &[&str]| places.iter().map(PathBuf::from).find(|path| path.is_file());
        match self {
            Self::Copy => std::env::current_exe().ok(),
            Self::Squall { .. } => setup.squall.is_file().then(|| setup.squall.to_owned()),
            Self::HaProxy => found(&["/usr/sbin/haproxy", "/usr/local/sbin/haproxy"]),
            Self::Nginx => found(&["/usr/sbin/nginx", "/usr/local/sbin/nginx"]),
            Self::Envoy => std::env::var_os("ENVOY").map(PathBuf::from).filter(|path| path.is_file()),
        }
    }

    /// Starts it for this work; `None` when it is not installed.
    pub(crate) fn start(self, work: Work, setup: &Setup<'_>) -> anyhow::Result<Option<Running>> {
        let Some(program) = self.program(setup) else { return Ok(None) };
        let upstream = match work {
            Work::Http1 | Work::Idle => setup.origin.http1,
            Work::Http2 => setup.origin.http2,
            Work::TcpBulk => setup.origin.source,
            Work::TcpPingPong => setup.origin.echo,
        };
        let mut command = pinned(PROXY_CORE, &program);
        if self == Self::Copy {
            let (process, line) = Process::start_and_read_line(command.args(["copy", &upstream.to_string()]))?;
            return Ok(Some(Running { process, address: line.parse()? }));
        }
        let address = free_address()?;
        let file = setup.directory.join(format!("{}.conf", self.name().replace([' ', ','], "-")));
        let path = file.display().to_string();
        match self {
            Self::Copy => {}
            Self::Squall { others } => {
                std::fs::write(&file, squall(work, address, upstream, others))?;
                command.args(["run", "-c", &path, "--workers", "1", "--control", "127.0.0.1:0"]);
            }
            Self::HaProxy => {
                std::fs::write(&file, haproxy(work, address, upstream))?;
                command.args(["-db", "-f", &path]);
            }
            Self::Nginx => {
                std::fs::write(&file, nginx(address, upstream, setup.directory))?;
                command.args(["-c", &path, "-p", &setup.directory.display().to_string()]);
            }
            Self::Envoy => {
                std::fs::write(&file, envoy(work, address, upstream).to_string())?;
                let options = ["--concurrency", "1", "--disable-hot-restart", "-l", "error", "--config-path", &path];
                command.args(options);
            }
        }
        let log = file.with_extension("log");
        let mut process = Process::start(&mut command, &log)?;
        process.wait_for(address).with_context(|| format!("{} did not start; see {}", self.name(), log.display()))?;
        Ok(Some(Running { process, address }))
    }
}

fn squall(work: Work, address: SocketAddr, upstream: SocketAddr, others: usize) -> String {
    let (listener, cluster) = match work {
        Work::TcpBulk | Work::TcpPingPong => ("tcp", "http1"),
        Work::Http2 => ("http", "http2"),
        Work::Http1 | Work::Idle => ("http", "http1"),
    };
    let matching = r#"{"name": "matches", "percentage": 0, "fault": {"delay": "1s"}}"#.to_owned();
    let other = |i| {
        format!(
            r#"{{"name": "other-{i}", "percentage": 100, "match": {{"path": {{"prefix": "/other/{i}"}}}}, "fault": {{"delay": "1s"}}}}"#
        )
    };
    let rules: Vec<String> = std::iter::once(matching).chain((0..others).map(other)).collect();
    format!(
        "version: 1\nlimits: {{rules_max: 20000}}\n\
         listeners: [{{name: in, address: '{address}', protocol: {listener}, cluster: b}}]\n\
         clusters: [{{name: b, endpoints: ['{upstream}'], protocol: {cluster}}}]\n\
         rules: [{}]\n",
        rules.join(",\n")
    )
}

fn haproxy(work: Work, address: SocketAddr, upstream: SocketAddr) -> String {
    // Spliced connections take four descriptors for their pipes, and HAProxy insists on having them all.
    let maxconn = if matches!(work, Work::TcpBulk | Work::TcpPingPong) { 1_000 } else { 8_000 };
    let (mode, proto, options) = match work {
        Work::TcpBulk | Work::TcpPingPong => ("tcp", "", "option splice-request\n option splice-response"),
        Work::Http2 => ("http", "proto h2", "http-reuse always"),
        Work::Http1 | Work::Idle => ("http", "", "http-reuse always"),
    };
    format!(
        "global\n nbthread 1\n maxconn {maxconn}\n\
         defaults\n mode {mode}\n {options}\n timeout connect 5s\n timeout client 1h\n timeout server 1h\n\
         frontend in\n bind {address} {proto}\n default_backend out\n\
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

fn envoy(work: Work, address: SocketAddr, upstream: SocketAddr) -> serde_json::Value {
    use serde_json::json;
    let at = |a: SocketAddr| json!({"socket_address": {"address": a.ip().to_string(), "port_value": a.port()}});
    let filter = if matches!(work, Work::TcpBulk | Work::TcpPingPong) {
        json!({"name": "tcp", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
            "stat_prefix": "in", "cluster": "b"}})
    } else {
        let fault = json!({"name": "envoy.filters.http.fault", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
            "delay": {"fixed_delay": "1s", "percentage": {"numerator": 0}}}});
        let router = json!({"name": "envoy.filters.http.router", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}});
        json!({"name": "http", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "in", "codec_type": if work == Work::Http2 { "HTTP2" } else { "HTTP1" },
            "generate_request_id": false,
            "route_config": {"virtual_hosts": [{"name": "b", "domains": ["*"],
                "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "b"}}]}]},
            "http_filters": [fault, router]}})
    };
    let mut cluster = json!({"name": "b", "type": "STATIC", "connect_timeout": "5s",
        "circuit_breakers": {"thresholds": [{"max_connections": 20000, "max_pending_requests": 20000, "max_requests": 20000}]},
        "load_assignment": {"cluster_name": "b", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": at(upstream)}}]}]}});
    if work == Work::Http2 {
        cluster["typed_extension_protocol_options"] = json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}}}});
    }
    json!({"static_resources": {
        "listeners": [{"name": "in", "address": at(address), "filter_chains": [{"filters": [filter]}]}],
        "clusters": [cluster]}})
}
