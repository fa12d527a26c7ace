//! Whether the steady state holds: each statement about a phase as a whole, and about the last seconds.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use squall_config::model::{Condition, Experiment, Measure, SteadyState, TrafficCondition};
use squall_config::units::format_duration;
use squall_telemetry::Traffic;
use tokio::sync::mpsc;

use super::asking::{Answered, Asking};
use super::measure::{Measured, bound, measure, unit};
use super::report::{Held, RunPhase, SteadyStateReport};
use crate::guards::remote::RemoteJudge;
use crate::guards::traffic::Sums;
use crate::web::Web;

/// What is said of "now" is said of the last seconds.
const RECENT: Duration = Duration::from_secs(5);

/// Fewer requests say nothing about the last seconds.
const RECENT_REQUESTS_MIN: u64 = 10;

/// All statements of an experiment.
pub(super) struct Steady {
    statements: Vec<Statement>,
    phase: RunPhase,
    entered: Instant,
}

struct Statement {
    about: SteadyState,
    how: How,
    /// What was found of phases.
    found: BTreeMap<RunPhase, Held>,
    /// What is so now.
    now: Held,
    /// Since faults began to flow.
    broken: Vec<Spell>,
}

/// A time in which a statement was broken.
#[derive(Clone, Copy)]
struct Spell {
    from: Instant,
    /// `None`: it lasts.
    to: Option<Instant>,
}

enum How {
    Traffic(Box<Window>),
    Remote { _asking: Asking, answers: mpsc::Receiver<Answered>, tally: Tally },
}

/// Sums at the beginning of the phase, and of the last seconds.
struct Window {
    condition: TrafficCondition,
    first: Option<Reading>,
    recent: VecDeque<Reading>,
    /// Requests at once, over the looks of the phase.
    in_flight: Mean,
}

/// Sums as they were at a moment.
#[derive(Clone)]
struct Reading {
    at: Instant,
    sums: Sums,
}

#[derive(Clone, Copy, Default)]
struct Mean {
    sum: f64,
    looks: u32,
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.looks = self.looks.saturating_add(1);
    }

    fn value(self) -> f64 {
        self.sum / f64::from(self.looks.max(1))
    }
}

/// Answers of a phase.
#[derive(Default)]
struct Tally {
    good: u64,
    bad: u64,
    /// The last one, or the last bad one.
    telling: Option<Answered>,
}

impl Steady {
    /// Begins with the baseline. Called on a runtime.
    pub(super) fn new(experiment: &Experiment, web: &Arc<dyn Web>, now: Instant) -> Self {
        let statements = experiment.steady_state.iter().map(|about| Statement::new(about, web)).collect();
        Self { statements, phase: RunPhase::Baseline, entered: now }
    }

    /// From now on it is another phase.
    pub(super) fn enter(&mut self, phase: RunPhase, now: Instant, traffic: &Traffic) {
        for statement in &mut self.statements {
            statement.settle(self.phase, now, traffic);
            statement.begin(phase);
        }
        (self.phase, self.entered) = (phase, now);
    }

    /// Looks. Gives what became of statements, in words.
    pub(super) fn step(&mut self, now: Instant, traffic: &Traffic) -> Vec<String> {
        let is_watched = matches!(self.phase, RunPhase::Injecting | RunPhase::Recovering);
        let (entered, mut changes) = (self.entered, Vec::new());
        for statement in &mut self.statements {
            statement.look(now, entered, traffic);
            if is_watched {
                changes.extend(statement.note_break(now));
            }
        }
        changes
    }

    /// What is wrong before anything is injected.
    pub(super) fn trouble_of_baseline(&mut self, now: Instant, traffic: &Traffic) -> Option<String> {
        let mut wrong = Vec::new();
        for statement in &mut self.statements {
            statement.settle(RunPhase::Baseline, now, traffic);
            let SteadyState { name, statement: text, .. } = &statement.about;
            let found = &statement.found[&RunPhase::Baseline];
            let value = found.value.map(|value| format!(" ({})", in_unit(value, unit(&statement.about.broken))));
            let value = value.unwrap_or_default();
            let trouble = found.trouble.as_deref().unwrap_or("nothing was measured");
            match found.held {
                Some(true) => {}
                Some(false) => wrong.push(format!("{name}: {text} does not hold{value}")),
                None => wrong.push(format!("{name}: nobody knows whether {text}: {trouble}")),
            }
        }
        (!wrong.is_empty()).then(|| wrong.join("; "))
    }

