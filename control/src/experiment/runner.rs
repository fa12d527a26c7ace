//! Drives the runs: looks several times a second, and does what follows.
//!
//! One task for all of them. What it does to traffic it does through the publisher, as everybody else; the kill switch and the
//! ttl of each rule end faults without it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use serde_json::json;
use squall_config::model::{Name, Schedule};
use squall_config::spec::{ExperimentDocument, RuleSpec, Scalar};
use squall_config::units::format_duration;
use squall_config::{Chain, validate_experiment};
use squall_telemetry::{Observation, Outcome, Traffic};
use tokio::time::MissedTickBehavior;

use super::board::{Asked, Wishes};
use super::machine::Order;
use super::report::{Aborted, AbortedBy, Report, RunPhase, TimelineKind};
use super::run::{Look, Run};
use super::sampler::{Sampler, Wanted};
use super::start::{check, hangs_on_ids};
use crate::actor::{Actor, Part};
use crate::app::App;
use crate::events::EventKind;
use crate::web::Web;
use crate::write::Write;

/// Time between two looks.
const STEP: Duration = Duration::from_millis(100);

/// What those see that ask for a run is made anew this often.
const SHOW_EVERY: Duration = Duration::from_millis(500);

/// A schedule is looked at this often, should the clock have been set.
const SCHEDULE_EVERY: Duration = Duration::from_secs(10);

/// A change of the rules that takes longer is not waited for: all faults are halted.
const PUT_WITHIN: Duration = Duration::from_secs(10);

/// Exchanges whose end is waited for at the end of a run, so that those that were under way are counted.
const LAST_LOOK: Duration = Duration::from_millis(300);

/// Drives all runs; never returns.
pub(crate) async fn run(app: Arc<App>, web: Arc<dyn Web>) {
    let (runs, outcomes, sampler) = (Vec::new(), Vec::new(), Sampler::new(Instant::now()));
    let mut runner =
        Runner { app, web, runs, outcomes, sampler, in_force: InForce { generation: 0, hang_on_ids: true } };
    runner.app.experiments.set_schedules(|document| runner.schedule_of(document));
    let mut ticks = tokio::time::interval(STEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        runner.start_scheduled();
        runner.begin_asked().await;
        if runner.runs.is_empty() {
            runner.wait().await;
            continue;
        }
        ticks.tick().await;
        runner.step().await;
    }
}

struct Runner {
    app: Arc<App>,
    web: Arc<dyn Web>,
    runs: Vec<Active>,
    outcomes: Vec<Outcome>,
    sampler: Sampler,
    in_force: InForce,
}

/// What is known of the rules of a generation.
struct InForce {
    generation: u64,
    /// One of them hangs on ids.
    hang_on_ids: bool,
}

struct Active {
    run: Run,
    name: Name,
    /// A rule of it hangs on ids, be it in force or not.
    hangs_on_ids: bool,
    shown: Instant,
    /// It has ended, and exchanges that were under way are waited for.
    ended: Option<Instant>,
}

impl Runner {
    /// Until somebody asks for a run, or one starts by itself.
    async fn wait(&self) {
        let board = &self.app.experiments;
        let woken = board.wake.notified();
        match board.next_start() {
            None => woken.await,
            Some(next) => {
                let left = next.duration_since(SystemTime::now()).unwrap_or_default().min(SCHEDULE_EVERY);
                tokio::select! {
                    () = woken => {}
                    () = tokio::time::sleep(left) => {}
                }
            }
        }
    }

    fn start_scheduled(&self) {
        let board = &self.app.experiments;
        for (name, document) in board.take_due(SystemTime::now()) {
            let refused = match check(&self.app, &document) {
                Ok(experiment) => match board.ask(experiment) {
                    Ok(()) => continue,
                    Err(refusal) => format!("{refusal:?}"),
                },
                Err(refused) => refused.to_string(),
            };
            tracing::warn!(experiment = name, refused, "an experiment did not start at its time");
            board.put_off(&name, self.schedule_of(&document));
        }
    }

    fn schedule_of(&self, document: &ExperimentDocument) -> Option<Schedule> {
        let against = self.app.publisher.view().written.lasting();
        validate_experiment(document, &against).ok().and_then(|experiment| experiment.schedule)
    }

    async fn begin_asked(&mut self) {
        for Asked { run: number, experiment, document } in self.app.experiments.take_asked() {
            let name = experiment.name.clone();
            tracing::info!(experiment = %name, run = number, "experiment started");
            if self.runs.is_empty() {
                self.sampler = Sampler::new(Instant::now());
            }
            let mut run = Run::begin(experiment, &document, number, &self.web);
            run.look_at(self.sampler.share(), Instant::now());
            self.keep(run.report().clone()).await;
            self.tell(&name, number, RunPhase::Baseline, None);
            let hangs_on_ids = hangs_on_ids(&run.experiment, &self.app.publisher.view().written.lasting());
            self.runs.push(Active { run, name, hangs_on_ids, shown: Instant::now(), ended: None });
            self.observe();
        }
    }

