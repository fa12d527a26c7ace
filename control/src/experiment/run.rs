//! One run of an experiment, from its baseline to its report. Looks at what is there; what follows from it is for the machine to
//! say, and for the runner to do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime};

use serde_json::json;
use squall_config::model::{Condition, Direction, Experiment, Measure};
use squall_config::spec::ExperimentDocument;
use squall_fault::snapshot::{RuleState, Snapshot};
use squall_fault::trace_share::TraceShare;
use squall_telemetry::{Outcome, Traffic};

use super::guarding::{Became, Guarding};
use super::machine::{Machine, Order, Seen};
use super::report::{Aborted, AbortedBy, PhaseSpan, Report, RuleReport, RunPhase, TimelineEvent, TimelineKind};
use super::steady::Steady;
use super::study::Study;
use super::verdict::judge;
use crate::text::rfc3339;
use crate::view::Unit;
use crate::web::Web;

/// More of what happened is not noted.
const TIMELINE_MAX: usize = 1000;

/// A run under way.
pub(super) struct Run {
    pub(super) experiment: Arc<Experiment>,
    began: Instant,
    machine: Machine,
    steady: Steady,
    guarding: Guarding,
    study: Study,
    report: Report,
    /// The rules that were in force once, by name.
    counts: BTreeMap<String, Counted>,
    entered: Entered,
    has_called_harm: bool,
}

/// A rule that was in force once.
struct Counted {
    state: Arc<RuleState>,
    /// What it counts.
    unit: &'static str,
}

/// The phase that is looked at, and when it was entered.
#[derive(Clone, Copy)]
struct Entered {
    phase: RunPhase,
    at: Instant,
}

/// What there is to look at.
pub(super) struct Look<'a> {
    pub(super) now: Instant,
    pub(super) traffic: &'a Traffic,
    /// Exchanges that ended since the last look.
    pub(super) outcomes: &'a mut Vec<Outcome>,
    /// How many more there was no room for.
    pub(super) lost: u64,
    /// Somebody or something else wants it to end.
    pub(super) abort: Option<Aborted>,
}

impl Run {
    /// Begins with the baseline. Called on a runtime.
    pub(super) fn begin(
        experiment: Experiment,
        document: &ExperimentDocument,
        number: u64,
        web: &Arc<dyn Web>,
    ) -> Self {
        let (now, experiment) = (Instant::now(), Arc::new(experiment));
        let report = first_report(&experiment, document, number);
        let mut run = Self {
            began: now,
            machine: Machine::new(Arc::clone(&experiment), now),
            steady: Steady::new(&experiment, web, now),
            guarding: Guarding::new(&experiment.guards, web),
            study: Study::new(&experiment, now, latency_bound(&experiment)),
            report,
            counts: BTreeMap::new(),
            entered: Entered { phase: RunPhase::Baseline, at: now },
            has_called_harm: false,
            experiment,
        };
        run.study.enter(RunPhase::Baseline, now);
        run.note(now, TimelineKind::Phase, "baseline: nothing is injected".to_owned());
        run
    }

    /// What came of it until now; without what is only known at the end.
    pub(super) fn report(&self) -> &Report {
        &self.report
    }

    /// The phase.
    pub(super) fn phase(&self) -> RunPhase {
        self.machine.phase()
    }

    /// Whether it has ended.
    pub(super) fn is_over(&self) -> bool {
        self.machine.is_over()
    }

    /// Notes something that happened.
    pub(super) fn note(&mut self, now: Instant, kind: TimelineKind, text: String) {
        if self.report.timeline.len() < TIMELINE_MAX {
            let at = now.saturating_duration_since(self.began).as_secs_f64();
            self.report.timeline.push(TimelineEvent { at, kind, text });
        }
    }

    /// From now on exchanges of this share of the traces come.
    pub(super) fn look_at(&mut self, share: TraceShare, now: Instant) {
        self.study.look_at(share, now);
    }

