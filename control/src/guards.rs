//! Guards: conditions that stop all faults when they hold for long enough.
//!
//! The life of a guard: [`run`] looks at the traffic a few times a second, and a task of its own asks for what is asked over
//! HTTP ([`crate::web`]), so that no answer is waited for by another guard; what is too much, and since when, is for [`traffic`] (with
//! an [`account`] where it is a share) and [`remote`] to say; the [`machine`] makes states of that; a trip moves the kill switch,
//! and the [`board`] shows how every guard is. After a resume each begins afresh. All but this file are without a clock and
//! without I/O.

pub(crate) mod account;
pub(crate) mod board;
pub(crate) mod judge;
pub(crate) mod machine;
pub(crate) mod remote;
pub(crate) mod traffic;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use squall_config::model::{Condition, Guard};
use tokio::task::AbortHandle;
use tokio::time::MissedTickBehavior;

use crate::actor::{Actor, Part};
use crate::app::App;
use crate::disk::Disk;
use crate::events::EventKind;
use crate::publish::{Guarded, Publisher};
use crate::web::Web;
use judge::Finding;
use machine::{Machine, State, Step};
use remote::RemoteJudge;
use traffic::TrafficJudge;

/// Time between two looks: a trip comes at most so long after its time, and what it costs is a few sums.
const STEP: Duration = Duration::from_millis(250);

/// Watches over the guards of the configuration in force; never returns.
pub(crate) async fn run(app: Arc<App>, web: Arc<dyn Web>) {
    let mut ticks = tokio::time::interval(STEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut watched, mut disk) = (Watched::default(), Disk::default());
    loop {
        ticks.tick().await;
        if watched.follow(&app, &web) && watched.step(&app, Instant::now()) {
            app.publisher.write_later(&mut disk, Publisher::write_down);
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
    how: How,
}

/// How a guard is watched.
enum How {
    /// Step by step, by whoever looks at the traffic.
    Traffic(Box<(Machine, TrafficJudge)>),
    /// By a task, which ends with it.
    Remote(AbortHandle),
}

impl Drop for How {
    fn drop(&mut self) {
        if let Self::Remote(task) = self {
            task.abort();
        }
    }
}

impl Watch {
    fn begin(guard: &Guard, app: &Arc<App>, web: &Arc<dyn Web>) -> Self {
        let machine = Machine::new(guard.clone());
        let judge = match guard.condition.clone() {
            Condition::Traffic(condition) => {
                let how = How::Traffic(Box::new((machine, TrafficJudge::new(condition))));
                return Self { guard: guard.clone(), how };
            }
            Condition::Query(query) => RemoteJudge::of_query(query),
            Condition::Probe(probe) => RemoteJudge::of_probe(probe),
        };
        let task = ask_on(Arc::clone(app), Arc::clone(web), guard.clone(), machine, judge);
        Self { guard: guard.clone(), how: How::Remote(tokio::spawn(task).abort_handle()) }
    }
}

impl Watched {
    /// Takes over the guards of the configuration in force. Those that stay as they are go on; all begin afresh when somebody
    /// resumed. Gives whether there are any.
    fn follow(&mut self, app: &Arc<App>, web: &Arc<dyn Web>) -> bool {
        let Guarded { config, resumes } = app.publisher.guarded();
        if resumes != self.resumes {
            (self.guards, self.resumes) = (Vec::new(), resumes);
            app.guards.set(&[]);
        }
        let is_same = config.guards.iter().eq(self.guards.iter().map(|watch| &watch.guard));
        if !is_same {
            let mut before = std::mem::take(&mut self.guards);
            let mut kept = |guard: &Guard| {
                let place = before.iter().position(|watch| watch.guard == *guard)?;
                Some(before.swap_remove(place))
            };
            let begin = |guard: &Guard| Watch::begin(guard, app, web);
            self.guards = config.guards.iter().map(|guard| kept(guard).unwrap_or_else(|| begin(guard))).collect();
            app.guards.set(&config.guards);
        }
        !self.guards.is_empty()
    }

    /// Looks at the traffic. Gives whether a guard tripped.
    fn step(&mut self, app: &App, now: Instant) -> bool {
        let of_traffic = |watch: &Watch| matches!(watch.how, How::Traffic(_));
        if !self.guards.iter().any(of_traffic) {
            return false;
        }
        let traffic = app.data_plane.traffic();
        let mut has_tripped = false;
        for Watch { guard, how } in &mut self.guards {
            let How::Traffic(parts) = how else { continue };
            let (machine, judge) = &mut **parts;
            let found = judge.step(now, &traffic);
            has_tripped |= take_step(app, guard, machine, now, &found);
        }
        has_tripped
    }
}

/// Asks again and again, until it has tripped. The next question comes at its time, or when the guard would trip.
async fn ask_on(app: Arc<App>, web: Arc<dyn Web>, guard: Guard, mut machine: Machine, mut judge: RemoteJudge) {
    let resumes = app.publisher.guarded().resumes;
    let mut disk = Disk::default();
    loop {
        let asked = Instant::now();
        let answer = tokio::time::timeout(judge.target().timeout, web.ask(judge.request())).await;
        let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {:?}", judge.target().timeout)));
        let now = Instant::now();
        let found = judge.step(now, answer);
        if app.publisher.guarded().resumes != resumes {
            // Somebody resumed meanwhile: what is known is of before.
            return;
        }
        if take_step(&app, &guard, &mut machine, now, &found) {
            app.publisher.write_later(&mut disk, Publisher::write_down);
            return;
        }
        let next = asked + judge.target().every;
        let next = machine.due().map_or(next, |due| next.min(due.max(now)));
        tokio::time::sleep_until(next.into()).await;
    }
}

/// Takes in what was found about a guard, and does what it comes to. Gives whether it tripped.
fn take_step(app: &App, guard: &Guard, machine: &mut Machine, now: Instant, found: &Finding) -> bool {
    let step = machine.step(now, found);
    app.guards.note(&guard.name, machine.state(), found);
    let has_tripped = matches!(step, Step::Trip(_));
    act_on(app, guard, machine.state(), found, step);
    has_tripped
}

/// Does what a step of a guard came to.
fn act_on(app: &App, guard: &Guard, state: State, found: &Finding, step: Step) {
    let Guard { name, condition } = guard;
    let (word, trouble) = (state.as_str(), found.trouble.as_deref());
    let reason = match step {
        Step::Same => return,
        Step::Changed if state == State::Ok => {
            tracing::info!(guard = %name, state = word, %condition, "a guard is well again");
            None
        }
        Step::Changed => {
            tracing::warn!(guard = %name, state = word, %condition, trouble, "a guard is not well");
            None
        }
        Step::Trip(reason) => {
            app.guards.note_trip(name, &reason);
            app.publisher.halt(Actor::Squall(Part::Guard), &reason);
            Some(reason)
        }
    };
    let data = json!({
        "guard": name.as_str(), "state": word, "condition": condition.to_string(), "value": found.value,
        "trouble": trouble, "reason": reason,
    });
    app.publisher.tell(EventKind::Guard, app.publisher.generation(), data);
}

#[cfg(test)]
#[path = "guards/tests.rs"]
mod tests;