    /// What is noted of exchanges is what the runs want to know.
    fn observe(&mut self) {
        self.sampler.begin_anew();
        let wanted = (!self.runs.is_empty()).then(|| {
            let experiments = || self.runs.iter().map(|active| &active.run.experiment);
            Observation {
                fallbacks: experiments().filter_map(|experiment| experiment.fallback.clone()).take(8).collect(),
                add_ids: experiments().any(|experiment| experiment.add_ids),
                share: self.sampler.share(),
            }
        });
        self.app.data_plane.observe(wanted);
    }

    async fn step(&mut self) {
        let now = Instant::now();
        let traffic = self.app.data_plane.traffic();
        let lost = self.app.data_plane.outcomes(&mut self.outcomes);
        self.sample(now, &traffic);
        let view = self.app.publisher.view();
        let is_leaving = !self.app.data_plane.is_ready();
        let n_runs = self.runs.len();
        for index in 0..n_runs {
            let mut outcomes =
                if index + 1 == n_runs { std::mem::take(&mut self.outcomes) } else { self.outcomes.clone() };
            let active = &mut self.runs[index];
            let is_shown = now.saturating_duration_since(active.shown) >= SHOW_EVERY;
            if is_shown {
                active.shown = now;
                active.run.fill(now, &traffic);
            }
            let report = is_shown.then(|| Arc::new(active.run.report().clone()));
            let Wishes { stop, notes } = self.app.experiments.show(active.name.as_str(), active.run.phase(), report);
            notes.into_iter().for_each(|note| active.run.note(now, TimelineKind::Note, note));
            let halted = view
                .halt
                .as_ref()
                .map(|halt| aborted(AbortedBy::Halt, &format!("all faults were halted: {}", halt.reason)));
            let leaving = is_leaving.then(|| aborted(AbortedBy::Restart, "Squall is ending"));
            let look =
                Look { now, traffic: &traffic, outcomes: &mut outcomes, lost, abort: halted.or(stop).or(leaving) };
            active.run.note_rules(&view.snapshot);
            let orders = active.run.look(look);
            debug_assert!(view.halt.is_none() || active.run.is_over(), "a halt ends it");
            if index + 1 == n_runs {
                outcomes.clear();
                self.outcomes = outcomes;
            }
            for order in orders {
                self.carry_out(index, order, now).await;
            }
        }
        self.end_those_that_have_ended(&traffic).await;
    }

    /// Sees to it that no more exchanges are noted than the runs want, and that requests get the ids that are needed.
    fn sample(&mut self, now: Instant, traffic: &Traffic) {
        let per_second = self.runs.iter().map(|active| active.run.experiment.joined_per_second).max();
        let are_ids_given = self.runs.iter().any(|active| active.run.experiment.add_ids);
        let hangs_on_ids = self.do_rules_hang_on_ids() || self.runs.iter().any(|active| active.hangs_on_ids);
        let all_ids = !are_ids_given || hangs_on_ids;
        let wanted = Wanted { per_second: per_second.unwrap_or(u64::MAX), all_ids };
        if let Some(share) = self.sampler.step(now, traffic, &self.outcomes, wanted) {
            self.app.data_plane.note_share(share);
            tracing::debug!(?share, "another share of the traces is looked at");
            self.runs.iter_mut().for_each(|active| active.run.look_at(share, Instant::now()));
        }
    }

    /// Of those in force; looked up when they may have changed.
    fn do_rules_hang_on_ids(&mut self) -> bool {
        let view = self.app.publisher.view();
        if self.in_force.generation != view.generation {
            let hang_on_ids = view.snapshot.rules.iter().any(|compiled| compiled.rule.hangs_on_ids());
            self.in_force = InForce { generation: view.generation, hang_on_ids };
        }
        self.in_force.hang_on_ids
    }

    async fn carry_out(&mut self, index: usize, order: Order, since: Instant) {
        let (name, number) = (self.runs[index].name.clone(), self.runs[index].run.report().run);
        match order {
            Order::Enter(phase) => {
                let reason = self.runs[index].run.report().aborted.as_ref().map(|aborted| aborted.reason.clone());
                tracing::info!(experiment = %name, run = number, phase = phase.as_str(), reason, "experiment enters a phase");
                self.tell(&name, number, phase, reason.as_deref());
                if self.runs[index].run.is_over() {
                    debug_assert!(self.holds_nothing(&name), "a run that ended holds no rules");
                    self.runs[index].run.note_release(since.elapsed());
                    self.runs[index].ended = Some(Instant::now());
                }
            }
            Order::Rules { rules, ttl, what } => {
                let is_end = rules.is_empty();
                let refused = self.put(&name, rules, ttl).await.err();
                let view = self.app.publisher.view();
                self.runs[index].run.note_rules(&view.snapshot);
                match refused {
                    None => tracing::info!(experiment = %name, run = number, what, "experiment changes its rules"),
                    Some(why) if is_end => {
                        // No fault may outlive its experiment.
                        tracing::error!(experiment = %name, why, "the rules of an experiment cannot be ended; all faults are halted");
                        self.app
                            .publisher
                            .halt(Actor::Squall(Part::Experiment), "the rules of an experiment could not be ended");
                    }
                    Some(why) => {
                        tracing::warn!(experiment = %name, why, "the rules of an experiment cannot be put in force");
                        self.app.experiments.stop_by(name.as_str(), aborted(AbortedBy::Refused, &why));
                    }
                }
            }
        }
    }

