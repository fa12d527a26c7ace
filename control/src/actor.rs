//! Who asks for a change.

use std::fmt;
use std::sync::Arc;

use crate::role::Role;

/// The controller whose orders are followed.
pub(crate) const CONTROLLER: Actor = Actor::Squall("controller");

/// Who asks for a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A part of Squall itself: `file`, `expiry`, `guard`, `lease`, `experiment`, `controller`, `signal`, `process`.
    Squall(&'static str),
    /// Somebody who calls the control API.
    Caller(Caller),
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
        Self::Squall("process")
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Squall(part) => f.write_str(part),
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
