//! The positions of the kill switch.

use std::time::SystemTime;

/// The kill switch is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Halt {
    /// As given; may be empty.
    pub(crate) reason: String,
    /// Since when.
    pub(crate) since: SystemTime,
    /// Whether the controller halted, and nobody else since: then it is what ends when the controller says so.
    pub(crate) by_controller: bool,
}

impl Halt {
    /// From this moment on.
    pub(crate) fn now(reason: String) -> Self {
        Self { reason, since: SystemTime::now(), by_controller: false }
    }
}

/// A position of the kill switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Switch {
    /// No faults.
    Halt,
    /// Faults as the rules say.
    Resume,
}
