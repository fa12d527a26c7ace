//! Rules but for their faults: what they match and how their share is picked.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use http::{HeaderName, Method};
use ipnet::IpNet;

use super::{Direction, Fault, HostPort, ListenerProtocol, Name};
use crate::pattern::Pattern;
use crate::units::Percentage;

/// A match, a percentage and the faults for the picked share.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Unique among rules.
    pub name: Name,
    /// A rule that is not enabled is kept but decides nothing.
    pub enabled: bool,
    /// Whether what it decides is done.
    pub mode: Mode,
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
    /// The experiment that it belongs to.
    pub experiment: Option<Name>,
}

impl Rule {
    /// Whether it does anything to traffic, as long as nothing is halted.
    pub fn injects(&self) -> bool {
        self.enabled && self.mode == Mode::Inject
    }

    /// Whether what it does hangs on a trace id or a request id, so that exchanges without one are treated otherwise.
    pub fn hangs_on_ids(&self) -> bool {
        let by_sample = match &self.sample {
            Sample::Sticky(StickyKey::Trace) | Sample::Attempt(_) => true,
            Sample::Sticky(StickyKey::Header(name)) => is_of_ids(name),
            Sample::Random
            | Sample::Exact
            | Sample::First(_)
            | Sample::Every(_)
            | Sample::Sticky(StickyKey::Source) => false,
        };
        self.enabled && (by_sample || self.matches.headers.iter().any(|(name, _)| is_of_ids(name)))
    }

    /// The largest share of what matches that it can pick. Of every N-th it is an N-th, rounded up; of the first N and of
    /// the N-th try it is the percentage, since for a while all that matches may be such.
    pub fn reach(&self) -> Percentage {
        match self.sample {
            Sample::Every(n) => {
                let ppm = u64::from(self.percentage.ppm()).div_ceil(n.max(1));
                u32::try_from(ppm).ok().and_then(Percentage::from_ppm).unwrap_or(self.percentage)
            }
            Sample::Random | Sample::Exact | Sample::Sticky(_) | Sample::First(_) | Sample::Attempt(_) => {
                self.percentage
            }
        }
    }

    /// Whether it could do anything to an HTTP exchange behind a listener of this protocol.
    pub fn can_hit_http(&self, protocol: ListenerProtocol) -> bool {
        protocol != ListenerProtocol::Tcp
            && self.matches.upgrade.is_none()
            && self.faults.iter().any(Fault::applies_to_http)
    }

    /// Whether it could do anything to a TCP connection of such a listener.
    pub fn can_hit_tcp(&self, protocol: ListenerProtocol) -> bool {
        protocol != ListenerProtocol::Http
            && !self.matches.needs_http()
            && self.faults.iter().any(Fault::applies_to_tcp)
    }

    /// Whether it could do anything to what flows in a tunnel that was opened there.
    pub fn can_hit_tunnel(&self, protocol: ListenerProtocol) -> bool {
        protocol != ListenerProtocol::Tcp
            && self.matches.upgrade.is_some()
            && self.faults.iter().any(Fault::applies_to_tcp)
    }

    /// Whether it could do anything to a handshake, where TLS ends.
    pub fn can_hit_handshakes(&self) -> bool {
        self.faults.iter().any(|fault| matches!(fault, Fault::Tls(_)))
    }
}

/// Whether a field tells of a trace or a request (W3C Trace Context, B3, and what proxies agree upon).
fn is_of_ids(name: &HeaderName) -> bool {
    let name = name.as_str();
    matches!(name, "traceparent" | "tracestate" | "b3" | "x-request-id") || name.starts_with("x-b3-")
}

/// What becomes of the decisions of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They are carried out.
    Inject,
    /// They are counted and logged.
    Shadow,
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
    /// Tunnels of this protocol, in lower case; the other conditions are of the request that opened it.
    pub upgrade: Option<UpgradeMatch>,
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
            || self.upgrade.is_some()
    }
}

/// One endpoint, or all that carry some labels.
#[derive(Clone, Debug, PartialEq)]
pub enum EndpointMatch {
    /// The address as written in the cluster, or one that a name there stands for.
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

/// Which tunnels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpgradeMatch {
    /// Whatever is spoken.
    Any,
    /// The protocol that the upstream switched to, in lower case.
    Protocol(String),
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
    /// The same answer for the same value of the key, wherever and whenever it is asked for; 5 % are among 10 %.
    Sticky(StickyKey),
    /// The N-th try of a request, from 1; the percentage applies to those.
    Attempt(NonZeroU32),
}

impl Sample {
    /// Whether it looks at what only an HTTP request has.
    pub fn needs_http(&self) -> bool {
        matches!(self, Self::Sticky(StickyKey::Trace | StickyKey::Header(_)) | Self::Attempt(_))
    }
}

/// What a sticky sample goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StickyKey {
    /// The trace id: of `traceparent` (W3C Trace Context), else of `b3` or `x-b3-traceid`.
    Trace,
    /// The address of downstream, without its port.
    Source,
    /// The first value of a header field.
    Header(HeaderName),
}