    /// Whether none of the experiment's rules is in force; or all faults are halted, because that could not be had.
    fn holds_nothing(&self, name: &Name) -> bool {
        let view = self.app.publisher.view();
        let mut rules = view.written.config.rules.iter();
        view.halt.is_some() || rules.all(|rule| rule.experiment.as_ref() != Some(name))
    }

    /// Puts the rules of an experiment in force, instead of those that it has.
    async fn put(&self, name: &Name, mut rules: Vec<RuleSpec>, ttl: Duration) -> Result<(), String> {
        let (publisher, name) = (Arc::clone(&self.app.publisher), name.clone());
        // No step takes longer than the longest ttl that there may be: that was checked.
        let longest = publisher.view().written.config.limits.blast_radius.ttl_max;
        let ttl = longest.map_or(ttl, |longest| ttl.min(longest));
        for rule in &mut rules {
            rule.ttl = Some(Scalar::Text(format_duration(Duration::from_millis(
                u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX),
            ))));
        }
        // Who waited in vain wants no faults any more: that they come late, and after they were ended, is not to be.
        let (is_given_up, is_end) = (Arc::new(AtomicBool::new(false)), rules.is_empty());
        let is_unwanted = Arc::clone(&is_given_up);
        let put = tokio::task::spawn_blocking(move || {
            let write = Write { operation: "experiment", ..Write::by(Actor::Squall(Part::Experiment)) };
            let change = |draft: &mut crate::document::Draft| {
                if is_end || !is_unwanted.load(Ordering::SeqCst) {
                    draft.set_experiment(&name, rules);
                }
                Ok(())
            };
            publisher.update(&write, change).map(drop).map_err(|error| Chain(&error).to_string())
        });
        match tokio::time::timeout(PUT_WITHIN, put).await {
            Ok(Ok(done)) => done,
            Ok(Err(panicked)) => Err(panicked.to_string()),
            Err(_elapsed) => {
                is_given_up.store(true, Ordering::SeqCst);
                Err("another change takes too long".to_owned())
            }
        }
    }

    async fn end_those_that_have_ended(&mut self, traffic: &Traffic) {
        let now = Instant::now();
        let is_over =
            |active: &Active| active.ended.is_some_and(|ended| now.saturating_duration_since(ended) >= LAST_LOOK);
        let (over, rest): (Vec<Active>, Vec<Active>) = std::mem::take(&mut self.runs).into_iter().partition(is_over);
        self.runs = rest;
        if over.is_empty() {
            return;
        }
        for Active { run, name, .. } in over {
            let schedule = run.experiment.schedule;
            let report = Arc::new(run.finish(now, traffic));
            let verdict = report.verdict.map(super::report::Verdict::as_str);
            tracing::info!(experiment = %name, run = report.run, verdict, reasons = ?report.reasons, "experiment ended");
            self.keep(Report::clone(&report)).await;
            let old = self.app.experiments.end(Arc::clone(&report), schedule);
            let archive = self.app.experiments.archive.clone();
            let of = name.to_string();
            drop(tokio::task::spawn_blocking(move || archive.remove_reports(&of, old.into_iter())));
            let data = json!({
                "experiment": name.as_str(), "run": report.run, "phase": "ended", "verdict": report.verdict,
                "reasons": report.reasons,
            });
            self.app.publisher.tell(EventKind::Experiment, self.app.publisher.generation(), data);
        }
        self.observe();
    }

    async fn keep(&self, report: Report) {
        if self.app.experiments.is_ordered(&report.experiment) {
            return;
        }
        let archive = self.app.experiments.archive.clone();
        let kept = tokio::task::spawn_blocking(move || archive.keep_report(&report)).await;
        if let Ok(Err(error)) = kept {
            tracing::error!(%error, "a report cannot be written to the state directory");
        }
    }

    fn tell(&self, name: &Name, run: u64, phase: RunPhase, reason: Option<&str>) {
        let data = json!({ "experiment": name.as_str(), "run": run, "phase": phase.as_str(), "reason": reason });
        self.app.publisher.tell(EventKind::Experiment, self.app.publisher.generation(), data);
    }
}

fn aborted(by: AbortedBy, reason: &str) -> Aborted {
    Aborted { by, reason: reason.to_owned(), released_within_milliseconds: None }
}
