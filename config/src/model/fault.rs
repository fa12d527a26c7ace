//! The faults of a rule.

use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};

use crate::units::ByteRate;

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
