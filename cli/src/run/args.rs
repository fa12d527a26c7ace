//! What `squall run` is told on its command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use squall_config::model::ControlAddress;
use squall_config::spec::ControllerSpec;

use super::address::{self, Upstream};
use crate::logging::LogFormat;
use crate::verb::EPILOGUE;

/// Arguments of `squall run`.
#[derive(Clone, Debug, Args)]
#[command(
    before_long_help = "\
Examples:
  squall run --upstream http://127.0.0.1:9000   a proxy before one HTTP server, on 127.0.0.1:8080
  squall run --listen 127.0.0.1:6380 --upstream tcp://127.0.0.1:6379
  squall run -c squall.yaml                     from a file (`squall config init` writes one)
  squall run -c squall.yaml --seed 7 --log-format json
  squall run --toxiproxy 127.0.0.1:8474         proxies and toxics come from clients of Toxiproxy

Traces:
  OTEL_EXPORTER_OTLP_ENDPOINT=http://host:4318 sends them; OTEL_SERVICE_NAME,
  OTEL_TRACES_SAMPLER and the other variables of OpenTelemetry say the rest

Signals:
  TERM, INT  drain: not ready, stop accepting, finish what is in flight, exit 0; twice: now
  HUP        reload the file
  USR1       halt all faults (`squall resume` ends it)",
    after_long_help = EPILOGUE
)]
pub(crate) struct RunArgs {
    /// The configuration file, YAML or JSON; it is watched and reloaded
    #[arg(short, long, value_name = "FILE", env = "SQUALL_CONFIG")]
    pub(super) config: Option<PathBuf>,
    /// Adds listener `to-upstream` on this address [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR", env = "SQUALL_LISTEN", value_parser = address::parse_address, help_heading = "Without a file")]
    pub(super) listen: Option<SocketAddr>,
    /// Adds cluster `upstream`, which gets the traffic of `to-upstream`: http://host:port is HTTP, tcp://host:port is
    /// bytes, host:port is told from the first bytes
    #[arg(long, value_name = "URL|HOST:PORT", env = "SQUALL_UPSTREAM", help_heading = "Without a file")]
    pub(super) upstream: Option<Upstream>,
    /// Where the control API listens: an address, or unix:/path [default: 127.0.0.1:9470]
    #[arg(long, value_name = "ADDR", env = "SQUALL_CONTROL", value_parser = address::parse_control)]
    pub(super) control: Option<ControlAddress>,
    /// The file of the tokens that may call it, one a line: read, inject or admin; a name; the token [default: none]
    #[arg(long, value_name = "FILE", env = "SQUALL_CONTROL_TOKEN_FILE")]
    pub(super) control_token_file: Option<String>,
    /// Where read-only telemetry listens [default: off]
    #[arg(long, value_name = "ADDR", env = "SQUALL_TELEMETRY", value_parser = address::parse_address)]
    pub(super) telemetry: Option<SocketAddr>,
    /// Where Toxiproxy's API listens; its clients expect 127.0.0.1:8474 [default: off]
    #[arg(long, value_name = "ADDR", env = "SQUALL_TOXIPROXY", value_parser = address::parse_address)]
    pub(super) toxiproxy: Option<SocketAddr>,
    /// Serves Toxiproxy's API to whoever reaches it, also from other machines, and without a token
    #[arg(long, env = "SQUALL_TOXIPROXY_OPEN")]
    pub(super) toxiproxy_open: bool,
    #[command(flatten)]
    pub(super) controller: ControllerArgs,
    /// Worker threads [default: one per core]
    #[arg(long, value_name = "N", env = "SQUALL_WORKERS", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) workers: Option<u16>,
    /// Seed of every random choice, to repeat a run [default: from the system]
    #[arg(long, value_name = "N", env = "SQUALL_SEED")]
    pub(super) seed: Option<u64>,
    /// Where one JSON line per exchange goes: `stdout` or a file [default: off]
    #[arg(long, value_name = "stdout|FILE", env = "SQUALL_ACCESS_LOG")]
    pub(super) access_log: Option<String>,
    /// Where rules made through the API, the kill switch and the audit outlive the process [default: nowhere]
    #[arg(long, value_name = "DIR", env = "SQUALL_STATE_DIR")]
    pub(super) state_dir: Option<String>,
    /// Does not reload the file, nor certificates, when they change; SIGHUP still does
    #[arg(long, env = "SQUALL_NO_WATCH")]
    pub(super) no_watch: bool,
    /// Shape of the log on stderr
    #[arg(long, value_enum, default_value = "text", env = "SQUALL_LOG_FORMAT", help_heading = "Log")]
    pub(super) log_format: LogFormat,
    /// Level or filter of the log, as in debug or squall_proxy=debug [default: info]
    #[arg(long, value_name = "FILTER", env = "SQUALL_LOG", help_heading = "Log")]
    pub(super) log: Option<String>,
}

/// The controller of a cluster.
#[derive(Clone, Debug, Args)]
pub(super) struct ControllerArgs {
    /// Follows the orders of this controller: rules, experiments and halts, as long as it goes on giving them [default: none]
    #[arg(long = "controller", value_name = "URL", env = "SQUALL_CONTROLLER", help_heading = "In a cluster")]
    pub(super) url: Option<String>,
    /// The authorities that vouch for it, PEM [default: those of the system]
    #[arg(long = "controller-ca", value_name = "FILE", env = "SQUALL_CONTROLLER_CA", help_heading = "In a cluster")]
    pub(super) ca: Option<String>,
    /// The bearer token that says which pod this is; read again each time [default: none]
    #[arg(
        long = "controller-token",
        value_name = "FILE",
        env = "SQUALL_CONTROLLER_TOKEN",
        help_heading = "In a cluster"
    )]
    pub(super) token_file: Option<String>,
    /// The labels of this pod, as the downward API writes them: lines key="value" [default: none]
    #[arg(long = "pod-labels", value_name = "FILE", env = "SQUALL_POD_LABELS", help_heading = "In a cluster")]
    pub(super) labels_file: Option<String>,
}

impl RunArgs {
    /// How many workers: as asked, else one per core that this process may use.
    pub(super) fn n_workers(&self) -> usize {
        self.workers.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from)
    }
}

impl ControllerArgs {
    /// As the configuration file says it.
    pub(super) fn spec(&self) -> ControllerSpec {
        let Self { url, ca, token_file, labels_file } = self.clone();
        ControllerSpec { url, ca, token_file, labels_file }
    }
}
