//! The phases of a run: what is in force when. What the time is and what was seen come from outside.
//!
//! Pending → baseline → injecting → recovering → done; from each but the last to aborted, which ends all faults at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use squall_config::model::{Experiment, StepRule};
use squall_config::spec::{RuleSpec, Scalar};
use squall_config::units::{Percentage, format_duration};

use super::report::{Aborted, AbortedBy, RunPhase};

/// Rules outlive the time that the run may take by this much, should nobody be there to end them.
const GRACE: Duration = Duration::from_secs(10);

/// A rollback that takes time goes in so many stages.
const ROLLBACK_STAGES: u32 = 5;

/// Before the steady state counts as being back, it is watched for so long.
const RECOVERY_MIN: Duration = Duration::from_secs(1);

/// What is in force from a moment of the injection on.
#[derive(Clone, Debug, PartialEq)]
struct Stage {
    /// Since the injection began.
    from: Duration,
    rules: Vec<StagedRule>,
    /// For people.
    what: String,
}

/// A rule with its share in a stage.
#[derive(Clone, Debug, PartialEq)]
struct StagedRule {
    rule: StepRule,
    share: Percentage,
}

/// What is in force when, while faults flow.
#[derive(Clone, Debug, PartialEq)]
struct Course {
    stages: Vec<Stage>,
    /// When all of it has ended, since the injection began.
    ends: Duration,
}

/// What was seen since the last step.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Why the run has to end at once: the most important reason.
    pub(super) abort: Option<Aborted>,
    /// What is wrong with the steady state before anything is injected; asked at the end of the baseline.
    pub(super) baseline: Option<String>,
    /// The steady state holds again.
    pub(super) is_steady: bool,
}

/// What a step came to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Order {
    /// These rules are in force from now on.
    Rules {
        /// Without ttl.
        rules: Vec<RuleSpec>,
        /// They end by themselves after this time, should nobody be there to end them.
        ttl: Duration,
        /// In words what that is.
        what: String,
    },
    /// It is in this phase now.
    Enter(RunPhase),
}

/// A run.
#[derive(Debug)]
pub(super) struct Machine {
    experiment: Arc<Experiment>,
    began: Instant,
    phase: RunPhase,
    entered: Instant,
    course: Course,
    /// The next of the stages.
    next: usize,
    aborted: Option<Aborted>,
}

impl Machine {
    /// Begins with the baseline.
    pub(super) fn new(experiment: Arc<Experiment>, now: Instant) -> Self {
        let course = Course::of(&experiment);
        debug_assert!(course.stages.last().is_some_and(|stage| stage.rules.is_empty()), "an injection ends");
        Self { experiment, began: now, phase: RunPhase::Baseline, entered: now, course, next: 0, aborted: None }
    }

    /// The phase.
    pub(super) fn phase(&self) -> RunPhase {
        self.phase
    }

    /// Why it ended before its time.
    pub(super) fn aborted(&self) -> Option<&Aborted> {
        self.aborted.as_ref()
    }

    /// Takes in what was seen; gives what is to be done, in order. When it is done or aborted, nothing is in force any more
    /// once the orders are carried out.
    pub(super) fn step(&mut self, now: Instant, seen: Seen) -> Vec<Order> {
        let mut orders = Vec::new();
        if !self.is_over() {
            self.go_on(now, seen, &mut orders);
        }
        self.check_invariants();
        orders
    }

    fn go_on(&mut self, now: Instant, seen: Seen, orders: &mut Vec<Order>) {
        let is_late = now.saturating_duration_since(self.began) >= self.experiment.duration;
        let too_long = || Aborted {
            by: AbortedBy::Duration,
            reason: format!("it took longer than {}", format_duration(self.experiment.duration)),
            released_within_milliseconds: None,
        };
        if let Some(aborted) = seen.abort.clone().or_else(|| is_late.then(too_long)) {
            self.abort(now, aborted, orders);
            return;
        }
        match self.phase {
            RunPhase::Baseline if self.has_passed(now, self.experiment.baseline) => match seen.baseline {
                None => self.enter(RunPhase::Injecting, now, orders),
                Some(reason) => {
                    let aborted = Aborted { by: AbortedBy::Baseline, reason, released_within_milliseconds: None };
                    self.abort(now, aborted, orders);
                }
            },
            RunPhase::Recovering => {
                let is_back = seen.is_steady && self.has_passed(now, RECOVERY_MIN.min(self.experiment.recovery));
                if is_back || self.has_passed(now, self.experiment.recovery) {
                    self.enter(RunPhase::Done, now, orders);
                }
            }
            _ => {}
        }
        if self.phase == RunPhase::Injecting {
            self.inject(now, orders);
        }
    }