    /// Whether each statement holds in the last seconds.
    pub(super) fn is_steady(&self) -> bool {
        self.statements.iter().all(|statement| statement.now.held == Some(true))
    }

    /// Of the report; times since `began`.
    pub(super) fn report(&mut self, began: Instant, now: Instant, traffic: &Traffic) -> Vec<SteadyStateReport> {
        let phase = self.phase;
        let since = |at: Instant| at.saturating_duration_since(began).as_secs_f64();
        let report = |statement: &mut Statement| {
            statement.settle(phase, now, traffic);
            let of = |phase| statement.found.get(&phase).cloned().unwrap_or_default();
            SteadyStateReport {
                name: statement.about.name.to_string(),
                statement: statement.about.statement.clone(),
                unit: unit(&statement.about.broken).to_owned(),
                bound: bound(&statement.about.broken),
                baseline: of(RunPhase::Baseline),
                injecting: of(RunPhase::Injecting),
                recovering: of(RunPhase::Recovering),
                broken: statement.broken.iter().map(|spell| (since(spell.from), spell.to.map(since))).collect(),
            }
        };
        self.statements.iter_mut().map(report).collect()
    }
}

impl Statement {
    fn new(about: &SteadyState, web: &Arc<dyn Web>) -> Self {
        let remote = |judge| {
            let (_asking, answers) = Asking::begin(Arc::clone(web), judge);
            How::Remote { _asking, answers, tally: Tally::default() }
        };
        let how = match about.broken.clone() {
            Condition::Traffic(condition) => {
                let (recent, in_flight) = (VecDeque::new(), Mean::default());
                How::Traffic(Box::new(Window { condition, first: None, recent, in_flight }))
            }
            Condition::Query(query) => remote(RemoteJudge::of_query(query)),
            Condition::Probe(probe) => remote(RemoteJudge::of_probe(probe)),
        };
        let (found, now, broken) = (BTreeMap::new(), Held::default(), Vec::new());
        Self { about: about.clone(), how, found, now, broken }
    }

    fn begin(&mut self, phase: RunPhase) {
        // What was broken by the faults is broken until it holds again, but what was so before says nothing of the new phase.
        match &mut self.how {
            How::Traffic(window) => {
                (window.first, window.in_flight) = (None, Mean::default());
                if phase == RunPhase::Recovering {
                    window.recent.clear();
                }
            }
            How::Remote { tally, .. } => *tally = Tally::default(),
        }
        self.now = Held::default();
    }

    fn look(&mut self, now: Instant, entered: Instant, traffic: &Traffic) {
        match &mut self.how {
            How::Traffic(window) => self.now = window.look(now, entered, traffic),
            How::Remote { answers, tally, .. } => {
                while let Ok(answered) = answers.try_recv() {
                    self.now = held_of(&answered);
                    tally.take(answered);
                }
            }
        }
    }

    /// Notes when it breaks and when it holds again.
    fn note_break(&mut self, now: Instant) -> Option<String> {
        let SteadyState { name, statement, .. } = &self.about;
        let open = self.broken.last_mut().filter(|spell| spell.to.is_none());
        match (self.now.held, open) {
            (Some(false), None) => {
                self.broken.push(Spell { from: now, to: None });
                let value = self.now.value.map(|value| format!(": {}", in_unit(value, unit(&self.about.broken))));
                Some(format!("{name} is broken: {statement} does not hold{}", value.unwrap_or_default()))
            }
            (Some(true), Some(spell)) => {
                spell.to = Some(now);
                let time = now.saturating_duration_since(spell.from);
                let time = Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
                Some(format!("{name} holds again after {}", format_duration(time)))
            }
            _ => None,
        }
    }

    /// What is found of the phase until now.
    fn settle(&mut self, phase: RunPhase, now: Instant, traffic: &Traffic) {
        let found = match (&self.how, phase) {
            // A recovery ends well when it ends well.
            (_, RunPhase::Recovering) => self.now.clone(),
            (How::Traffic(window), _) => window.whole(now, traffic),
            (How::Remote { tally, .. }, _) => tally.held(),
        };
        let found = match self.about.restored_within.filter(|_| phase == RunPhase::Injecting) {
            Some(limit) => self.held_but_for_spells(found, limit, now),
            None => found,
        };
        self.found.insert(phase, found);
    }

