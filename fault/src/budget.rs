//! Bounds how much traffic faults hold or alter: at once, and of all that comes along.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use squall_config::model::TrafficShare;

use crate::share::{Used, Window};
use crate::snapshot::RuleState;

/// A cap on active faults, shared by all workers. Clones share the cap.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    max: AtomicUsize,
    active: AtomicUsize,
    /// Whether there is a window; looked at without the lock.
    is_shared: AtomicBool,
    share: Mutex<Option<Share>>,
}

/// A window, and the moment that its times begin with.
#[derive(Debug)]
struct Share {
    window: Window,
    began: Instant,
}

impl Budget {
    /// A budget of `max` permits at once (`limits.active_faults_max`).
    pub fn new(max: usize) -> Self {
        Self(Arc::new(Counts {
            max: AtomicUsize::new(max),
            active: AtomicUsize::new(0),
            is_shared: AtomicBool::new(false),
            share: Mutex::default(),
        }))
    }

    /// Changes the cap; permits that are out stay valid even when they are more than it.
    pub fn set_max(&self, max: usize) {
        self.0.max.store(max, Relaxed);
    }

    /// Changes the share of exchanges that may be faulted (`limits.traffic_share`). What was counted stays, unless the window
    /// is another one: that begins anew.
    pub fn set_share(&self, share: Option<TrafficShare>, now: Instant) {
        let mut current = self.share();
        *current = match (current.take(), share) {
            (_, None) => None,
            (Some(mut old), Some(share)) if old.window.share().window == share.window => {
                old.window.set_share(share);
                Some(old)
            }
            (_, Some(share)) => Some(Share { window: Window::new(share), began: now }),
        };
        self.0.is_shared.store(current.is_some(), Relaxed);
    }

    /// Counts exchanges (requests that ended, connections that began) of which is known that this was after `since`.
    pub fn see(&self, n: u64, since: Instant) {
        if n > 0 {
            self.with_window(since, |window, since| window.see(n, since));
        }
    }

    /// Whether an exchange may be faulted now; then it counts as such. To be asked once for each exchange, however many of
    /// its faults there are.
    #[must_use]
    pub fn admit(&self, now: Instant) -> bool {
        self.with_window(now, Window::admit).unwrap_or(true)
    }

    /// What of the share is used now; `None` when there is no such bound.
    pub fn used(&self, now: Instant) -> Option<Used> {
        self.with_window(now, Window::used)
    }

    fn with_window<T>(&self, at: Instant, look: impl FnOnce(&mut Window, Duration) -> T) -> Option<T> {
        if !self.0.is_shared.load(Relaxed) {
            return None;
        }
        let mut share = self.share();
        let Share { window, began } = share.as_mut()?;
        Some(look(window, at.saturating_duration_since(*began)))
    }

    fn share(&self) -> MutexGuard<'_, Option<Share>> {
        self.0.share.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Permits that are out now.
    pub fn active(&self) -> usize {
        self.0.active.load(Relaxed)
    }

    /// A permit for one rule on one exchange or connection; `None` when the budget is used up, and then the traffic
    /// passes and the caller counts `skipped_budget`.
    pub fn reserve(&self, state: &Arc<RuleState>) -> Option<Permit> {
        let max = self.0.max.load(Relaxed);
        let more = |active: usize| (active < max).then_some(active + 1);
        // Relaxed: the count guards no other memory.
        self.0.active.fetch_update(Relaxed, Relaxed, more).ok()?;
        state.active.fetch_add(1, Relaxed);
        Some(Permit { budget: self.clone(), state: Arc::clone(state) })
    }
}

/// The right to hold or alter one exchange or connection for one rule; given back on drop.
#[must_use = "the permit is given back when it is dropped: keep it for the life of the exchange"]
#[derive(Debug)]
pub struct Permit {
    budget: Budget,
    state: Arc<RuleState>,
}

impl Permit {
    /// The rule that the permit is for.
    pub fn state(&self) -> &Arc<RuleState> {
        &self.state
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let before = self.budget.0.active.fetch_sub(1, Relaxed);
        debug_assert!(before > 0, "a permit is given back once");
        self.state.active.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_are_bounded_and_given_back() {
        let (budget, state) = (Budget::new(2), Arc::<RuleState>::default());
        let first = budget.reserve(&state).unwrap();
        let second = budget.clone().reserve(&state).unwrap();
        assert!(budget.reserve(&state).is_none());
        assert_eq!((budget.active(), state.active.load(Relaxed)), (2, 2));
        assert!(Arc::ptr_eq(first.state(), &state));
        drop(first);
        assert_eq!((budget.active(), state.active.load(Relaxed)), (1, 1));
        budget.set_max(1);
        assert!(budget.reserve(&state).is_none());
        drop(second);
        assert!(budget.reserve(&state).is_some());
        assert_eq!((budget.active(), state.active.load(Relaxed)), (0, 0));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any moment will do")]
    fn the_share_can_be_changed_and_taken_away() {
        let (budget, now) = (Budget::new(1), Instant::now());
        let share = |percent: u32, seconds| {
            let max = squall_config::units::Percentage::from_ppm(percent * 10_000).unwrap();
            Some(TrafficShare { max, window: Duration::from_secs(seconds) })
        };
        let admitted = || (0..100).filter(|_| budget.admit(now)).count();
        assert_eq!((admitted(), budget.used(now)), (100, None), "without a bound nothing is counted");
        budget.set_share(share(10, 60), now);
        budget.see(50, now);
        assert_eq!((admitted(), budget.used(now)), (5, Some(Used { seen: 50, faulted: 5 })));
        budget.set_share(share(20, 60), now);
        assert_eq!(admitted(), 5);
        budget.set_share(share(20, 30), now);
        assert_eq!((admitted(), budget.used(now)), (1, Some(Used { seen: 0, faulted: 1 })));
        budget.set_share(None, now);
        assert_eq!(admitted(), 100);
    }

    #[test]
    fn threads_never_exceed_the_cap() {
        let (budget, state) = (Budget::new(3), Arc::<RuleState>::default());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..5_000 {
                        let permit = budget.reserve(&state);
                        assert!(budget.active() <= 3);
                        drop(permit);
                    }
                });
            }
        });
        assert_eq!((budget.active(), state.active.load(Relaxed)), (0, 0));
    }
}
