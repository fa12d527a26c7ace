//! Life of one TCP connection: decide → (refuse, reset, hold) → dial → move bytes both ways → end.
//!
//! One future per connection: `control` (drain, new snapshots, times) and the two pumps are polled by one task, and
//! between two events everything is plain state, so a new rule takes hold of a connection that dials, flows or idles.

use std::convert::Infallible;
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use squall_config::model::Phase;
use squall_fault::budget::Budget;
use squall_fault::snapshot::Snapshot;
use tokio::io::Interest;

use super::active::{ActiveFaults, ConnectDelay, Cutoff, Terminal};
use super::end::{RelayEnd, RelayOutcome, Side};
use super::event::Event;
use super::fault::{Circumstances, ConnectionFaults};
use super::pump::{Intake, Pump};
use super::pumps::{Broken, FlowEnd, Pumps};
use super::record::RelayRecord;
use super::relayed::Relayed;
use crate::life::{Control, Life};
use crate::net::linger::linger;
use crate::net::reset::Io;
use crate::net::stream::Stream;
use crate::net::timer::sleep_until_exact;

/// RST makes the kernel discard what it has not sent yet. The bytes that a reset lets pass first get this long to leave.
const RESET_GRACE: Duration = Duration::from_millis(20);

/// What a relay needs besides its sockets.
pub(crate) struct RelayContext<D> {
    pub(crate) relayed: Relayed,
    /// Every published snapshot, of which the current one is the relay's first; a drain lifts all faults, its deadline cuts.
    pub(crate) control: Control,
    /// Bounds what faults hold at once.
    pub(crate) budget: Budget,
    /// Gets what happens as it happens.
    pub(crate) record: Rc<dyn RelayRecord>,
    /// What was read from the endpoint before; only a tunnel has such.
    pub(crate) early: Bytes,
    /// Connects to the endpoint within its timeout; not polled while a fault holds the connection, and not at all when
    /// refused.
    pub(crate) dial: D,
}

/// Relays one connection until it ends, and closes both sides in the way that the end asks for.
///
/// Dropping the future closes both sides without a reset.
pub(crate) async fn relay<D, E>(context: RelayContext<D>, downstream: Io) -> RelayOutcome<E>
where
    D: Future<Output = Result<Stream, E>>,
{
    let RelayContext { relayed, control, budget, record, early, dial } = context;
    let (mut downstream, sent) = downstream.into_parts();
    let now = Instant::now();
    let mut relay = Relay {
        relayed,
        control,
        is_over: false,
        budget,
        record,
        faults: ConnectionFaults::default(),
        terminals: Vec::new(),
        connect: None,
        pumps: Pumps {
            request: Pump::new(Phase::Request, sent, now),
            response: Pump::new(Phase::Response, early, now),
            broken: None,
        },
    };
    relay.decide(Stage::Accepted);
    let is_let_in = relay.relayed.tenure.is_some();
    let farewell = |end: &RelayEnd<E>, side| end.farewell(side, is_let_in);
    let end = match relay.establish(&downstream, dial).await {
        Err(end) => {
            if farewell(&end, Side::Downstream).say(&downstream) {
                linger(&mut downstream).await;
            }
            end
        }
        Ok(mut upstream) => {
            let end = relay.flow(&mut downstream, &mut upstream).await.into_end();
            let is_to_close = farewell(&end, Side::Downstream).say(&downstream);
            if farewell(&end, Side::Upstream).say(&upstream) | is_to_close {
                // At the same time: neither side's end waits for the other's.
                tokio::join!(linger(&mut downstream), linger(&mut upstream));
            }
            end
        }
    };
    RelayOutcome { end, passed: relay.pumps.passed() }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Accepted,
    Open,
}

/// All state of a connection but its sockets.
struct Relay {
    relayed: Relayed,
    control: Control,
    /// It ended with its listener.
    is_over: bool,
    budget: Budget,
    record: Rc<dyn RelayRecord>,
    faults: ConnectionFaults,
    /// What ends it.
    terminals: Vec<Terminal>,
    /// What holds it before it is established.
    connect: Option<ConnectDelay>,
    pumps: Pumps,
}

