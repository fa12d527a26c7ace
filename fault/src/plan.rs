//! The decided faults of one exchange or connection.

use std::time::Duration;

/// Which rule of a snapshot: see [`Snapshot::rule`](crate::snapshot::Snapshot::rule). In the order of the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleIndex(u16);

impl RuleIndex {
    /// The rule at this place; what is shipped gets its indices from [`Self::all`].
    #[cfg(test)]
    pub(crate) const fn new(place: u16) -> Self {
        Self(place)
    }

    /// All that there can be, in order.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..=u16::MAX).map(Self)
    }

    /// Its place.
    pub(crate) fn place(self) -> usize {
        usize::from(self.0)
    }
}

/// One decided fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The rule that fired.
    pub rule: RuleIndex,
    /// Index into the rule's faults.
    pub fault: u8,
    /// What was drawn for it, or asked for: of a delay the latency in microseconds (at most 71 minutes), of a fault that
    /// makes random bytes or sizes the seed of them, of one that the caller asks for what it asks ([`crate::requested`]),
    /// else 0.
    pub drawn: u32,
}

impl Step {
    /// The drawn latency of a delay.
    pub fn delay(&self) -> Duration {
        Duration::from_micros(u64::from(self.drawn))
    }
}

/// The decided faults of one exchange or connection, in order of application.
///
/// A small value, made once, before any I/O; what a step means is in the snapshot that it was decided on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "what was decided, and counted, is to be applied"]
pub struct FaultPlan {
    steps: [Step; Self::STEPS_MAX],
    len: u8,
}

const _: () = assert!(size_of::<FaultPlan>() <= 64);

impl Default for FaultPlan {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl FaultPlan {
    /// No more faults than this apply to one exchange; rules beyond it are skipped and counted.
    pub const STEPS_MAX: usize = 7;

    /// Nothing is injected.
    pub(crate) const EMPTY: Self =
        Self { steps: [Step { rule: RuleIndex(0), fault: 0, drawn: 0 }; Self::STEPS_MAX], len: 0 };

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

    /// The rules that fired, each once, in order.
    pub fn rules(&self) -> impl Iterator<Item = RuleIndex> + '_ {
        // The steps of one rule stand together.
        let steps = self.steps();
        let is_first = move |i: usize| i == 0 || steps[i - 1].rule != steps[i].rule;
        (0..steps.len()).filter(move |i| is_first(*i)).map(move |i| steps[i].rule)
    }
}
