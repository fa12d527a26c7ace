//! The proxies that are compared, each with one worker, logs off, in its most favourable configuration.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;

use crate::config;
use crate::setup::Setup;
use crate::work::Work;
use squall_benches::process::{LOAD_CORE, PROXY_CORE, Process, free_address, pinned};

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
            Work::TlsHttp1 | Work::TlsHandshake | Work::Idle => vec![squall, haproxy, Self::Nginx, envoy],
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
            Work::Http1
            | Work::Rules
            | Work::OpenLoop
            | Work::Delay
            | Work::WorkersHttp1
            | Work::TlsHttp1
            | Work::TlsHandshake
            | Work::Idle => setup.origin.http1,
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
                std::fs::write(&file, config::squall(work, (address, upstream), setup, others))?;
                command.args(["run", "-c", &path, "--workers", &workers, "--control", "127.0.0.1:0"]);
            }
            Self::HaProxy { others } => {
                std::fs::write(&file, config::haproxy(work, (address, upstream), setup, others))?;
                command.args(["-db", "-f", &path]);
            }
            Self::Nginx => {
                std::fs::write(&file, config::nginx(work, (address, upstream), setup))?;
                command.args(["-c", &path, "-p", &setup.directory.display().to_string()]);
            }
            Self::Envoy { others } => {
                std::fs::write(&file, config::envoy(work, (address, upstream), setup, others).to_string())?;
                let options =
                    ["--concurrency", &workers, "--disable-hot-restart", "-l", "error", "--config-path", &path];
                command.args(options);
            }
            Self::Fault => {
                std::fs::write(&file, config::fault(address, upstream).to_string())?;
                command.args(["run", &path]);
            }
        }
        let log = file.with_extension("log");
        let mut process = Process::start(&mut command, &log)?;
        process.wait_for(address).with_context(|| format!("{} did not start; see {}", self.name(), log.display()))?;
        if matches!(self, Self::Squall { .. }) {
            process.wait_for_words(&log, " started ")?;
        }
        Ok(Some(Running { process: Some(process), address, log: Some(log) }))
    }
}
