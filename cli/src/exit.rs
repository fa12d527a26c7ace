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
    /// A failure that begins here. Takes no error, which would lose its causes: see [`Self::caused_by`].
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, error: anyhow::Error::msg(message.into()) }
    }

    /// A failure that begins with this error.
    pub(crate) fn caused_by(exit: Exit, error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self { exit, error: error.into() }
    }

    /// This failure, with what it is a failure of before its causes.
    pub(crate) fn of(self, what: impl Into<String>) -> Self {
        Self { exit: self.exit, error: self.error.context(what.into()) }
    }

    /// This failure with another code.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct NoPort(std::io::Error);

    impl std::fmt::Display for NoPort {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("the listener cannot have its port")
        }
    }

    impl std::error::Error for NoPort {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn a_failure_says_its_causes() {
        let error = NoPort(std::io::Error::from_raw_os_error(24));
        let failure = Failure::caused_by(Exit::Failure, error).of("no start");
        let text = "error: no start: the listener cannot have its port: Too many open files (os error 24)";
        assert_eq!((failure.exit, failure.text().as_str()), (Exit::Failure, text));
    }
}
