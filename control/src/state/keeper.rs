//! Writes down what is to outlive the process, before anybody is told that it was done.
//!
//! Two locks: `disk` is held while a file is written; `wanted` is held briefly, so that the kill switch never waits for a
//! disk.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::clock::{Moment, millis_of};
use super::saved::SavedHalt;
use crate::directory::Directory;
use crate::document::{Now, Written};
use crate::switch::Halt;

/// The rules and the kill switch.
pub(super) const STATE: &str = "state.json";

/// Writes down what is to outlive the process. Without a directory it does nothing, successfully.
#[derive(Debug, Default)]
pub(crate) struct Keeper {
    directory: Option<Arc<Directory>>,
    disk: Mutex<()>,
    wanted: Mutex<Wanted>,
}

/// What the file should say.
#[derive(Debug, Default)]
struct Wanted {
    written: Option<Arc<Written>>,
    halt: Option<Halt>,
    lease: Option<String>,
    generation: u64,
    /// The file says something else.
    is_dirty: bool,
    /// What went wrong last; `None` when the file says what it should.
    error: Option<String>,
}

impl Keeper {
    /// Writes into this directory.
    pub(super) fn new(directory: Arc<Directory>) -> Self {
        Self { directory: Some(directory), ..Self::default() }
    }

    /// Where it writes.
    pub(crate) fn directory(&self) -> Option<PathBuf> {
        self.directory.as_ref().map(|directory| directory.path().to_owned())
    }

    /// What went wrong last.
    pub(crate) fn error(&self) -> Option<String> {
        self.wanted().error.clone()
    }

    /// Writes down these rules. Blocks.
    ///
    /// # Errors
    /// What the system says; then the file is as it was.
    pub(crate) fn keep(&self, written: &Arc<Written>, generation: u64) -> io::Result<()> {
        let Some(directory) = &self.directory else { return Ok(()) };
        let disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        let before = {
            let mut wanted = self.wanted();
            wanted.generation = wanted.generation.max(generation);
            wanted.written.replace(Arc::clone(written))
        };
        let done = self.write(directory);
        if done.is_err() {
            self.wanted().written = before;
        }
        drop(disk);
        done
    }

    /// Notes rules that are in force; [`Self::flush`] writes them down. Does not wait.
    pub(crate) fn note_rules(&self, written: &Arc<Written>, generation: u64) {
        let mut wanted = self.wanted();
        wanted.written = Some(Arc::clone(written));
        wanted.generation = wanted.generation.max(generation);
        wanted.is_dirty = true;
    }

    /// Notes that time has passed; [`Self::flush`] writes down how much is left of each rule. Does not wait.
    pub(crate) fn note_time(&self) {
        self.wanted().is_dirty = true;
    }

    /// Notes where the kill switch stands; [`Self::flush`] writes it down. Does not wait.
    pub(crate) fn note_switch(&self, halt: Option<Halt>, generation: u64) {
        let mut wanted = self.wanted();
        wanted.halt = halt;
        wanted.generation = wanted.generation.max(generation);
        wanted.is_dirty = true;
    }

    /// Notes who holds the lease; [`Self::flush`] writes it down. Does not wait.
    pub(crate) fn note_lease(&self, holder: Option<String>) {
        let mut wanted = self.wanted();
        wanted.lease = holder;
        wanted.is_dirty = true;
    }

    /// Writes down what was noted. Blocks.
    ///
    /// # Errors
    /// What the system says; then it is written with what comes next.
    pub(crate) fn flush(&self) -> io::Result<()> {
        let Some(directory) = &self.directory else { return Ok(()) };
        let _disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.wanted().is_dirty {
            return Ok(());
        }
        self.write(directory)
    }

    /// What is in force cannot be written down: rather nothing than what is gone. Blocks.
    pub(crate) fn forget(&self) {
        let Some(directory) = &self.directory else { return };
        let _disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = directory.remove(STATE) {
            let path = directory.file(STATE);
            tracing::error!(%error, path = %path.display(), "an outdated state can neither be replaced nor removed; remove it by hand");
        }
        self.wanted().is_dirty = true;
    }

    /// With `disk` held.
    fn write(&self, directory: &Directory) -> io::Result<()> {
        let (written, halt, lease, generation) = {
            let mut wanted = self.wanted();
            wanted.is_dirty = false;
            (wanted.written.clone(), wanted.halt.clone(), wanted.lease.clone(), wanted.generation)
        };
        let Some(written) = written else { return Ok(()) };
        let mut saved = written.to_saved(Moment::read(), Now::read());
        (saved.generation, saved.lease) = (generation, lease);
        saved.halt = halt.map(|Halt { reason, since, by_controller }| SavedHalt {
            reason,
            since_ms: millis_of(since),
            by_controller,
        });
        let done = directory.write(STATE, saved.to_text().as_bytes());
        let mut wanted = self.wanted();
        wanted.error = done.as_ref().err().map(|error| format!("{}: {error}", directory.file(STATE).display()));
        if let Err(error) = &done {
            wanted.is_dirty = true;
            tracing::error!(%error, directory = %directory.path().display(), "the state cannot be written down");
        }
        done
    }

    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