    /// Looks; gives what is to be done.
    pub(super) fn look(&mut self, look: Look<'_>) -> Vec<Order> {
        let Look { now, traffic, outcomes, lost, mut abort } = look;
        self.study.take(now, outcomes, lost);
        self.study.sample(now, traffic);
        for change in self.steady.step(now, traffic) {
            self.note(now, TimelineKind::SteadyState, change);
        }
        for became in self.guarding.step(now, traffic) {
            match became {
                Became::Other(text) => self.note(now, TimelineKind::Guard, text),
                Became::Tripped(reason) => {
                    self.note(now, TimelineKind::Guard, reason.clone());
                    abort.get_or_insert(Aborted { by: AbortedBy::Guard, reason, released_within_milliseconds: None });
                }
            }
        }
        if let Some(harm) = self.study.harm().filter(|_| !self.has_called_harm) {
            self.has_called_harm = true;
            let reason = format!(
                "{:.1} % more of the faulted requests are harmed than of the others (evidence {:.0}, beyond doubt from 20 on)",
                harm.difference * 100.0,
                harm.evidence
            );
            self.note(now, TimelineKind::Harm, reason.clone());
            if self.experiment.expect.stop_on_harm && self.phase() == RunPhase::Injecting {
                abort.get_or_insert(Aborted { by: AbortedBy::Harm, reason, released_within_milliseconds: None });
            }
        }
        let is_baseline_over = self.phase() == RunPhase::Baseline
            && now.saturating_duration_since(self.entered.at) >= self.experiment.baseline;
        let baseline = is_baseline_over.then(|| self.steady.trouble_of_baseline(now, traffic)).flatten();
        let seen = Seen { abort, baseline, is_steady: self.steady.is_steady() };
        let orders = self.machine.step(now, seen);
        for order in &orders {
            match order {
                Order::Enter(phase) => self.enter(*phase, now, traffic),
                Order::Rules { rules, what, .. } => {
                    self.study.set_paused(rules.is_empty(), now);
                    self.note(now, TimelineKind::Rules, what.clone());
                }
            }
        }
        orders
    }

    /// Notes the rules that are in force, for their counts.
    pub(super) fn note_rules(&mut self, snapshot: &Snapshot) {
        for rule in &snapshot.rules {
            if rule.rule.experiment.as_ref() == Some(&self.experiment.name) {
                let unit = match Unit::of(&rule.rule, &snapshot.config) {
                    Unit::Request => "request",
                    Unit::Connection => "connection",
                    Unit::Tunnel => "tunnel",
                    Unit::Both => "request and connection",
                };
                self.counts.insert(rule.rule.name.to_string(), Counted { state: Arc::clone(&rule.state), unit });
            }
        }
    }

    /// Notes how long faults went on after the reason to end them came up.
    pub(super) fn note_release(&mut self, within: Duration) {
        let within = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        if let Some(aborted) = &mut self.report.aborted {
            aborted.released_within_milliseconds = Some(within);
        }
    }

    fn enter(&mut self, phase: RunPhase, now: Instant, traffic: &Traffic) {
        let since = |at: Instant| at.saturating_duration_since(self.began).as_secs_f64();
        let before = std::mem::replace(&mut self.entered, Entered { phase, at: now });
        self.report.phases.push(PhaseSpan { phase: before.phase, from: since(before.at), to: since(now) });
        if let Some(aborted) = self.machine.aborted() {
            self.report.aborted = Some(aborted.clone());
        }
        let text = match (phase, &self.report.aborted) {
            (RunPhase::Aborted, Some(aborted)) => format!("aborted: {}", aborted.reason),
            (RunPhase::Injecting, _) => "injecting".to_owned(),
            (RunPhase::Recovering, _) => "recovering: nothing is injected any more".to_owned(),
            _ => phase.as_str().to_owned(),
        };
        self.note(now, TimelineKind::Phase, text);
        self.study.enter(phase, now);
        if !matches!(phase, RunPhase::Done | RunPhase::Aborted) {
            self.steady.enter(phase, now, traffic);
        }
    }