impl Relay {
    /// Takes the current snapshot and puts into effect what it says now.
    fn decide(&mut self, stage: Stage) {
        let snapshot = Arc::clone(&self.control.changes.borrow_and_update());
        if self.relayed.is_over(&snapshot) {
            self.is_over = true;
            return;
        }
        let listener = self.relayed.listener_in(&snapshot);
        let is_serving = *self.control.life.borrow() == Life::Serving;
        let circumstances = Circumstances {
            subject: self.relayed.subject(),
            budget: &self.budget,
            record: &*self.record,
            is_new: stage == Stage::Accepted,
            passed: self.pumps.passed(),
            now: Instant::now(),
        };
        let active = self.faults.update(&snapshot, listener.as_deref().filter(|_| is_serving), &circumstances);
        if let Some(active) = active {
            self.apply(active, &snapshot);
        }
        // A listener that was removed and whose connections do not end with it lets them live, without rules.
        if let Some(listener) = listener {
            self.relayed.listener = listener;
        }
    }

    fn apply(&mut self, mut active: ActiveFaults, snapshot: &Snapshot) {
        // A stream with a hole means nothing any more: it ends with the fault that made it.
        for direction in [Phase::Request, Phase::Response] {
            let hole = self.terminals.iter().find(|terminal| terminal.is_hole(direction));
            if let Some(hole) = hole.filter(|_| !active.terminals.iter().any(|now| now.is_hole(direction))) {
                active.terminals.push(Terminal { at: Cutoff::Due(Instant::now()), ..hole.clone() });
            }
        }
        let queued_max = snapshot.config.limits.stream_buffer_bytes_max;
        for (direction, spec) in [(Phase::Request, &active.request), (Phase::Response, &active.response)] {
            let pump = self.pumps.of_mut(direction);
            pump.configure(spec, queued_max);
            pump.set_pass_until(pass_until(&active.terminals, direction));
            pump.set_intake(intake(&active.terminals, direction));
        }
        (self.terminals, self.connect) = (active.terminals, active.connect);
    }

    fn is_held(&self) -> bool {
        self.terminals.iter().any(|terminal| matches!(terminal.at, Cutoff::Silence(_)))
    }

    /// Until when a connection that is not established yet is held by a delay.
    fn connect_due(&self, now: Instant) -> Option<Instant> {
        self.connect.as_ref().map(|delay| delay.until).filter(|until| *until > now)
    }

    /// Dials, unless a fault ends the connection before.
    async fn establish<D, E>(&mut self, downstream: &Stream, dial: D) -> Result<Stream, RelayEnd<E>>
    where
        D: Future<Output = Result<Stream, E>>,
    {
        let mut dial = pin!(dial);
        let accepted = Instant::now();
        loop {
            let now = Instant::now();
            let due = self.due(now).map_err(RelayEnd::into_end)?;
            let connect_due = self.connect_due(now);
            if let (Some(delay), None) = (&self.connect, connect_due) {
                self.record.on_latency(&delay.rule, now - accepted);
                self.connect = None;
            }
            let due = [due, connect_due].into_iter().flatten().min();
            let is_held = self.is_held() || connect_due.is_some();
            let work = async {
                // A connection that is held does not exist for upstream.
                if is_held {
                    gave_up(downstream).await;
                    return Err(RelayEnd::Abandoned);
                }
                dial.as_mut().await.map_err(RelayEnd::ConnectFailed)
            };
            match self.control.next(due, work).await {
                Event::Work(done) => return done,
                Event::Changed => self.decide(Stage::Open),
                Event::Due => {}
                Event::Cut => return Err(RelayEnd::Cut),
            }
        }
    }

