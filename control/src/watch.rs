//! Watches the configuration file, the token file, and the files that the data plane was made from.
//!
//! Directories are watched, not files: editors replace files, and a mounted ConfigMap or Secret is a symlink into
//! `..data`, itself a symlink that is swapped. What counts is whether the text that one reads is another one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

use crate::app::App;

/// Network file systems and exhausted watches tell nothing.
const POLL_EVERY: Duration = Duration::from_secs(10);

/// An editor writes in several steps; the text is read when they are over.
const SETTLE: Duration = Duration::from_millis(50);

/// Reloads the configuration file whenever its text changes; never returns.
pub(crate) async fn configuration(app: Arc<App>) {
    let Some(file) = app.publisher.file.clone() else { return std::future::pending().await };
    whenever(file, "the configuration file", move || drop(app.publisher.reload_if_changed())).await;
}

/// Reads the token file again whenever something happens to it; never returns.
pub(crate) async fn tokens(app: Arc<App>) {
    let Some(file) = app.access.file().map(Path::to_owned) else { return std::future::pending().await };
    whenever(file, "the token file", move || app.access.reload()).await;
}

/// Does this work whenever something happens to the file, which is called so in the log; never returns.
async fn whenever(file: PathBuf, called: &str, work: impl Fn() + Send + Sync + 'static) {
    let work = Arc::new(work);
    let mut directories = Directories::new();
    directories.follow(&[file]);
    // The file may have changed between the start and the watch.
    directories.touched.notify_one();
    loop {
        directories.wait().await;
        let work = Arc::clone(&work);
        if let Err(error) = tokio::task::spawn_blocking(move || work()).await {
            tracing::error!(%error, file = called, "a file that changed could not be read again");
        }
    }
}

/// Has the data plane look at its files whenever something happens to them; never returns.
pub(crate) async fn files_of_data_plane(app: Arc<App>) {
    let mut directories = Directories::new();
    loop {
        directories.follow(&app.data_plane.files());
        tokio::select! {
            () = directories.wait() => {}
            () = app.publisher.changed.files.notified() => continue,
        }
        let data_plane = Arc::clone(&app.data_plane);
        if let Err(error) = tokio::task::spawn_blocking(move || data_plane.reload_files()).await {
            tracing::error!(%error, "reloading certificates and keys failed");
        }
    }
}

/// The directories of some files, under watch.
struct Directories {
    watcher: Option<RecommendedWatcher>,
    followed: BTreeSet<PathBuf>,
    touched: Arc<Notify>,
}

impl Directories {
    fn new() -> Self {
        let touched = Arc::new(Notify::new());
        let teller = Arc::clone(&touched);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading a file is an access, too; waking up for it would never end.
            if !event.is_ok_and(|event| event.kind.is_access()) {
                teller.notify_one();
            }
        });
        let watcher =
            watcher.map_err(|error| tracing::warn!(%error, every = ?POLL_EVERY, "cannot watch files; polling"));
        Self { watcher: watcher.ok(), followed: BTreeSet::new(), touched }
    }

    /// Watches the directories of these files, and no others.
    fn follow(&mut self, files: &[PathBuf]) {
        let Some(watcher) = &mut self.watcher else { return };
        let wanted: BTreeSet<PathBuf> = files.iter().map(|file| directory(file).to_owned()).collect();
        for gone in self.followed.difference(&wanted) {
            // Fails when the directory itself has gone.
            let _gone = watcher.unwatch(gone);
        }
        for new in wanted.difference(&self.followed) {
            if let Err(error) = watcher.watch(new, RecursiveMode::NonRecursive) {
                tracing::warn!(%error, directory = %new.display(), every = ?POLL_EVERY, "cannot watch; polling");
            }
        }
        self.followed = wanted;
    }

    /// Returns when something may have happened.
    async fn wait(&self) {
        tokio::select! {
            () = self.touched.notified() => tokio::time::sleep(SETTLE).await,
            () = tokio::time::sleep(POLL_EVERY) => {}
        }
    }
}

fn directory(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => Path::new("/"),
    }
}
