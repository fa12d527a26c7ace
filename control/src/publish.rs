//! The only writer of snapshots.
//!
//! Two locks. `writer` serialises changes of the document and may be held for long (validation, binding sockets).
//! `state` is held briefly, to read or to publish; the kill switch takes this one alone, so that it works while a slow
//! change is under way. A change that finds the switch moved under it compiles again.

mod lease;
mod reload;
mod restart;
mod stats;
mod switch;

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::SystemTime;

use serde_json::{Value, json};
use squall_config::model::Config;
use squall_config::spec::ConfigSpec;
use squall_config::{Chain, validate};
use squall_fault::snapshot::Snapshot;
use squall_fault::store::SnapshotStore;
use squall_fault::{Stamp, compile};
use tokio::sync::Notify;

use crate::actor::{Actor, Part};
use crate::audit::changes::Changes;
use crate::audit::{Audit, Note};
use crate::data_plane::DataPlane;
use crate::disk::Disk;
use crate::document::{Draft, Now, Written};
use crate::events::{EventKind, Events};
use crate::fleet::board::ControllerBoard;
use crate::lease::{Lease, NOBODY};
use crate::reload::Reload;
use crate::state::keeper::Keeper;
use crate::switch::Halt;
use crate::sync::{Mutex, MutexGuard};
use crate::write::{Outcome, UpdateError, Write};

pub use stats::PublisherStats;

/// What a [`Publisher`] needs.
pub(crate) struct PublisherOptions {
    /// Holds the snapshot of `written`.
    pub(crate) store: Arc<SnapshotStore>,
    /// The document that the process begins with.
    pub(crate) written: Arc<Written>,
    /// Whether it begins halted.
    pub(crate) halt: Option<Halt>,
    /// The generation of the snapshot.
    pub(crate) generation: u64,
    /// Keeps what outlives the process.
    pub(crate) keeper: Keeper,
    /// Where the configuration came from, to reload it.
    pub(crate) file: Option<PathBuf>,
    /// What flags and environment change about it.
    pub(crate) overlay: Option<Overlay>,
    /// Seed of every draw.
    pub(crate) seed: u64,
    /// Binds listeners.
    pub(crate) data_plane: Arc<dyn DataPlane>,
    /// Remembers each change.
    pub(crate) audit: Arc<Audit>,
    /// Says whether orders hold, and whether the controller halts.
    pub(crate) controller: Arc<ControllerBoard>,
}

/// Everything about one moment.
#[derive(Clone, Debug)]
pub(crate) struct View {
    /// The document.
    pub(crate) written: Arc<Written>,
    /// Its compiled form, with the counts of its rules.
    pub(crate) snapshot: Arc<Snapshot>,
    /// The generation of both.
    pub(crate) generation: u64,
    /// Whether all faults are halted.
    pub(crate) halt: Option<Halt>,
    /// The last reload of the file.
    pub(crate) last_reload: Option<Reload>,
}

pub(crate) struct State {
    pub(crate) written: Arc<Written>,
    /// The generation in force.
    pub(crate) generation: u64,
    /// Whether all faults are halted.
    pub(crate) halt: Option<Halt>,
    /// Reloads of the file that succeeded, with or without a change.
    pub(crate) reloads_ok: u64,
    /// Reloads of the file that failed.
    pub(crate) reloads_error: u64,
    pub(crate) last_reload: Option<Reload>,
    /// How often somebody ended a halt.
    pub(crate) resumes: u64,
    /// Who watches over the faults.
    pub(crate) lease: Option<Lease>,
    /// What was read last, to tell a changed file from a touched one.
    pub(crate) file_text: Option<String>,
}

/// What the guards go by.
pub(crate) struct Guarded {
    /// The configuration that they are in.
    pub(crate) config: Arc<Config>,
    /// How often somebody ended a halt: then each begins afresh.
    pub(crate) resumes: u64,
}

/// Changes a document that was read from the file.
pub type Overlay = Box<dyn Fn(&mut ConfigSpec) + Send + Sync>;

/// Wakes those that wait for a change.
#[derive(Default)]
pub(crate) struct Changed {
    /// A ttl was set or has gone.
    pub(crate) deadlines: Notify,
    /// The lease was taken, renewed or given back.
    pub(crate) lease: Notify,
    /// The data plane may have other files now.
    pub(crate) files: Notify,
}

