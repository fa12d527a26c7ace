//! One JSON line for each finished exchange and connection, written off the workers' threads.

use std::io::Write as _;
use std::time::SystemTime;

use serde::Serialize;
use squall_config::model::AccessLog as Destination;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};

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
                builder.finish(std::fs::OpenOptions::new().create(true).append(true).open(path)?)
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
}

/// What is written about one exchange.
#[derive(Debug, Serialize)]
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
    pub(crate) trace_id: Option<&'a str>,
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
}

/// Now, as a line says it.
pub(crate) fn now_text() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}

/// The trace id of a `traceparent` (W3C Trace Context §3.2), if it is one.
pub(crate) fn trace_id(traceparent: &str) -> Option<&str> {
    let mut parts = traceparent.split('-');
    let (version, id) = (parts.next()?, parts.next()?);
    let is_hex = |s: &str| s.bytes().all(|b| b.is_ascii_hexdigit());
    (version.len() == 2 && id.len() == 32 && is_hex(version) && is_hex(id)).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trace_ids_are_read_from_traceparent_only() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(trace_id(&format!("00-{id}-00f067aa0ba902b7-01")), Some(id));
        for bad in ["", "00", "00-xyz-1-01", id] {
            assert_eq!(trace_id(bad), None, "{bad}");
        }
    }
}
