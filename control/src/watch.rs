//! Watches the configuration file.
//!
//! The directory is watched, not the file: editors replace files, and a mounted ConfigMap is a symlink into `..data`,
//! itself a symlink that is swapped. What counts is whether the text that one reads is another one.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

use crate::publish::Publisher;

/// Network file systems and exhausted watches tell nothing.
const POLL_EVERY: Duration = Duration::from_secs(10);

/// An editor writes in several steps; the text is read when they are over.
const SETTLE: Duration = Duration::from_millis(50);

/// Reloads the file whenever its text changes; never returns.
pub(crate) async fn run(publisher: Arc<Publisher>) {
    let Some(file) = publisher.file.clone() else { return std::future::pending().await };
    let touched = Arc::new(Notify::new());
    let watcher = watch(&file, Arc::clone(&touched));
    if let Err(error) = &watcher {
        tracing::warn!(%error, file = %file.display(), every = ?POLL_EVERY, "cannot watch the configuration file; polling");
    }
    // The file may have changed between the start and the watch.
    touched.notify_one();
    loop {
        tokio::select! {
            () = touched.notified() => tokio::time::sleep(SETTLE).await,
            () = tokio::time::sleep(POLL_EVERY) => {}
        }
        let reader = Arc::clone(&publisher);
        if let Err(error) = tokio::task::spawn_blocking(move || reader.reload_if_changed()).await {
            tracing::error!(%error, "reloading the configuration file failed");
        }
    }
}

fn watch(file: &Path, touched: Arc<Notify>) -> notify::Result<RecommendedWatcher> {
    let directory = match file.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => Path::new("/"),
    };
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading the file is an access, too; waking up for it would never end.
        if !event.is_ok_and(|event| event.kind.is_access()) {
            touched.notify_one();
        }
    })?;
    watcher.watch(directory, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}