/// The only writer of snapshots. See the module.
pub struct Publisher {
    store: Arc<SnapshotStore>,
    data_plane: Arc<dyn DataPlane>,
    pub(crate) audit: Arc<Audit>,
    pub(crate) controller: Arc<ControllerBoard>,
    pub(crate) keeper: Keeper,
    seed: u64,
    pub(crate) file: Option<PathBuf>,
    overlay: Option<Overlay>,
    /// What the process started with; some of it cannot change while it runs.
    initial: Config,
    writer: Mutex<()>,
    state: Mutex<State>,
    events: Events,
    pub(crate) changed: Changed,
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl Publisher {
    /// Takes over the store; nobody else may publish from now on. The ttl of the file's rules starts now.
    pub(crate) fn new(options: PublisherOptions) -> Self {
        let PublisherOptions { store, written, halt, generation, keeper, .. } = options;
        let first = store.load();
        debug_assert_eq!((first.generation, first.halted), (generation, halt.is_some()), "the snapshot of the start");
        let file_text = options.file.as_ref().and_then(|file| crate::reload::read(file).ok());
        let initial = Config::clone(&written.config);
        Self {
            store,
            data_plane: options.data_plane,
            audit: options.audit,
            controller: options.controller,
            keeper,
            seed: options.seed,
            file: options.file,
            overlay: options.overlay,
            initial,
            writer: Mutex::new(()),
            state: Mutex::new(State {
                written,
                generation,
                halt,
                reloads_ok: 0,
                reloads_error: 0,
                last_reload: None,
                resumes: 0,
                lease: None,
                file_text,
            }),
            events: Events::default(),
            changed: Changed::default(),
        }
    }

    /// Everything about this moment.
    pub(crate) fn view(&self) -> View {
        let state = self.state();
        View {
            written: Arc::clone(&state.written),
            snapshot: self.store.load(),
            generation: state.generation,
            halt: state.halt.clone(),
            last_reload: state.last_reload.clone(),
        }
    }

    /// The validated configuration in force.
    pub(crate) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.state().written.config)
    }

    /// What the guards go by.
    pub(crate) fn guarded(&self) -> Guarded {
        let state = self.state();
        Guarded { config: Arc::clone(&state.written.config), resumes: state.resumes }
    }

    /// The generation in force.
    pub(crate) fn generation(&self) -> u64 {
        self.state().generation
    }

    /// Seed of every draw.
    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// What happens from now on.
    pub(crate) fn events(&self) -> &Events {
        &self.events
    }

    /// Changes the document, all or nothing: precondition → `change` → validation of the whole → sockets → compile →
    /// write down → publish. A change that leaves the document as it is publishes nothing. One that only takes faults away
    /// waits for no disk until it is in force. Blocks; see the module for the locks.
    ///
    /// # Errors
    /// See [`UpdateError`]; nothing has changed then.
    pub(crate) fn update<T>(
        &self,
        write: &Write,
        change: impl FnOnce(&mut Draft) -> Result<T, UpdateError>,
    ) -> Result<Outcome<T>, UpdateError> {
        let outcome = self.bring_about(write, change)?;
        self.write_down();
        Ok(outcome)
    }

    /// [`Self::update`] without writing down what can be written down later.
    pub(crate) fn bring_about<T>(
        &self,
        write: &Write,
        change: impl FnOnce(&mut Draft) -> Result<T, UpdateError>,
    ) -> Result<Outcome<T>, UpdateError> {
        let _writer = lock(&self.writer);
        let (before, generation) = {
            let state = self.state();
            (Arc::clone(&state.written), state.generation)
        };
        write.precondition.check(generation)?;
        let mut draft = before.draft();
        let value = change(&mut draft)?;
        let with_ordered = draft.add_ordered(&before).map_err(UpdateError::Invalid)?;
        let changed = draft.document != before.document;
        let config = match (changed, with_ordered) {
            (true, Some(config)) => Arc::new(config),
            (true, None) => Arc::new(validate(&draft.document).map_err(UpdateError::Invalid)?),
            (false, _) => Arc::clone(&before.config),
        };
        let written = Arc::new(draft.finish(config, Now::read()));
        let warnings = self.restart_warnings(&written.config);
        let mut outcome = Outcome { value, generation, changed, written, warnings };
        if write.dry_run {
            return Ok(outcome);
        }
        if changed {
            let activate = self.prepare(&before.config, &outcome.written.config)?;
            // Of what a controller orders nothing outlives the process.
            let is_safe = write.is_ordered || outcome.written.only_takes_away_from(&before);
            if !is_safe {
                self.keeper.keep(&outcome.written, generation + 1).map_err(UpdateError::NotKept)?;
            }
            outcome.generation = self.commit(write, &outcome.written).inspect_err(|_| {
                // What was written down did not come about.
                self.keeper.note_rules(&before, generation);
                self.write_down();
            })?;
            if is_safe || outcome.generation != generation + 1 {
                self.keeper.note_rules(&outcome.written, outcome.generation);
            }
            activate();
            self.changed.files.notify_one();
            tracing::debug!(by = %write.by, generation = outcome.generation, "configuration changed"); // whoever changed it says more
        } else if outcome.written.metas != before.metas {
            self.keeper.keep(&outcome.written, generation).map_err(UpdateError::NotKept)?;
            self.state().written = Arc::clone(&outcome.written);
        } else if outcome.written.ordered != before.ordered {
            self.state().written = Arc::clone(&outcome.written);
        }
        self.changed.deadlines.notify_one();
        if changed || !write.is_routine {
            let changes = Changes::between(&before.document, &outcome.written.document);
            self.audit.note(write.done(outcome.generation).with(changes));
        }
        Ok(outcome)
    }

    /// Removes the rules whose time is over; gives their names. Waits for no disk: writing that down is for later, since a
    /// rule that has ended does not come back whatever was written down.
    pub(crate) fn expire(&self, now: Now) -> Vec<String> {
        let by = Actor::Squall(Part::Expiry);
        let write = Write { operation: "expire", is_routine: true, ..Write::by(by) };
        let changed = self.bring_about(&write, |draft| {
            // Read under the writer's lock: a rule that was put again meanwhile has a new end.
            let names = self.state().written.expired(now);
            draft.expire(&names);
            Ok(names)
        });
        match changed {
            Ok(outcome) if !outcome.value.is_empty() => {
                tracing::info!(rules = ?outcome.value, generation = outcome.generation, "rules expired");
                self.tell(EventKind::Expired, outcome.generation, json!({ "rules": outcome.value }));
                outcome.value
            }
            Ok(_) => Vec::new(),
            Err(error) => {
                // Fewer rules cannot make a valid document invalid; if they do, no fault may outlive its promise.
                tracing::error!(error = %Chain(&error), "rules could not be expired; all faults are halted");
                self.halt(write.by, "rules could not be expired");
                Vec::new()
            }
        }
    }

    /// Notes that the process begins or ends. Blocks.
    pub fn note_life(&self, by: &Actor, operation: &'static str, reason: &str) {
        self.audit.note(Note::done(by, operation, self.generation()).because(reason));
        self.audit.flush();
    }

    /// Tells subscribers; `data` is an object and gets `generation` and `at`.
    pub(crate) fn tell(&self, kind: EventKind, generation: u64, mut data: Value) {
        data["generation"] = json!(generation);
        data["at"] = json!(crate::text::rfc3339(SystemTime::now()));
        self.events.tell(kind, data);
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Whether anything outlives the process.
    pub(crate) fn outlives(&self) -> bool {
        self.keeper.directory().is_some()
    }

    /// Writes down what the kill switch and others have noted. Blocks.
    ///
    /// # Errors
    /// It is in force, but would not be after a restart.
    pub fn flush(&self) -> Result<(), UpdateError> {
        self.audit.flush();
        self.keeper.flush().map_err(UpdateError::NotKept)
    }

    /// Writes down what is in force already. Where that fails, nothing is there after a restart rather than what is gone.
    /// Blocks.
    pub(crate) fn write_down(&self) {
        self.audit.flush();
        if self.keeper.flush().is_err() {
            self.keeper.forget();
        }
    }

    /// Does one of these writes on another thread, where there is something to write to.
    pub(crate) fn write_later(self: &Arc<Self>, disk: &mut Disk, write: fn(&Self)) {
        if self.outlives() {
            let publisher = Arc::clone(self);
            disk.write(move || write(&publisher));
        }
    }

    /// Writes down how much time the rules have left, for a machine that starts again with a wrong clock. Blocks.
    pub(crate) fn keep_time(&self) {
        self.keeper.note_time();
        self.write_down();
    }

    fn prepare(&self, before: &Config, after: &Config) -> Result<Box<dyn FnOnce() + Send>, UpdateError> {
        if before.listeners == after.listeners && before.clusters == after.clusters {
            return Ok(Box::new(|| ()));
        }
        self.data_plane.prepare(after).map_err(UpdateError::Conflict)
    }

    /// Compiles and publishes; gives the new generation.
    fn commit(&self, write: &Write, written: &Arc<Written>) -> Result<u64, UpdateError> {
        loop {
            let config = Arc::clone(&written.config);
            let (before, is_halted, lacks_lease) = {
                let state = self.state();
                (state.generation, state.halt.is_some(), state.halt.is_none() && state.lacks_lease(&config))
            };
            write.precondition.check(before)?;
            let next = before + 1;
            let stamp = Stamp { generation: next, halted: is_halted || lacks_lease, seed: self.seed };
            let snapshot = Arc::new(compile(config, Some(&self.store.load()), stamp));
            let mut state = self.state();
            if state.generation != before {
                continue; // The kill switch was moved meanwhile; this snapshot does not know.
            }
            state.written = Arc::clone(written);
            state.generation = next;
            if lacks_lease {
                state.halt = Some(Halt::now(NOBODY.to_owned()));
            }
            self.store.publish(snapshot);
            drop(state);
            if lacks_lease {
                self.note_halt_without_lease(next);
            }
            return Ok(next);
        }
    }
}

/// A panic elsewhere never leaves half a change behind these locks: each is written in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(crate) mod tests;

#[cfg(all(test, shuttle))]
mod orders_tests;
