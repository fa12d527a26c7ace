//! What outlives the process: rules made through the API with their ends, the kill switch, the audit.
//!
//! A [`Directory`] of this process alone; in it a file of [`saved`] rules, which the [`keeper`] replaces as a whole before
//! anybody is told that a change was made, and the [`Journal`] of the audit. A rule that comes back ends when the first of
//! three [`clock`]s says so.

pub(crate) mod clock;
pub(crate) mod keeper;
pub(crate) mod saved;
pub(crate) mod status;

use std::path::Path;
use std::sync::Arc;

use squall_config::Problem;
use squall_config::model::Config;
use squall_config::spec::ConfigSpec;

use crate::audit::Audit;
use crate::audit::journal::Journal;
use crate::directory::{Damaged, Directory};
use crate::document::{Now, Unfit, Written};
use crate::experiment::archive::Archive;
use crate::experiment::board::ExperimentBoard;
use crate::lease;
use crate::switch::Halt;
use clock::{Moment, time_of};
use keeper::{Keeper, STATE};
use saved::{Saved, SavedHalt};

/// What a process begins with: the configuration file alone, or also what an earlier process left.
#[derive(Debug)]
pub struct Start {
    pub(crate) written: Arc<Written>,
    pub(crate) halt: Option<Halt>,
    pub(crate) generation: u64,
    pub(crate) keeper: Keeper,
    pub(crate) audit: Audit,
    pub(crate) recovery: Recovery,
    pub(crate) experiments: ExperimentBoard,
}

/// What came of what an earlier process left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recovery {
    /// Rules made through the API that are in force again.
    pub(crate) kept: Vec<String>,
    /// Rules whose time ended meanwhile.
    pub(crate) expired: Vec<String>,
    /// Rules that do not fit to the file any more.
    pub(crate) unfit: Vec<Unfit>,
    /// Files that were damaged.
    pub(crate) damaged: Vec<Damaged>,
}

impl Start {
    /// With a configuration alone; nothing outlives the process.
    pub fn fresh(document: ConfigSpec, config: Config) -> Self {
        let halt = config.lease_ttl.map(|_| Halt::now(lease::NOBODY.to_owned()));
        Self {
            written: Arc::new(Written::first(document, config, Now::read())),
            halt,
            generation: 1,
            keeper: Keeper::default(),
            audit: Audit::default(),
            recovery: Recovery::default(),
            experiments: ExperimentBoard::default(),
        }
    }

    /// With a configuration and, when it names one, what is in its state directory. A damaged file there is set aside, and
    /// Squall starts without it. Blocks.
    ///
    /// # Errors
    /// The directory cannot be had: it belongs to another process, or nothing can be written to it.
    pub fn load(document: ConfigSpec, config: Config) -> Result<Self, Problem> {
        let Some(path) = config.state_dir.clone() else {
            let start = Self::fresh(document, config);
            Recovery::default().tell(start.halt.as_ref());
            return Ok(start);
        };
        Self::in_directory(&path, document, config).map_err(|why| {
            Problem::new("state_dir", why)
                .with_hint("name a directory that this process may write to, and no other uses")
        })
    }

    fn in_directory(path: &Path, document: ConfigSpec, config: Config) -> Result<Self, String> {
        let directory = Arc::new(Directory::take(path)?);
        let unwritable = |error: std::io::Error| format!("{}: {error}", path.display());
        let mut recovery = Recovery::default();
        let (journal, tail) = Journal::open(&directory, Audit::is_entry).map_err(unwritable)?;
        recovery.damaged.extend(tail.damaged);
        let mut start = Self::fresh(document.clone(), config.clone());
        if let Some(saved) = read(&directory, &mut recovery).map_err(unwritable)? {
            start.generation = saved.generation + 1;
            let of_before = saved.halt.clone().map(|SavedHalt { reason, since_ms, by_controller }| Halt {
                reason,
                since: time_of(since_ms),
                by_controller,
            });
            start.halt = of_before.or(start.halt);
            let saved_lease = saved.lease.clone();
            let restored = Written::restored(saved, document, config, &Moment::read(), Now::read());
            start.written = Arc::new(restored.written);
            let was_held = saved_lease.map(|holder| Halt::now(lease::lost_with_process(&holder)));
            start.halt = start.halt.or(was_held);
            (recovery.kept, recovery.expired, recovery.unfit) = (restored.kept, restored.expired, restored.unfit);
        }
        start.experiments = ExperimentBoard::load(Archive::new(Arc::clone(&directory))).map_err(unwritable)?;
        recovery.damaged.extend(start.experiments.damaged.iter().cloned());
        recovery.tell(start.halt.as_ref());
        start.keeper = Keeper::new(directory);
        start.keeper.note_switch(start.halt.clone(), start.generation);
        start.keeper.keep(&start.written, start.generation).map_err(unwritable)?;
        start.audit = Audit::with_journal(journal, tail.lines);
        start.recovery = recovery;
        Ok(start)
    }

    /// The configuration in force.
    pub fn config(&self) -> &Arc<Config> {
        &self.written.config
    }

    /// Its generation.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether all faults are halted.
    pub fn is_halted(&self) -> bool {
        self.halt.is_some()
    }
}

/// What is saved; a file that is not as it was written is set aside.
fn read(directory: &Directory, recovery: &mut Recovery) -> std::io::Result<Option<Saved>> {
    let Some(content) = directory.read(STATE)? else { return Ok(None) };
    match Saved::parse(&content) {
        Ok(saved) => Ok(Some(saved)),
        Err(why) => {
            recovery.damaged.push(directory.set_aside(STATE, why)?);
            Ok(None)
        }
    }
}

impl Recovery {
    fn tell(&self, halt: Option<&Halt>) {
        for Damaged { file, why } in &self.damaged {
            tracing::error!(file = %file.display(), why, "a file of the state directory is damaged; starting without it");
        }
        for Unfit { rule, why } in &self.unfit {
            tracing::error!(rule, why, "a rule made through the API does not fit the configuration file; it is gone");
        }
        if let Some(halt) = halt {
            tracing::warn!(reason = halt.reason, "halted from the start: no faults until `squall resume`");
        }
        if !self.kept.is_empty() || !self.expired.is_empty() {
            tracing::info!(kept = ?self.kept, expired = ?self.expired, "rules from before the start");
        }
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
