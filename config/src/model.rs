//! The validated configuration: only values that make sense exist here.
//!
//! Built by [`crate::validate()`] from what was written ([`crate::spec`]). Fields are public because every
//! combination of them is valid; what must hold inside a field is held by the field's own type.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, StatusCode};
use ipnet::IpNet;

use crate::pattern::Pattern;
use crate::units::{ByteRate, Percentage};

/// A name of a listener, cluster or rule: 1–63 characters of `a-z 0-9 - _ .`, beginning with a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(std::sync::Arc<str>);

impl Name {
    /// The longest name, as in DNS labels (RFC 1035 §2.3.4).
    pub const LENGTH_MAX: usize = 63;

    /// Accepts a well-formed name; the error says which character or length is wrong.
    pub fn new(text: &str) -> Result<Self, String> {
        let first = text.chars().next().ok_or("a name cannot be empty")?;
        if text.len() > Self::LENGTH_MAX {
            return Err(format!("a name has at most {} characters, this has {}", Self::LENGTH_MAX, text.len()));
        }
        if !first.is_ascii_alphanumeric() {
            return Err(format!("a name begins with a letter or digit, not with {first:?}"));
        }
        match text.chars().find(|c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(*c))) {
            Some(c) => Err(format!("{c:?} cannot be in a name; use a-z, 0-9, '-', '_' and '.'")),
            None => Ok(Self(text.into())),
        }
    }

    /// The name as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// The whole configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the mutating control API listens.
    pub control: SocketAddr,
    /// Where the read-only telemetry listens, when it is on.
    pub telemetry: Option<SocketAddr>,
    /// In the order of the file.
    pub listeners: Vec<Listener>,
    /// In the order of the file.
    pub clusters: Vec<Cluster>,
    /// In the order of the file, which is the order of application.
    pub rules: Vec<Rule>,
    /// Bounds on what rules may do and on what the proxy may hold.
    pub limits: Limits,
    /// How the process ends.
    pub drain: Drain,
    /// Where one line per exchange goes; `None` (default) writes none.
    pub access_log: Option<AccessLog>,
    /// Whether responses that a fault touched carry `x-squall-fault` (default true).
    pub fault_header: bool,
    /// Seed of every random choice; `None` takes one from the system at start.
    pub seed: Option<u64>,
}

/// Which side of Service A a listener stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Calls to A.
    Inbound,
    /// Calls that A makes.
    Outbound,
}

impl Direction {
    /// The metric label and the word of the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

/// What a listener expects downstream to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerProtocol {
    /// HTTP/1.1, and HTTP/2 by prior knowledge.
    Http,
    /// Bytes.
    Tcp,
    /// HTTP/1, the HTTP/2 preface, else bytes; silence for `detect_timeout` means bytes.
    Auto,
}

/// A socket that accepts downstream connections.
#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    /// Unique among listeners.
    pub name: Name,
    /// Port 0 lets the system choose.
    pub address: SocketAddr,
    /// Which side of A.
    pub direction: Direction,
    /// What downstream speaks.
    pub protocol: ListenerProtocol,
    /// The cluster that gets the traffic; exists.
    pub cluster: Name,
    /// The longest time from the first byte of a request head to its last.
    pub header_timeout: Duration,
    /// A downstream connection without an exchange (HTTP) or a byte (TCP) for this long is closed; `None` never.
    pub idle_timeout: Option<Duration>,
    /// How long `auto` waits for the first byte before it takes the connection for TCP.
    pub detect_timeout: Duration,
}

/// What a cluster's endpoints speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterProtocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
}

/// A named upstream.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// Unique among clusters.
    pub name: Name,
    /// At least one.
    pub endpoints: Vec<Endpoint>,
    /// What they speak.
    pub protocol: ClusterProtocol,
    /// The longest time to a connection.
    pub connect_timeout: Duration,
    /// An idle upstream connection leaves the pool after this long.
    pub idle_timeout: Duration,
    /// The longest time from a request sent to the head of its response; `None` (default) leaves it to A.
    pub response_timeout: Option<Duration>,
    /// The most idle connections that one worker keeps to one endpoint.
    pub idle_connections_max: usize,
}

