//! The decided faults of one exchange or connection.

use std::time::Duration;

use squall_config::model::{Fault, Phase};

use crate::decide::ends_exchange;
use crate::snapshot::Snapshot;

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

impl Default for FaultPlan {
    fn default() -> Self {
        Self::EMPTY
    }
}

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

    /// The sum of the request-side delays of an HTTP exchange; the deadline is this long after the request's arrival.
    /// `snapshot` is the one that the plan was decided on, as in the other methods.
    pub fn request_delay(&self, snapshot: &Snapshot) -> Duration {
        self.delay(snapshot, Phase::Request)
    }

    /// The sum of the response-side delays of an HTTP exchange.
    pub fn response_delay(&self, snapshot: &Snapshot) -> Duration {
        self.delay(snapshot, Phase::Response)
    }

    fn delay(&self, snapshot: &Snapshot, phase: Phase) -> Duration {
        let is_delay = |fault: &Fault| matches!(fault, Fault::Delay(delay) if delay.on == phase);
        self.steps().iter().filter(|step| is_delay(snapshot.step_fault(**step))).map(Step::delay).sum()
    }

    /// What ends an HTTP exchange in place of a call to the upstream, after [`Self::request_delay`]: an abort, a reset
    /// or a blackhole.
    pub fn request_terminal<'s>(&self, snapshot: &'s Snapshot) -> Option<(RuleIndex, &'s Fault)> {
        self.terminal(snapshot, Phase::Request)
    }

    /// What ends an HTTP exchange in the upstream's answer, after [`Self::response_delay`]: a reset.
    pub fn response_terminal<'s>(&self, snapshot: &'s Snapshot) -> Option<(RuleIndex, &'s Fault)> {
        self.terminal(snapshot, Phase::Response)
    }

    fn terminal<'s>(&self, snapshot: &'s Snapshot, phase: Phase) -> Option<(RuleIndex, &'s Fault)> {
        let faults = self.steps().iter().map(|step| (step.rule, snapshot.step_fault(*step)));
        faults.into_iter().find(|(_, fault)| ends_exchange(fault) == Some(phase))
    }

    /// The rules that fired, each once, in order.
    pub fn rules(&self) -> impl Iterator<Item = RuleIndex> + '_ {
        // The steps of one rule stand together.
        let steps = self.steps();
        let is_first = move |i: usize| i == 0 || steps[i - 1].rule != steps[i].rule;
        (0..steps.len()).filter(move |i| is_first(*i)).map(move |i| steps[i].rule)
    }
}