    /// Broken only when a single break took longer than it may.
    fn held_but_for_spells(&self, found: Held, limit: Duration, now: Instant) -> Held {
        let took = |spell: &Spell| spell.to.unwrap_or(now).saturating_duration_since(spell.from);
        let longest = self.broken.iter().map(took).max();
        match (longest, found.held) {
            (Some(longest), _) if longest > limit => {
                let trouble =
                    format!("broken for {:.1} s, and may be for {}", longest.as_secs_f64(), format_duration(limit));
                Held { held: Some(false), trouble: Some(trouble), ..found }
            }
            (Some(longest), _) => {
                let trouble = Some(format!("broken for {:.1} s at most", longest.as_secs_f64()));
                Held { held: Some(true), trouble, ..found }
            }
            (None, Some(_)) => Held { held: Some(true), ..found },
            (None, None) => found,
        }
    }
}

impl Window {
    fn look(&mut self, now: Instant, entered: Instant, traffic: &Traffic) -> Held {
        let sums = Sums::of(&self.condition, traffic);
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        self.in_flight.add(sums.in_flight as f64);
        let reading = Reading { at: now, sums };
        self.first.get_or_insert_with(|| reading.clone());
        self.recent.push_back(reading);
        let begin = entered.max(now.checked_sub(RECENT).unwrap_or(entered));
        while self.recent.get(1).is_some_and(|reading| reading.at <= begin) {
            self.recent.pop_front();
        }
        let (Some(first), Some(last)) = (self.recent.front(), self.recent.back()) else {
            return Held::default();
        };
        let mean = self.recent.iter().map(|reading| reading.sums.in_flight).sum::<u64>();
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let mean = mean as f64 / self.recent.len().max(1) as f64;
        let measured = Measured {
            before: &first.sums,
            now: &last.sums,
            seconds: now.saturating_duration_since(first.at).as_secs_f64(),
            in_flight: mean,
            bounds: traffic.duration_bounds,
        };
        measure(&self.condition.measure, &measured, RECENT_REQUESTS_MIN)
    }

    fn whole(&self, now: Instant, traffic: &Traffic) -> Held {
        let Some(first) = &self.first else { return Held::default() };
        let measured = Measured {
            before: &first.sums,
            now: &Sums::of(&self.condition, traffic),
            seconds: now.saturating_duration_since(first.at).as_secs_f64(),
            in_flight: self.in_flight.value(),
            bounds: traffic.duration_bounds,
        };
        let minimum = match self.condition.measure {
            Measure::ErrorRate { minimum_requests, .. } | Measure::Latency { minimum_requests, .. } => minimum_requests,
            Measure::InFlight(_) | Measure::RequestRate(_) => 0,
        };
        measure(&self.condition.measure, &measured, minimum)
    }
}

impl Tally {
    fn take(&mut self, answered: Answered) {
        match answered.is_broken {
            Some(true) => self.bad += 1,
            Some(false) => self.good += 1,
            None => {}
        }
        let has_bad = self.telling.as_ref().is_some_and(|telling| telling.is_broken == Some(true));
        if !has_bad || answered.is_broken == Some(true) {
            self.telling = Some(answered);
        }
    }

    fn held(&self) -> Held {
        let telling = self.telling.as_ref();
        let value = telling.and_then(|answered| answered.value);
        let trouble = telling.and_then(|answered| answered.trouble.clone());
        let held = (self.good + self.bad > 0).then_some(self.bad == 0);
        Held { held, value, requests: None, trouble }
    }
}

fn held_of(answered: &Answered) -> Held {
    let Answered { is_broken, value, trouble } = answered;
    Held { held: is_broken.map(|is_broken| !is_broken), value: *value, requests: None, trouble: trouble.clone() }
}

/// As in `312 ms`, `1.25 %`.
fn in_unit(value: f64, unit: &str) -> String {
    match unit {
        "s" if value < 1.0 => format!("{:.0} ms", value * 1000.0),
        "s" => format!("{value:.2} s"),
        "" => format!("{value}"),
        // A status is a whole number.
        "status" => format!("{value} {unit}"),
        _ => format!("{value:.2} {unit}"),
    }
}

#[cfg(test)]
#[path = "steady_tests.rs"]
mod tests;
