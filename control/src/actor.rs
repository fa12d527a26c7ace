//! Who asks for a change.

use std::fmt;
use std::sync::Arc;

use crate::role::Role;

/// The controller whose orders are followed.
pub(crate) const CONTROLLER: Actor = Actor::Squall(Part::Controller);

/// Who asks for a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A part of Squall itself.
    Squall(Part),
    /// Somebody who calls the control API.
    Caller(Caller),
}

/// A part of Squall that asks of its own accord.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The process, which begins and ends.
    Process,
    /// Somebody who sends it signals.
    Signal,
    /// The configuration file, which changed.
    File,
    /// The time of a rule is over.
    Expiry,
    /// A guard.
    Guard,
    /// The lease, which nobody renews.
    Lease,
    /// An experiment.
    Experiment,
    /// The controller whose orders are followed.
    Controller,
}

impl Part {
    /// The word of the audit and the log.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Signal => "signal",
            Self::File => "file",
            Self::Expiry => "expiry",
            Self::Guard => "guard",
            Self::Lease => "lease",
            Self::Experiment => "experiment",
            Self::Controller => "controller",
        }
    }
}

/// Somebody who calls the control API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Who it is, as far as that is known.
    pub identity: Identity,
    /// What they may do.
    pub role: Role,
    /// The address that they call from, or `unix`.
    pub from: String,
}

/// Who a caller is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The name beside the token.
    Token(Arc<str>),
    /// The name in the certificate.
    Certificate(Arc<str>),
    /// The user whose process is at the other end of the Unix socket.
    User(u32),
    /// Nobody was asked.
    Unknown,
}

impl Default for Actor {
    fn default() -> Self {
        Self::Squall(Part::Process)
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Squall(part) => f.write_str(part.as_str()),
            Self::Caller(caller) => caller.fmt(f),
        }
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.identity {
            Identity::Token(name) => write!(f, "{name} ({}) from {}", self.role, self.from),
            Identity::Certificate(name) => write!(f, "certificate {name} from {}", self.from),
            Identity::User(uid) => write!(f, "uid {uid} from {}", self.from),
            Identity::Unknown => f.write_str(&self.from),
        }
    }
}
