//! The fleet while it lives: what changes it, and who waits for its plan.
//!
//! Whoever changes the fleet says so; one task makes the plan anew, once for all changes that came meanwhile, and wakes those
//! that wait.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use squall_orders::Report;
use tokio::sync::{Notify, watch};

use crate::fleet::{Fleet, Plan, Pod, Settings};

/// How often it is looked for sidecars that have fallen silent. They have ended by themselves what they were ordered.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The fleet and its plan.
#[derive(Debug)]
pub(crate) struct Dispatch {
    /// What holds for the whole fleet.
    pub(crate) settings: Settings,
    fleet: Mutex<Fleet>,
    changed: Notify,
    plans: watch::Sender<Arc<Plan>>,
    /// Grows whenever a sidecar says something that the status of an object may have to tell soon.
    news: watch::Sender<u64>,
}

impl Dispatch {
    /// Of nobody yet.
    pub(crate) fn new(settings: Settings) -> Self {
        let fleet = Mutex::new(Fleet::new(settings));
        Self {
            settings,
            fleet,
            changed: Notify::new(),
            plans: watch::Sender::default(),
            news: watch::Sender::default(),
        }
    }

    /// Looks at the fleet.
    pub(crate) fn fleet(&self) -> MutexGuard<'_, Fleet> {
        self.fleet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the fleet. `change` tells whether the plan can be another one now.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Fleet) -> bool) {
        let is_changed = change(&mut self.fleet());
        if is_changed {
            self.changed.notify_one();
        }
    }

    /// A sidecar says how it is.
    pub(crate) fn report(&self, pod: Pod, report: Report) {
        let mut is_news = false;
        self.change(|fleet| {
            is_news = fleet.is_news(&pod.uid, &report);
            fleet.report(pod, report, Instant::now())
        });
        if is_news {
            self.news.send_modify(|n| *n = n.wrapping_add(1));
        }
    }

    /// The plan, and its changes.
    pub(crate) fn plans(&self) -> watch::Receiver<Arc<Plan>> {
        self.plans.subscribe()
    }

    /// The plan as it is now.
    pub(crate) fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.plans.borrow())
    }

    /// Tells when sidecars have something new to say.
    pub(crate) fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// Makes plans for as long as it is polled.
    pub(crate) async fn run(&self) {
        loop {
            let plan = {
                let mut fleet = self.fleet();
                fleet.forget_silent(Instant::now());
                fleet.plan(Timestamp::now())
            };
            let sleep = plan.until.map_or(LOOK_EVERY, until).min(LOOK_EVERY);
            let is_another = self.plans.send_if_modified(|before| {
                let is_another = **before != plan;
                if is_another {
                    *before = Arc::new(plan);
                }
                is_another
            });
            if is_another {
                self.news.send_modify(|n| *n = n.wrapping_add(1));
            }
            tokio::select! {
                () = self.changed.notified() => {}
                () = tokio::time::sleep(sleep) => {}
            }
        }
    }
}

/// How long it is until then; a moment more, so that it is not a moment less.
fn until(then: Timestamp) -> Duration {
    let left = then.duration_since(Timestamp::now());
    Duration::try_from(left).unwrap_or_default() + Duration::from_millis(1)
}