    /// Whether it has ended.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.phase, RunPhase::Done | RunPhase::Aborted)
    }

    fn has_passed(&self, now: Instant, time: Duration) -> bool {
        now.saturating_duration_since(self.entered) >= time
    }

    fn check_invariants(&self) {
        let is_aborted = self.phase == RunPhase::Aborted;
        let is_through = self.next == self.course.stages.len();
        debug_assert!(
            self.phase < RunPhase::Recovering || is_aborted || is_through,
            "after its time nothing is in force"
        );
        debug_assert_eq!(self.aborted.is_some(), is_aborted, "what is aborted says why");
    }

    fn enter(&mut self, phase: RunPhase, now: Instant, orders: &mut Vec<Order>) {
        debug_assert!(phase > self.phase, "phases only go forward");
        (self.phase, self.entered) = (phase, now);
        orders.push(Order::Enter(phase));
    }

    fn abort(&mut self, now: Instant, aborted: Aborted, orders: &mut Vec<Order>) {
        if self.phase == RunPhase::Injecting {
            orders.push(Order::Rules { rules: Vec::new(), ttl: GRACE, what: "all faults end".to_owned() });
        }
        self.aborted = Some(aborted);
        self.enter(RunPhase::Aborted, now, orders);
    }

    /// Of several stages whose time has come, the last counts.
    fn inject(&mut self, now: Instant, orders: &mut Vec<Order>) {
        let passed = now.saturating_duration_since(self.entered);
        let due = self.course.stages.iter().take_while(|stage| stage.from <= passed).count();
        if due > self.next {
            self.next = due;
            let stage = &self.course.stages[due - 1];
            let ttl = self.experiment.duration.saturating_sub(now.saturating_duration_since(self.began)) + GRACE;
            let rules = stage.rules.iter().map(StagedRule::spec).collect();
            orders.push(Order::Rules { rules, ttl, what: stage.what.clone() });
        }
        if passed >= self.course.ends {
            self.enter(RunPhase::Recovering, now, orders);
        }
    }
}

impl StagedRule {
    /// As the configuration takes it.
    fn spec(&self) -> RuleSpec {
        RuleSpec { percentage: Some(Scalar::Text(self.share.to_string())), ..self.rule.spec.clone() }
    }
}

impl Course {
    fn of(experiment: &Experiment) -> Self {
        let (mut stages, mut at) = (Vec::new(), Duration::ZERO);
        let last = experiment.method.len().saturating_sub(1);
        for (index, step) in experiment.method.iter().enumerate() {
            let mut add = |from: Duration, what: String, share: &dyn Fn(&StepRule) -> Percentage| {
                let rules =
                    step.rules.iter().map(|rule| StagedRule { rule: rule.clone(), share: share(rule) }).collect();
                stages.push(Stage { from, rules, what });
            };
            if let Some(ramp) = step.ramp {
                for n in 0..ramp.stages {
                    let share = |rule: &StepRule| {
                        let first = ramp.from.unwrap_or_else(|| part(rule.percentage, 1, ramp.stages));
                        between(first.min(rule.percentage), rule.percentage, n, ramp.stages)
                    };
                    add(
                        at + ramp.over * n / ramp.stages,
                        format!("{}: stage {} of {}", step.name, n + 1, ramp.stages),
                        &share,
                    );
                }
                at += ramp.over;
            }
            add(at, format!("{}: the full share", step.name), &|rule| rule.percentage);
            at += step.hold;
            if index == last && !experiment.rollback.is_zero() {
                for n in 1..ROLLBACK_STAGES {
                    let from = at + experiment.rollback * (n - 1) / (ROLLBACK_STAGES - 1);
                    add(from, format!("rollback: stage {n} of {}", ROLLBACK_STAGES - 1), &|rule| {
                        part(rule.percentage, ROLLBACK_STAGES - n, ROLLBACK_STAGES)
                    });
                }
                at += experiment.rollback;
            }
            if index == last || !step.pause.is_zero() {
                let what = if index == last { "all faults end".to_owned() } else { format!("{}: a pause", step.name) };
                stages.push(Stage { from: at, rules: Vec::new(), what });
            }
            if index != last {
                at += step.pause;
            }
        }
        Self { stages, ends: at }
    }
}

/// So many of `of` parts; not nothing unless the whole is.
fn part(whole: Percentage, n: u32, of: u32) -> Percentage {
    let ppm = u64::from(whole.ppm()) * u64::from(n) / u64::from(of.max(1));
    let ppm = u32::try_from(ppm).unwrap_or(whole.ppm()).max(whole.ppm().min(1));
    Percentage::from_ppm(ppm).unwrap_or(whole)
}

/// The share of the n-th of so many stages from one share to another, which comes after the last of them.
fn between(first: Percentage, full: Percentage, n: u32, of: u32) -> Percentage {
    let grown = u64::from(full.ppm().saturating_sub(first.ppm())) * u64::from(n) / u64::from(of.max(1));
    let ppm = u32::try_from(u64::from(first.ppm()) + grown).unwrap_or(full.ppm());
    Percentage::from_ppm(ppm).unwrap_or(full)
}

/// From the start of an injection to its end.
pub(super) fn injection(experiment: &Experiment) -> Duration {
    Course::of(experiment).ends
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
