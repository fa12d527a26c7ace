//! Bounds how much traffic faults hold or alter at once.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use crate::snapshot::RuleState;

/// A cap on active faults, shared by all workers. Clones share the cap.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    max: AtomicUsize,
    active: AtomicUsize,
}

impl Budget {
    /// A budget of `max` permits at once (`limits.active_faults_max`).
    pub fn new(max: usize) -> Self {
        Self(Arc::new(Counts { max: AtomicUsize::new(max), active: AtomicUsize::new(0) }))
    }

    /// Changes the cap; permits that are out stay valid even when they are more than it.
    pub fn set_max(&self, max: usize) {
        self.0.max.store(max, Relaxed);
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
#[allow(clippy::unwrap_used, reason = "tests")]
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
