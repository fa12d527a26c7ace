//! The guards of an experiment: conditions that end it.

use std::sync::Arc;
use std::time::Instant;

use squall_config::model::{Condition, Guard};
use squall_telemetry::Traffic;
use tokio::sync::mpsc;

use super::asking::Asking;
use crate::guards::judge::Finding;
use crate::guards::machine::{Machine, Step};
use crate::guards::remote::RemoteJudge;
use crate::guards::traffic::TrafficJudge;
use crate::web::Web;

/// All of them, while they watch.
pub(super) struct Guarding(Vec<Watch>);

struct Watch {
    guard: Guard,
    machine: Machine,
    how: How,
}

enum How {
    Traffic(Box<TrafficJudge>),
    Remote { _asking: Asking, findings: mpsc::Receiver<Finding> },
}

/// What became of a guard, in words.
pub(super) enum Became {
    /// It is in another state.
    Other(String),
    /// It ends the experiment.
    Tripped(String),
}

impl Guarding {
    /// Begins to watch. Called on a runtime.
    pub(super) fn new(guards: &[Guard], web: &Arc<dyn Web>) -> Self {
        let remote = |judge| {
            let (_asking, findings) = Asking::findings(Arc::clone(web), judge);
            How::Remote { _asking, findings }
        };
        let watch = |guard: &Guard| {
            let how = match guard.condition.clone() {
                Condition::Traffic(condition) => How::Traffic(Box::new(TrafficJudge::new(condition))),
                Condition::Query(query) => remote(RemoteJudge::of_query(query)),
                Condition::Probe(probe) => remote(RemoteJudge::of_probe(probe)),
            };
            Watch { guard: guard.clone(), machine: Machine::new(guard.clone()), how }
        };
        Self(guards.iter().map(watch).collect())
    }

    /// Looks.
    pub(super) fn step(&mut self, now: Instant, traffic: &Traffic) -> Vec<Became> {
        let mut all = Vec::new();
        for Watch { guard, machine, how } in &mut self.0 {
            let findings = match how {
                How::Traffic(judge) => vec![judge.step(now, traffic)],
                How::Remote { findings, .. } => std::iter::from_fn(|| findings.try_recv().ok()).collect(),
            };
            for found in findings {
                match machine.step(now, &found) {
                    Step::Same => {}
                    Step::Changed => {
                        let state = machine.state().as_str();
                        all.push(Became::Other(format!(
                            "{} is {state}: {}; {}",
                            guard.name,
                            guard.condition,
                            found.in_words()
                        )));
                    }
                    Step::Trip(reason) => all.push(Became::Tripped(reason)),
                }
            }
        }
        all
    }
}
