//! The experiments that a controller ordered: each run is begun once, when it can be, and ends with its order.

use std::collections::BTreeMap;

use squall_config::model::Name;
use squall_orders::ExperimentReport;

use super::answer::shortened;
use super::answer::{ExperimentOrder, Unread};
use super::orders::SILENT;
use super::report;
use crate::actor::CONTROLLER;
use crate::app::App;
use crate::audit::Note;
use crate::experiment::board::{Entry, Refusal};
use crate::experiment::start::{asks_others, check, fits};

/// Why it ends when the controller does not order it any more.
const WITHDRAWN: &str = "the controller withdrew it";

/// The ordered experiments, by name.
#[derive(Debug, Default)]
pub(super) struct Runs {
    runs: BTreeMap<String, Run>,
    unread: Vec<Unread>,
}

#[derive(Debug)]
struct Run {
    order: ExperimentOrder,
    state: State,
}

/// How a run stands here.
#[derive(Debug)]
enum State {
    /// It has not begun, and why. It is tried again.
    Waiting(String),
    /// It is on the board.
    Begun,
    /// It ended with the lease, and was taken off the board.
    Over(ExperimentReport),
}

impl Runs {
    /// These are ordered from now on: those of others end, new ones begin as soon as they can.
    pub(super) fn follow(&mut self, app: &App, orders: Vec<Result<ExperimentOrder, Unread>>) {
        self.unread.clear();
        let mut before = std::mem::take(&mut self.runs);
        for order in orders {
            match order {
                Err(unread) => self.unread.push(unread),
                Ok(order) if self.runs.contains_key(&order.name) => {
                    let problem = "another experiment of the orders has this name".to_owned();
                    self.unread.push(Unread { name: order.name, problem });
                }
                Ok(order) => {
                    let state = match before.remove(&order.name) {
                        Some(run) if run.order.run == order.run => run.state,
                        // What runs under the name, if anything does, ends first.
                        _ => State::Waiting("it has not begun".to_owned()),
                    };
                    self.runs.insert(order.name.clone(), Run { order, state });
                }
            }
        }
        self.step(app, true);
    }

    /// Goes on: ends what is not ordered any more, begins what waits.
    pub(super) fn step(&mut self, app: &App, is_led: bool) {
        let board = &app.experiments;
        for name in board.ordered() {
            let run = self.runs.get_mut(&name).filter(|run| matches!(run.state, State::Begun));
            let reason = match (&run, is_led) {
                (None, _) => WITHDRAWN,
                (Some(_), false) => SILENT,
                (Some(_), true) => continue,
            };
            // One that has ended by itself cannot be stopped; what counts is that it does not run.
            let _not_running = board.stop(&name, reason);
            let Some(entry) = board.remove_ordered(&name) else { continue };
            app.audit.note(noted(app, "deleteExperiment", &name));
            if let Some(run) = run {
                run.state = State::Over(told(&name, &entry));
            }
        }
        if is_led {
            for (name, run) in &mut self.runs {
                if let State::Waiting(_) = run.state {
                    run.state = begin(app, name, &run.order).map_or_else(State::Waiting, |()| State::Begun);
                }
            }
        }
    }

    /// Whether one is ending.
    pub(super) fn is_busy(&self, app: &App) -> bool {
        let is_begun = |name: &String| self.runs.get(name).is_some_and(|run| matches!(run.state, State::Begun));
        app.experiments.ordered().iter().any(|name| !is_begun(name))
    }

    /// How they are.
    pub(super) fn reports(&self, app: &App) -> Vec<ExperimentReport> {
        let report = |(name, run): (&String, &Run)| match &run.state {
            State::Waiting(problem) => report::waiting(name, problem),
            State::Over(report) => report.clone(),
            State::Begun => match app.experiments.get(name) {
                Some(entry) => told(name, &entry),
                None => report::waiting(name, "it is gone"),
            },
        };
        let unread = self.unread.iter().map(|unread| report::waiting(&unread.name, &unread.problem));
        self.runs.iter().map(report).chain(unread).collect()
    }
}

/// Puts an experiment on the board and begins a run of it; else says why not.
fn begin(app: &App, name: &str, order: &ExperimentOrder) -> Result<(), String> {
    let board = &app.experiments;
    let taken = |is_ordered: bool| match is_ordered {
        true => "the run before it has not ended yet".to_owned(),
        false => "there is an experiment of this name here already".to_owned(),
    };
    if let Some(entry) = board.get(name) {
        return Err(taken(entry.is_ordered));
    }
    // What never changes is said first.
    if asks_others(&fits(app, &order.document).map_err(|refused| refused.to_string())?) {
        let detail =
            "it makes Squall ask other addresses (prometheus or probe), which nobody may from outside of this pod";
        return Err(detail.to_owned());
    }
    let mut experiment = check(app, &order.document).map_err(|refused| refused.to_string())?;
    // When it runs is for the controller to say.
    experiment.schedule = None;
    let name: Name = experiment.name.clone();
    board.put_ordered(&name, order.document.clone()).map_err(|refusal| match refusal {
        Refusal::TooMany => "there are too many experiments here".to_owned(),
        _ => taken(false),
    })?;
    board.ask(experiment).map_err(|refusal| format!("{refusal:?}"))?;
    app.audit.note(noted(app, "startExperiment", name.as_str()));
    tracing::info!(experiment = %name, run = order.run, "the controller ordered an experiment");
    Ok(())
}

fn noted(app: &App, operation: &str, name: &str) -> Note {
    Note::done(&CONTROLLER, operation, app.publisher.generation()).because(&format!("experiment {name}"))
}

/// How one on the board is.
fn told(name: &str, entry: &Entry) -> ExperimentReport {
    let report = entry.report(None);
    let has_verdict = report.as_ref().is_some_and(|report| report.verdict.is_some());
    let phase = match entry.phase() {
        "idle" => "pending",
        // The last exchanges are waited for; who hears of the end hears of the verdict.
        "done" | "aborted" if !has_verdict => "recovering",
        phase => phase,
    };
    ExperimentReport {
        name: name.to_owned(),
        phase: phase.to_owned(),
        verdict: report.as_ref().and_then(|report| report.verdict).map(|verdict| verdict.as_str().to_lowercase()),
        reasons: report.iter().flat_map(|report| &report.reasons).map(|reason| shortened(reason)).collect(),
        injected: report.iter().flat_map(|report| &report.rules).map(|rule| rule.injected).sum(),
        problem: None,
    }
}
