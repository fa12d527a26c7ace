//! The decided faults of one exchange or connection.

use std::time::Duration;

/// Index of a rule in its snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RuleIndex(pub u16);

/// One decided fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The rule that fired.
    pub rule: RuleIndex,
    /// Index into the rule's faults.
    pub fault: u8,
    /// For a delay: the drawn latency in microseconds (at most 71 minutes), else 0.
    pub delay_us: u32,
}

impl Step {
    /// The drawn latency.
    pub fn delay(&self) -> Duration {
        Duration::from_micros(u64::from(self.delay_us))
    }
}

/// The decided faults of one exchange or connection, in order of application.
///
/// A small value, made once, before any I/O; what a step means is in the snapshot that it was decided on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultPlan {
    steps: [Step; Self::STEPS_MAX],
    len: u8,
}

const _: () = assert!(size_of::<FaultPlan>() <= 64);

impl FaultPlan {
    /// No more faults than this apply to one exchange; rules beyond it are skipped and counted.
    pub const STEPS_MAX: usize = 7;

    /// Nothing is injected.
    pub const EMPTY: Self =
        Self { steps: [Step { rule: RuleIndex(0), fault: 0, delay_us: 0 }; Self::STEPS_MAX], len: 0 };

    /// Whether nothing is injected.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The decided faults.
    pub fn steps(&self) -> &[Step] {
        &self.steps[..usize::from(self.len)]
    }

    /// Appends a step; `false` when the plan is full.
    #[must_use]
    pub fn push(&mut self, step: Step) -> bool {
        let Some(slot) = self.steps.get_mut(usize::from(self.len)) else { return false };
        *slot = step;
        self.len += 1;
        true
    }
}
