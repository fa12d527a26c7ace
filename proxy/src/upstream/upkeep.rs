//! What is done for endpoints beside the traffic, once for the process and not once for each worker: names are resolved
//! again when their time is over, and health checks are made. On a thread of its own, which nothing on a request's path
//! waits for, and which there is only when a cluster needs it.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::mpsc;

use super::check::check_regularly;
use super::resolve::resolve_regularly;
use super::shared::SharedCluster;

/// What the thread is to do for as long as the cluster lives.
#[derive(Debug)]
enum Job {
    /// Resolve the name of this written endpoint.
    Resolve(Weak<SharedCluster>, usize),
    /// Check the endpoints.
    Check(Weak<SharedCluster>),
}

/// The way to the thread; it ends when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Upkeep {
    /// Unbounded, because the sender must never wait; it carries a few jobs for each change of clusters.
    jobs: Mutex<Option<mpsc::UnboundedSender<Job>>>,
}

impl Upkeep {
    /// Does what this cluster needs from now on.
    pub(crate) fn begin(&self, shared: &Arc<SharedCluster>) {
        for place in shared.names() {
            self.take(Job::Resolve(Arc::downgrade(shared), place));
        }
        if shared.cluster.health_check.is_some() {
            self.take(Job::Check(Arc::downgrade(shared)));
        }
    }

    fn take(&self, job: Job) {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        if jobs.is_none() {
            *jobs = spawn()
                .map_err(
                    |error| tracing::error!(%error, "the thread that resolves names and checks health cannot start"),
                )
                .ok();
        }
        if let Some(jobs) = &*jobs {
            // Fails only when the thread could not start its runtime, and said so.
            let _ended = jobs.send(job);
        }
    }
}

fn spawn() -> std::io::Result<mpsc::UnboundedSender<Job>> {
    let (jobs, mut queue) = mpsc::unbounded_channel();
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    std::thread::Builder::new().name("upkeep".to_owned()).spawn(move || {
        match runtime.enable_all().build_local(tokio::runtime::LocalOptions::default()) {
            Ok(runtime) => runtime.block_on(async {
                while let Some(job) = queue.recv().await {
                    match job {
                        Job::Resolve(cluster, place) => tokio::task::spawn_local(resolve_regularly(cluster, place)),
                        Job::Check(cluster) => tokio::task::spawn_local(check_regularly(cluster)),
                    };
                }
            }),
            Err(error) => tracing::error!(%error, "the thread that resolves names and checks health cannot start"),
        }
    })?;
    Ok(jobs)
}
