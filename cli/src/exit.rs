//! How the process ends, for people and for scripts.

use std::process::ExitCode;

/// The exit codes; the help of every verb lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Ok = 0,
    /// A runtime failure: a port in use, a rule that is not there, an unreadable file.
    Failure = 1,
    /// The command line makes no sense (clap uses the same code).
    Usage = 2,
    /// A configuration or rule is invalid.
    InvalidConfig = 3,
    /// The control API does not answer.
    Unreachable = 4,
    /// Somebody else changed the rules first (412, 409).
    Conflict = 5,
    /// A check failed or a hypothesis did not hold.
    CheckFailed = 6,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a verb did not do its work, and with which code that ends the process.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The code.
    pub(crate) exit: Exit,
    error: anyhow::Error,
}

/// What every verb returns.
pub(crate) type Outcome = Result<Exit, Failure>;

impl Failure {
    /// A failure that begins here.
    pub(crate) fn new(exit: Exit, message: impl std::fmt::Display) -> Self {
        Self { exit, error: anyhow::anyhow!("{message}") }
    }

    /// The same failure with another code.
    pub(crate) fn with_exit(self, exit: Exit) -> Self {
        Self { exit, ..self }
    }

    /// The whole chain of causes on one line; texts that have several lines already (lists of problems) stay whole.
    pub(crate) fn text(&self) -> String {
        format!("error: {:#}", self.error)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self { exit: Exit::Failure, error }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self { exit: Exit::Failure, error: error.into() }
    }
}