/// One address of a cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// `host:port`; the host is a name or an IP address.
    pub address: HostPort,
    /// Free labels that rules may match on.
    pub labels: BTreeMap<String, String>,
    /// Share of the traffic relative to the other endpoints; at least 1.
    pub weight: u32,
}

/// A host (name or IP address, without brackets) and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// Name or IP address.
    pub host: std::sync::Arc<str>,
    /// 1–65535.
    pub port: u16,
}

impl std::fmt::Display for HostPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A match, a percentage and the faults for the picked share.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Unique among rules.
    pub name: Name,
    /// A rule that is not enabled is kept but decides nothing.
    pub enabled: bool,
    /// What it applies to.
    pub matches: Match,
    /// The share of what matches.
    pub percentage: Percentage,
    /// How the share is picked.
    pub sample: Sample,
    /// At least one, each kind (and phase) at most once, in order of application.
    pub faults: Vec<Fault>,
    /// Ends the rule this long after it was made; `None` never (only rules of the file may say so).
    pub ttl: Option<Duration>,
}

/// Conditions that must all hold; an empty one matches everything.
#[derive(Clone, Debug, Default)]
pub struct Match {
    /// Listener by name.
    pub listener: Option<Name>,
    /// Side of A.
    pub direction: Option<Direction>,
    /// Cluster by name.
    pub cluster: Option<Name>,
    /// Endpoint by address or labels.
    pub endpoint: Option<EndpointMatch>,
    /// The downstream address is in one of these; empty means any.
    pub source: Vec<IpNet>,
    /// One of these methods; empty means any.
    pub method: Vec<Method>,
    /// The path without query.
    pub path: Option<Pattern>,
    /// Host and port as the client named them.
    pub authority: Option<Pattern>,
    /// Each named header has a value that matches.
    pub headers: Vec<(HeaderName, ValueMatch)>,
    /// Each named query parameter has a value that matches.
    pub query: Vec<(String, ValueMatch)>,
    /// gRPC service and method, from the path of a gRPC request.
    pub grpc: Option<GrpcMatch>,
}

impl Match {
    /// Whether a condition can only be told of an HTTP request, so that the rule never matches a TCP connection.
    pub fn needs_http(&self) -> bool {
        !self.method.is_empty()
            || self.path.is_some()
            || self.authority.is_some()
            || !self.headers.is_empty()
            || !self.query.is_empty()
            || self.grpc.is_some()
    }
}

/// One endpoint, or all that carry some labels.
#[derive(Clone, Debug, PartialEq)]
pub enum EndpointMatch {
    /// The address as written in the cluster.
    Address(HostPort),
    /// All of these labels, with these values.
    Labels(BTreeMap<String, String>),
}

/// A condition on the values of a header or query parameter.
#[derive(Clone, Debug)]
pub enum ValueMatch {
    /// There is (true) or is not (false) such a field.
    Present(bool),
    /// One of its values matches.
    Pattern(Pattern),
}

/// A condition on a gRPC call; `None` means any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcMatch {
    /// Full name with package, as in `helloworld.Greeter`.
    pub service: Option<String>,
    /// Method name.
    pub method: Option<String>,
}

/// How the share of a rule is picked from what matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sample {
    /// Each on its own, by a seeded draw.
    Random,
    /// Exactly p of every 100, evenly spread.
    Exact,
    /// The first N that match and no more; the percentage applies to those.
    First(u64),
    /// Every N-th that matches: the N-th, the 2N-th, …; the percentage applies to those.
    Every(u64),
}

