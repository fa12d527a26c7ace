//! One JSON line for each finished exchange and connection, written off the workers' threads.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use serde::{Serialize, Serializer};
use squall_config::Chain;
use squall_config::model::{AccessLog as Destination, Name};
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};

use super::shard::ListenerKey;

/// Lines that may wait for the disk; beyond it lines are lost, never requests.
const LINES_MAX: usize = 16 * 1024;

/// A writer that every worker clones.
#[derive(Clone, Debug)]
pub(crate) struct AccessLog {
    writer: NonBlocking,
}

impl AccessLog {
    /// Opens the destination. The guard writes what is left when it is dropped.
    pub(crate) fn open(destination: &Destination) -> std::io::Result<(Self, WorkerGuard)> {
        let builder =
            NonBlockingBuilder::default().buffered_lines_limit(LINES_MAX).lossy(true).thread_name("access-log");
        let (writer, guard) = match destination {
            Destination::Stdout => builder.finish(std::io::stdout()),
            Destination::File(path) => {
                let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
                builder.finish(file.map_err(|error| {
                    let why = format!("access_log: cannot write to {}: {}", path.display(), Chain(&error));
                    std::io::Error::new(error.kind(), format!("{why}; name a file in a directory that is there"))
                })?)
            }
        };
        Ok((Self { writer }, guard))
    }

    /// Writes one line.
    pub(crate) fn write(&mut self, line: &Line<'_>) {
        if let Ok(mut bytes) = serde_json::to_vec(line) {
            bytes.push(b'\n');
            // The writer drops lines rather than wait; nothing to do about one that is lost.
            let _ = self.writer.write_all(&bytes);
        }
    }
}

/// A fault of a line.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct InjectedFault {
    pub(crate) rule: String,
    pub(crate) kind: &'static str,
    #[serde(skip)]
    pub(crate) at: Instant,
    #[serde(skip)]
    pub(crate) latency: Option<AddedLatency>,
}

impl InjectedFault {
    /// A fault that begins now.
    pub(crate) fn new(rule: &Name, kind: &'static str) -> Self {
        Self { rule: rule.to_string(), kind, at: Instant::now(), latency: None }
    }
}

/// What a delay was to add, and what it did.
#[derive(Clone, Debug, Default)]
pub(crate) struct AddedLatency {
    pub(crate) requested: Duration,
    added: Duration,
    /// While it is added.
    since: Option<Instant>,
}

impl AddedLatency {
    /// More is added from this moment on.
    pub(crate) fn begin(&mut self, requested: Duration, since: Instant) {
        self.requested += requested;
        self.since = Some(since);
    }

    /// This much of it was added.
    pub(crate) fn end(&mut self, added: Duration) {
        self.added += added;
        self.since = None;
    }

    /// All that was added until now; also when downstream left in the middle of it.
    pub(crate) fn measured(&self) -> Duration {
        self.added + self.running().unwrap_or_default()
    }

    /// How long it has been added, while it is.
    pub(crate) fn running(&self) -> Option<Duration> {
        self.since.map(|since| since.elapsed())
    }
}

/// What is written about one exchange or connection.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Line<'a> {
    /// RFC 3339, UTC, when the exchange ended.
    pub(crate) time: String,
    pub(crate) listener: &'a str,
    pub(crate) cluster: &'a str,
    pub(crate) direction: &'static str,
    pub(crate) source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) endpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trace_id: Option<String>,
    /// Of the exchange itself, when it is traced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) span_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) authority: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<&'a str>,
    /// How long the caller of a gRPC call waits in all, as it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) grpc_timeout_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) grpc_status: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
    pub(crate) origin: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<&'static str>,
    pub(crate) duration_seconds: f64,
    pub(crate) injected_latency_seconds: f64,
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
    pub(crate) faults: &'a [InjectedFault],
    /// Rules in shadow mode that would have injected something.
    #[serde(skip_serializing_if = "<[Name]>::is_empty", serialize_with = "texts")]
    pub(crate) shadows: &'a [Name],
}

impl<'a> Line<'a> {
    /// Of what ends now: where it came in, and from where.
    pub(crate) fn of(key: &'a ListenerKey, source: SocketAddr) -> Self {
        Self {
            time: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            listener: key.listener.as_str(),
            cluster: key.cluster.as_str(),
            direction: key.direction.as_str(),
            source: source.to_string(),
            ..Self::default()
        }
    }
}

fn texts<S: Serializer>(names: &[Name], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(names.iter().map(Name::as_str))
}
