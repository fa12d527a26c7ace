//! What the parts of the control side share: the writer of snapshots, who may call, what is remembered of changes, and how
//! guards, experiments and the controller are. Each part takes of it what it needs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use squall_fault::store::SnapshotStore;
use tokio::sync::watch;

use crate::access::{Access, Refused};
use crate::audit::{Audit, Note};
use crate::data_plane::DataPlane;
use crate::document::Now;
use crate::error::ApiError;
use crate::experiment::board::ExperimentBoard;
use crate::fleet::board::{ControllerBoard, ControllerStats};
use crate::guards::board::{GuardBoard, GuardStats};
use crate::publish::{Overlay, Publisher, PublisherOptions, PublisherStats};
use crate::state::{Recovery, Start};

/// What an [`App`] needs.
pub struct AppOptions {
    /// Holds the snapshot of `start`, published first by whoever made it.
    pub store: Arc<SnapshotStore>,
    /// What the process begins with.
    pub start: Start,
    /// Where the configuration came from, to reload it.
    pub file: Option<PathBuf>,
    /// What flags and environment change about every document that is read from the file.
    pub overlay: Option<Overlay>,
    /// Seed of every draw, for the life of the process.
    pub seed: u64,
    /// Binds listeners, tells their addresses.
    pub data_plane: Arc<dyn DataPlane>,
    /// Who may call the control API.
    pub access: Access,
}

impl std::fmt::Debug for AppOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppOptions").field("file", &self.file).finish_non_exhaustive()
    }
}

/// What the parts of the control side share.
pub struct App {
    pub(crate) publisher: Arc<Publisher>,
    pub(crate) data_plane: Arc<dyn DataPlane>,
    /// Who may call the control API.
    pub(crate) access: Access,
    /// Who changed what.
    pub(crate) audit: Arc<Audit>,
    /// How the guards are.
    pub(crate) guards: GuardBoard,
    /// The experiments that there are.
    pub(crate) experiments: ExperimentBoard,
    /// How it stands with the controller.
    pub(crate) controller: Arc<ControllerBoard>,
    /// What came of what an earlier process left.
    pub(crate) recovery: Recovery,
    pub(crate) started: Instant,
    /// Turns true when the control side ends; endless answers end with it.
    pub(crate) shutdown: watch::Sender<bool>,
}

/// Numbers for the metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ControlStats {
    /// What is in force.
    pub publisher: PublisherStats,
    /// How it stands with the controller; `None` where there is none.
    pub controller: Option<ControllerStats>,
    /// Calls that were turned away at the door, in the order of [`Refused::ALL`].
    pub refused: [u64; Refused::ALL.len()],
    /// Changes of the token file that were taken into use.
    pub token_reloads_ok: u64,
    /// Changes of the token file that could not be.
    pub token_reloads_error: u64,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("publisher", &self.publisher).finish_non_exhaustive()
    }
}

impl App {
    /// Takes over the store; nobody else may publish from now on. The ttl of the file's rules starts now.
    pub fn new(options: AppOptions) -> Arc<Self> {
        let AppOptions { store, start, file, overlay, seed, data_plane, access } = options;
        let Start { written, halt, generation, keeper, audit, recovery, experiments } = start;
        let (audit, controller) = (Arc::new(audit), Arc::default());
        let publisher = Publisher::new(PublisherOptions {
            store,
            written,
            halt,
            generation,
            keeper,
            file,
            overlay,
            seed,
            data_plane: Arc::clone(&data_plane),
            audit: Arc::clone(&audit),
            controller: Arc::clone(&controller),
        });
        Arc::new(Self {
            publisher: Arc::new(publisher),
            data_plane,
            access,
            audit,
            guards: GuardBoard::default(),
            experiments,
            controller,
            recovery,
            started: Instant::now(),
            shutdown: watch::Sender::new(false),
        })
    }

    /// The only writer of snapshots.
    pub fn publisher(&self) -> &Arc<Publisher> {
        &self.publisher
    }

    /// Numbers for the metrics.
    pub fn stats(&self) -> ControlStats {
        let token_reloads = self.access.reloads();
        ControlStats {
            publisher: self.publisher.stats(),
            controller: self.controller.stats(Now::read()),
            refused: self.access.refused(),
            token_reloads_ok: token_reloads.ok,
            token_reloads_error: token_reloads.error,
        }
    }

    /// The guards in numbers, in the order of the configuration.
    pub fn guards(&self) -> Vec<GuardStats> {
        self.guards.stats()
    }

    /// Reads again what the process was made from besides the configuration: tokens, certificates. What cannot be used
    /// changes nothing, and is reported. Blocks.
    pub fn reload_files(&self) {
        self.access.reload();
        self.data_plane.reload_files();
    }

    /// Notes that somebody was refused. The answer does not wait until that is written down.
    pub(crate) fn note(&self, note: Note) {
        self.audit.note(note);
        if self.publisher.outlives() {
            let audit = Arc::clone(&self.audit);
            drop(tokio::task::spawn_blocking(move || audit.flush()));
        }
    }

    /// Runs something that may take long on another thread, so that this one stays free for the kill switch.
    ///
    /// # Errors
    /// 500 when it panicked.
    pub(crate) async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let app = Arc::clone(self);
        tokio::task::spawn_blocking(move || work(&app)).await.map_err(|error| {
            tracing::error!(%error, "a call of the control API panicked");
            ApiError::internal("the call failed inside Squall")
        })
    }
}