/// A kind of failure and its parameters.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Adds latency.
    Delay(Delay),
    /// Answers in the upstream's place. HTTP only.
    Abort(Abort),
    /// Ends with TCP RST on HTTP/1 and TCP, RST_STREAM on HTTP/2.
    Reset(Reset),
    /// Accepts and never answers.
    Blackhole(Blackhole),
    /// Bounds the bytes per second. TCP only for now.
    Throttle(Throttle),
    /// Resets a new connection at once, before anything is read or dialled. TCP only.
    Refuse,
}

impl Fault {
    /// The word of the file, the header and the metric label.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Delay(_) => "delay",
            Self::Abort(_) => "abort",
            Self::Reset(_) => "reset",
            Self::Blackhole(_) => "blackhole",
            Self::Throttle(_) => "throttle",
            Self::Refuse => "refuse",
        }
    }

    /// Whether it can be applied to an HTTP exchange.
    pub fn applies_to_http(&self) -> bool {
        !matches!(self, Self::Throttle(_) | Self::Refuse)
    }

    /// Whether it can be applied to a TCP connection.
    pub fn applies_to_tcp(&self) -> bool {
        !matches!(self, Self::Abort(_))
    }
}

/// Which half of the exchange; on TCP `Request` is downstream → upstream, `Response` upstream → downstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Before the upstream sees the request.
    Request,
    /// Before downstream sees the response.
    Response,
}

/// Adds latency, drawn anew for each exchange (HTTP) or for each chunk (TCP).
#[derive(Clone, Debug, PartialEq)]
pub struct Delay {
    /// How long.
    pub latency: Latency,
    /// Which half.
    pub on: Phase,
    /// No drawn value is longer than this; present for every unbounded distribution.
    pub max: Duration,
}

/// A distribution of latency. Shape parameters are finite and positive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Latency {
    /// Always the same.
    Fixed(Duration),
    /// Any value between, both included; `min` ≤ `max`.
    Uniform {
        /// Shortest.
        min: Duration,
        /// Longest.
        max: Duration,
    },
    /// Gaussian; draws below zero count as zero.
    Normal {
        /// Centre.
        mean: Duration,
        /// Width.
        stddev: Duration,
    },
    /// exp(N(ln median, sigma)).
    LogNormal {
        /// Half of the draws are below.
        median: Duration,
        /// Standard deviation of the logarithm.
        sigma: f64,
    },
    /// Memoryless.
    Exponential {
        /// Mean.
        mean: Duration,
    },
    /// Heavy tail.
    Pareto {
        /// Shortest value.
        scale: Duration,
        /// Smaller means a heavier tail.
        shape: f64,
    },
}

/// An answer in the upstream's place.
#[derive(Clone, Debug, PartialEq)]
pub struct Abort {
    /// What is answered.
    pub answer: AbortAnswer,
}

/// Two ways to fail.
#[derive(Clone, Debug, PartialEq)]
pub enum AbortAnswer {
    /// A plain HTTP answer.
    Http {
        /// 200–599.
        status: StatusCode,
        /// `None` answers a short text that names the rule.
        body: Option<std::sync::Arc<[u8]>>,
        /// Added to the answer.
        headers: Vec<(HeaderName, HeaderValue)>,
    },
    /// HTTP 200 with the status in the head (trailers-only) when the request is gRPC, else the HTTP status that
    /// corresponds to it.
    Grpc {
        /// 0–16.
        status: u8,
        /// `grpc-message`, before percent-encoding.
        message: String,
    },
}

/// A broken connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reset {
    /// Before the upstream is called, or in its answer.
    pub on: Phase,
    /// So many bytes of the (response) body pass first; 0 resets before the head.
    pub after_bytes: u64,
}

/// Silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blackhole {
    /// The connection is closed after this long; `None` holds it until the client gives up, the rule ends or halt.
    pub max: Option<Duration>,
}

/// A bound on speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttle {
    /// At most so many bytes per second.
    pub rate: ByteRate,
    /// `None` bounds both directions, each on its own.
    pub direction: Option<Phase>,
}

/// Bounds on what rules may do and on what the proxy may hold.
#[derive(Clone, Debug, PartialEq)]
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