    /// What came of it, at its end.
    pub(super) fn finish(mut self, now: Instant, traffic: &Traffic) -> Report {
        self.report.ended_at = Some(rfc3339(SystemTime::now()));
        self.study.finish(now);
        self.fill(now, traffic);
        let (verdict, reasons) = judge(&self.report, &self.experiment);
        (self.report.verdict, self.report.reasons) = (Some(verdict), reasons);
        self.report
    }

    /// Takes in what is known until now.
    pub(super) fn fill(&mut self, now: Instant, traffic: &Traffic) {
        self.report.steady_state = self.steady.report(self.began, now, traffic);
        self.report.rules = self.rules();
        self.report.recovery_seconds = self.recovery();
        self.study.fill(now, &mut self.report);
    }

    /// From the last fault until each statement held again; `None` when none was broken by then.
    fn recovery(&self) -> Option<f64> {
        let ended = self.report.phases.iter().find(|span| span.phase == RunPhase::Injecting)?.to;
        let spells = self.report.steady_state.iter().flat_map(|statement| &statement.broken);
        let open_then: Vec<Option<f64>> =
            spells.filter(|(from, to)| *from <= ended && to.is_none_or(|to| to > ended)).map(|(_, to)| *to).collect();
        let last = open_then
            .iter()
            .copied()
            .collect::<Option<Vec<f64>>>()?
            .into_iter()
            .fold(None, |last: Option<f64>, to| Some(last.map_or(to, |last| last.max(to))));
        last.map(|last| last - ended)
    }

    fn rules(&self) -> Vec<RuleReport> {
        let steps = self.experiment.method.iter().flat_map(|step| step.rules.iter().map(move |rule| (step, rule)));
        let report = |(step, rule): (&squall_config::model::MethodStep, &squall_config::model::StepRule)| {
            let counts = self.counts.get(rule.name.as_str());
            let count = |read: fn(&RuleState) -> u64| counts.map_or(0, |counted| read(&counted.state));
            RuleReport {
                name: rule.name.to_string(),
                step: step.name.clone(),
                unit: counts.map_or("request", |counted| counted.unit).to_owned(),
                percentage: f64::from(rule.percentage.ppm()) / 1e4,
                matched: count(|state| state.matched.load(Relaxed)),
                injected: count(|state| state.injected.load(Relaxed)),
                fault: serde_json::to_value(&rule.spec.fault).unwrap_or_default(),
            }
        };
        steps.map(report).collect()
    }
}

/// What is known of a run before it has begun.
pub(super) fn first_report(experiment: &Experiment, document: &ExperimentDocument, number: u64) -> Report {
    let spec = document.spec.as_ref();
    Report {
        squall_version: env!("CARGO_PKG_VERSION").to_owned(),
        experiment: experiment.name.to_string(),
        run: number,
        title: experiment.title.clone(),
        hypothesis: experiment.hypothesis.clone(),
        owner: spec.and_then(|spec| spec.owner.clone()),
        links: spec.map(|spec| spec.links.clone()).unwrap_or_default(),
        started_at: rfc3339(SystemTime::now()),
        document: serde_json::to_value(document).unwrap_or_else(|_| json!({})),
        ..Report::default()
    }
}

/// The longest that a call to A may take: of the statements about its latency the one with the least bound.
fn latency_bound(experiment: &Experiment) -> Option<Duration> {
    let bounds = experiment.steady_state.iter().filter_map(|statement| match &statement.broken {
        Condition::Traffic(traffic) if traffic.scope.direction != Some(Direction::Outbound) => match traffic.measure {
            Measure::Latency { above, .. } => Some(above),
            _ => None,
        },
        _ => None,
    });
    bounds.min()
}