    /// Moves bytes both ways until both directions have ended or something ends them.
    async fn flow(&mut self, downstream: &mut Stream, upstream: &mut Stream) -> RelayEnd<Infallible> {
        loop {
            let due = match self.due(Instant::now()) {
                Ok(due) => due,
                Err(end) => return end,
            };
            let is_held = self.is_held();
            let Self { control, pumps, record, .. } = self;
            let work = async {
                if !is_held {
                    return poll_fn(|cx| pumps.poll(cx, downstream, upstream, &**record)).await;
                }
                // While nothing is read, only the socket's state can tell that downstream has gone; it says nothing
                // new about one that had ended its direction before.
                if pumps.request.has_ended() {
                    pending::<()>().await;
                }
                gave_up(downstream).await;
                FlowEnd::Abandoned
            };
            match control.next(due, work).await {
                Event::Work(FlowEnd::Finished) => return RelayEnd::Finished,
                Event::Work(FlowEnd::Broken(Broken { by, error })) => return RelayEnd::Broken { by, error },
                Event::Work(FlowEnd::Abandoned) => return RelayEnd::Abandoned,
                Event::Work(FlowEnd::DataCame(direction)) => self.data_came(direction),
                Event::Work(FlowEnd::LimitReached(direction)) => {
                    sleep_until_exact(Instant::now() + RESET_GRACE).await;
                    return self.limit_reached(direction);
                }
                Event::Changed => self.decide(Stage::Open),
                Event::Due => {}
                Event::Cut => return RelayEnd::Cut,
            }
        }
    }

    /// Ends what is over by now; else when to look again.
    fn due(&mut self, now: Instant) -> Result<Option<Instant>, RelayEnd<Infallible>> {
        if self.is_over {
            return Err(RelayEnd::ListenerEnded);
        }
        let idle = self.relayed.listener.listener.idle_timeout.map(|timeout| self.pumps.last_moved() + timeout);
        if idle.is_some_and(|at| at <= now) {
            return Err(RelayEnd::Idle);
        }
        let mut next = idle;
        let last_moved = |direction| self.pumps.of(direction).last_moved();
        for Terminal { rule, kind, at, how, .. } in &self.terminals {
            let Some(at) = at.due(last_moved) else { continue };
            if at <= now {
                self.faults.report(rule, kind, &*self.record);
                return Err(RelayEnd::Injected { rule: rule.clone(), kind, how: *how });
            }
            next = Some(next.map_or(at, |next| next.min(at)));
        }
        Ok(next)
    }

    fn limit_reached(&mut self, direction: Phase) -> RelayEnd<Infallible> {
        let is_limit = |terminal: &&Terminal| matches!(terminal.at, Cutoff::Passed(on, _) if on == direction);
        let Some(Terminal { rule, kind, how, .. }) = self.terminals.iter().find(is_limit) else {
            debug_assert!(false, "only what ends a connection limits a pump");
            return RelayEnd::Cut;
        };
        self.faults.report(rule, kind, &*self.record);
        RelayEnd::Injected { rule: rule.clone(), kind, how: *how }
    }

    /// Something came in a direction in which a fault has waited for that.
    fn data_came(&mut self, direction: Phase) {
        let now = Instant::now();
        for terminal in &mut self.terminals {
            if let Cutoff::AfterData(on, time) = terminal.at
                && on == direction
            {
                terminal.at = Cutoff::SinceData(on, now + time);
                self.faults.data_came(&terminal.rule, now);
            }
        }
        self.pumps.of_mut(direction).set_intake(intake(&self.terminals, direction));
    }
}

/// How much may pass in this direction before a fault ends the connection.
fn pass_until(terminals: &[Terminal], direction: Phase) -> Option<u64> {
    terminals.iter().find_map(|terminal| match terminal.at {
        Cutoff::Passed(on, pass_until) if on == direction => Some(pass_until),
        _ => None,
    })
}

/// What becomes of what comes in this direction.
fn intake(terminals: &[Terminal], direction: Phase) -> Intake {
    let of_direction = |terminal: &Terminal| match terminal.at {
        Cutoff::AfterData(on, _) if on == direction => Some(Intake::Awaited),
        Cutoff::SinceData(on, _) if on == direction => Some(Intake::Shut),
        Cutoff::Hole { on, .. } if on == direction => Some(Intake::Dropped),
        _ => None,
    };
    terminals.iter().find_map(of_direction).unwrap_or(Intake::Passed)
}

/// Returns when the peer has closed or reset its side, whether or not unread bytes lie before that.
async fn gave_up(stream: &Stream) {
    // This interest means "urgent data or read side closed"; the first is not registered, so it cannot wake us.
    // An error means that the socket is no longer of use.
    let _state = stream.tcp().ready(Interest::PRIORITY).await;
}
