//! Bounds of the process, its end, and its log.

use std::fmt;
use std::time::Duration;

use super::BlastRadius;

/// Bounds on what rules may do and on what the proxy may hold.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Life of a rule that came through the API and names none.
    pub default_ttl: Duration,
    /// No delay may be configured or drawn beyond this.
    pub delay_max: Duration,
    /// Exchanges and connections that may be held by faults at once; beyond it traffic passes and is counted.
    pub active_faults_max: usize,
    /// Paths that no rule touches unless it names them exactly.
    pub exclude_paths: Vec<String>,
    /// The largest request head, in bytes.
    pub head_bytes_max: usize,
    /// The most downstream connections at once, over all workers.
    pub connections_max: usize,
    /// The most rules.
    pub rules_max: usize,
    /// The most bytes that a delayed TCP stream holds back in one direction.
    pub stream_buffer_bytes_max: usize,
    /// How much of the traffic rules may reach.
    pub blast_radius: BlastRadius,
}

/// How the process ends after SIGTERM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// Time between "not ready" and closing the listening sockets, for load balancers to notice (default 0).
    pub delay: Duration,
    /// After this long what is left is cut.
    pub timeout: Duration,
}

/// Where access-log lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLog {
    /// Standard output.
    Stdout,
    /// Appended to a file.
    File(std::path::PathBuf),
}

impl fmt::Display for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("stdout"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}
