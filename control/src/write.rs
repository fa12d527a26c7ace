//! A change that somebody asks for: who, on which conditions, and what came of it.

use std::sync::Arc;

use squall_config::Problems;

use crate::actor::{Actor, CONTROLLER};
use crate::audit::Note;
use crate::document::Written;

/// Which generation a change is meant for (`If-Match`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Precondition {
    /// Any.
    #[default]
    None,
    /// One of these.
    Generation(Vec<u64>),
}

impl Precondition {
    pub(crate) fn check(&self, current: u64) -> Result<(), UpdateError> {
        match self {
            Self::Generation(wanted) if !wanted.contains(&current) => Err(UpdateError::Precondition { current }),
            _ => Ok(()),
        }
    }
}

/// Who asks for a change, and on which conditions.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    /// Who.
    pub(crate) by: Actor,
    /// What they do: the name of the call.
    pub(crate) operation: &'static str,
    /// The rule that the call names.
    pub(crate) rule: Option<String>,
    /// The generation that it is meant for.
    pub(crate) precondition: Precondition,
    /// Whether to check everything and change nothing.
    pub(crate) dry_run: bool,
    /// Whether it follows an order of the controller: nothing of that outlives the process, and what it halts it resumes.
    pub(crate) is_ordered: bool,
    /// Whether it comes again and again by itself, so that it is noted only when it changes something.
    pub(crate) is_routine: bool,
}

impl Write {
    /// An unconditional change.
    pub(crate) fn by(who: Actor) -> Self {
        Self {
            by: who,
            operation: "change",
            rule: None,
            precondition: Precondition::None,
            dry_run: false,
            is_ordered: false,
            is_routine: false,
        }
    }

    /// What the controller orders, or what becomes of its orders.
    pub(crate) fn ordered(operation: &'static str) -> Self {
        Self { operation, is_ordered: true, is_routine: true, ..Self::by(CONTROLLER) }
    }

    /// The note that it was done.
    pub(crate) fn done(&self, generation: u64) -> Note {
        Note::done(&self.by, self.operation, generation).about(self.rule.clone())
    }

    /// The note that it was refused.
    pub(crate) fn refused(&self, generation: u64) -> Note {
        Note::refused(&self.by, self.operation, generation).about(self.rule.clone())
    }
}

/// Why a change was refused; nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// The precondition does not hold.
    #[error("the generation is {current} now; read it again and repeat the change")]
    Precondition {
        /// The generation now.
        current: u64,
    },
    /// The result would not be valid.
    #[error("the configuration would not be valid")]
    Invalid(#[source] Problems),
    /// The result is valid, but cannot be had now, such as a port in use.
    #[error("the configuration cannot be applied now")]
    Conflict(#[source] Problems),
    /// The result cannot be written to the state directory.
    #[error("the state directory cannot be written to")]
    NotKept(#[source] std::io::Error),
    /// Faults flow only while somebody holds the lease.
    #[error("faults flow only while somebody holds the lease, and nobody does")]
    NoLease,
    /// Somebody else holds the lease.
    #[error("{holder} holds the lease for another {left_seconds} s")]
    Leased {
        /// Who.
        holder: String,
        /// Until it runs out.
        left_seconds: u64,
    },
    /// The rule belongs to an experiment, which is running.
    #[error("rule {rule:?} belongs to experiment {experiment:?}, which is running")]
    OfExperiment {
        /// Its name.
        rule: String,
        /// Whose it is.
        experiment: String,
    },
    /// The rule is in force because a controller ordered it.
    #[error("rule {0:?} comes from the controller of the cluster")]
    OfController(String),
    /// The controller of the cluster has halted all faults.
    #[error("the controller of the cluster has halted all faults")]
    HaltedByController,
    /// The rule is a toxic.
    #[error("rule {rule:?} is a toxic of proxy {proxy:?}")]
    Toxic {
        /// Its name.
        rule: String,
        /// Whose it is.
        proxy: String,
    },
    /// There is no such rule.
    #[error("there is no rule {0:?}")]
    NoRule(String),
}

/// What came of a change.
#[derive(Debug)]
pub(crate) struct Outcome<T> {
    /// What the change itself gave.
    pub(crate) value: T,
    /// The generation now.
    pub(crate) generation: u64,
    /// Whether a snapshot was (or with `dry_run`: would be) published.
    pub(crate) changed: bool,
    /// The document with the change, also when it was only tried.
    pub(crate) written: Arc<Written>,
    /// What the operator should know.
    pub(crate) warnings: Vec<String>,
}

#[cfg(test)]
mod tests {
    use squall_config::{Chain, Problem};

    use super::*;

    #[test]
    fn why_a_change_was_refused_is_told_with_all_that_is_wrong() {
        let problems = || Problems(vec![Problem::new("rules[0]", "is wrong"), Problem::new("rules[1]", "is, too")]);
        let told = |error: UpdateError| Chain(&error).to_string();
        let all = "rules[0]: is wrong; rules[1]: is, too";
        assert_eq!(told(UpdateError::Invalid(problems())), format!("the configuration would not be valid: {all}"));
        assert_eq!(told(UpdateError::Conflict(problems())), format!("the configuration cannot be applied now: {all}"));
        let full = std::io::Error::from_raw_os_error(28);
        let why = "the state directory cannot be written to: No space left on device (os error 28)";
        assert_eq!(told(UpdateError::NotKept(full)), why);
    }
}
