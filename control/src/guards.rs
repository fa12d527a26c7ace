//! Guards: conditions that stop all faults when they hold for long enough.
//!
//! The life of a guard: [`run`] looks at the traffic a few times a second; what of it is too much, and since when, is for
//! [`traffic`] to say (with an [`account`] where it is a share); the [`machine`] makes states of that; a trip moves the kill
//! switch, and the [`board`] shows how every guard is. After a resume each begins afresh. All but this file are without a
//! clock and without I/O.

mod account;
pub(crate) mod board;
mod judge;
mod machine;
mod traffic;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use squall_config::model::{Condition, Guard};
use tokio::time::MissedTickBehavior;

use crate::actor::Actor;
use crate::disk::Disk;
use crate::events::EventKind;
use crate::publish::Publisher;
use judge::Finding;
use machine::{Machine, State, Step};
use traffic::TrafficJudge;

/// Time between two looks: a trip comes at most so long after its time, and what it costs is a few sums.
const STEP: Duration = Duration::from_millis(250);

/// Watches over the guards of the configuration in force; never returns.
pub(crate) async fn run(publisher: Arc<Publisher>) {
    let mut ticks = tokio::time::interval(STEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut watched, mut disk) = (Watched::default(), Disk::default());
    loop {
        ticks.tick().await;
        if watched.follow(&publisher) && watched.step(&publisher, Instant::now()) {
            disk.write(&publisher, Publisher::write_down);
        }
    }
}

/// The guards that are watched.
#[derive(Default)]
struct Watched {
    guards: Vec<Watch>,
    /// How often somebody had resumed when they began.
    resumes: u64,
}

struct Watch {
    guard: Guard,
    machine: Machine,
    judge: TrafficJudge,
}

impl Watch {
    fn new(guard: &Guard) -> Self {
        let Condition::Traffic(condition) = guard.condition.clone();
        Self { guard: guard.clone(), machine: Machine::new(guard.clone()), judge: TrafficJudge::new(condition) }
    }
}

impl Watched {
    /// Takes over the guards of the configuration in force. Those that stay as they are go on; all begin afresh when somebody
    /// resumed. Gives whether there are any.
    fn follow(&mut self, publisher: &Publisher) -> bool {
        let (config, resumes) = publisher.guarded();
        if resumes != self.resumes {
            (self.guards, self.resumes) = (Vec::new(), resumes);
        }
        let is_same = config.guards.iter().eq(self.guards.iter().map(|watch| &watch.guard));
        if !is_same {
            let mut before = std::mem::take(&mut self.guards);
            let mut kept = |guard: &Guard| {
                let place = before.iter().position(|watch| watch.guard == *guard)?;
                Some(before.swap_remove(place))
            };
            self.guards = config.guards.iter().map(|guard| kept(guard).unwrap_or_else(|| Watch::new(guard))).collect();
            publisher.guards.set(&config.guards);
        }
        !self.guards.is_empty()
    }

    /// Looks at the traffic. Gives whether a guard tripped.
    fn step(&mut self, publisher: &Publisher, now: Instant) -> bool {
        let traffic = publisher.data_plane().traffic();
        let mut has_tripped = false;
        for Watch { guard, machine, judge } in &mut self.guards {
            let found = judge.step(now, &traffic);
            let step = machine.step(now, &found);
            publisher.guards.note(&guard.name, machine.state(), &found);
            has_tripped |= matches!(step, Step::Trip(_));
            publisher.act_on(guard, machine.state(), &found, step);
        }
        has_tripped
    }
}

impl Publisher {
    /// Does what a step of a guard came to.
    fn act_on(&self, guard: &Guard, state: State, found: &Finding, step: Step) {
        let (name, condition, reason) = (
            &guard.name,
            &guard.condition,
            match step {
                Step::Same => return,
                Step::Changed => {
                    tracing::info!(guard = %guard.name, state = state.as_str(), condition = %guard.condition, "guard");
                    None
                }
                Step::Trip(reason) => Some(reason),
            },
        );
        if let Some(reason) = &reason {
            self.guards.note_trip(name, reason);
            self.halt(Actor::Squall("guard"), reason);
        }
        let data = json!({
            "guard": name.as_str(), "state": state.as_str(), "condition": condition.to_string(), "value": found.value, "reason": reason,
        });
        self.tell(EventKind::Guard, self.stats().generation, data);
    }
}

#[cfg(test)]
#[path = "guards/tests.rs"]
mod tests;
