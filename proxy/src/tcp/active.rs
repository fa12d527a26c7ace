//! What is on for one connection, put together from the rules that picked it.

use std::time::{Duration, Instant};

use squall_config::model::{Amount, Blackhole, Delay, DelayPoint, Fault, Name, Phase, ResetMoment, Stall, Truncate};
use squall_config::units::ByteRate;
use squall_fault::budget::Permit;
use squall_fault::decide::LatencyStream;

use super::stream::{CorruptSpec, DelaySpec, SliceSpec, SlowCloseSpec, StallSpec, StreamSpec, ThrottleSpec};

/// All that is on, over all rules.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ActiveFaults {
    /// What ends the connection, of each lane the first of the rules in order.
    pub(super) terminals: Vec<Terminal>,
    pub(super) connect: Option<ConnectDelay>,
    pub(super) request: StreamSpec,
    pub(super) response: StreamSpec,
}

/// A delay that holds the connection before it is established.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ConnectDelay {
    pub(super) rule: Name,
    pub(super) until: Instant,
}

/// A fault that decides how the connection ends: both sides are closed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Terminal {
    pub(super) rule: Name,
    pub(super) kind: &'static str,
    /// The direction that it is about; `None` is the connection as a whole, and its answer. One of each is on at a time.
    pub(super) lane: Option<Phase>,
    pub(super) at: Cutoff,
    pub(super) how: How,
}

/// When a fault ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cutoff {
    Due(Instant),
    /// Once so many bytes of this direction have passed in all.
    Passed(Phase, u64),
    /// So long after the next that comes in this direction.
    AfterData(Phase, Duration),
    /// It came; nothing more of this direction passes before that.
    SinceData(Phase, Instant),
    /// Silence before that, at most until then.
    Silence(Option<Instant>),
    /// What comes in this direction is dropped before that.
    Hole {
        on: Phase,
        since: Instant,
        max: Option<Duration>,
        idle: Option<Duration>,
    },
}

impl Terminal {
    /// Whether it is there to be seen before it ends the connection.
    pub(super) fn has_begun(&self) -> bool {
        matches!(self.at, Cutoff::Silence(_) | Cutoff::Hole { .. })
    }

    /// Whether it drops what comes in this direction.
    pub(super) fn is_hole(&self, direction: Phase) -> bool {
        matches!(self.at, Cutoff::Hole { on, .. } if on == direction)
    }
}

impl Cutoff {
    /// When it comes, as far as it is a matter of time; `last` is when something moved last in a direction.
    pub(super) fn due(&self, last: impl Fn(Phase) -> Instant) -> Option<Instant> {
        match self {
            Self::Due(at) | Self::SinceData(_, at) => Some(*at),
            Self::Silence(until) => *until,
            Self::Passed(..) | Self::AfterData(..) => None,
            Self::Hole { on, since, max, idle } => {
                let (max, idle) = (max.map(|max| *since + max), idle.map(|idle| last(*on).max(*since) + idle));
                [max, idle].into_iter().flatten().min()
            }
        }
    }
}

/// How a fault ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Reset,
    /// FIN, as if the upstream had come to its end.
    Close,
}

/// A rule that is on.
#[derive(Debug)]
pub(super) struct On {
    pub(super) rule: Name,
    pub(super) faults: Vec<Fault>,
    pub(super) since: Instant,
    /// Whether that was when the connection was accepted.
    pub(super) is_from_start: bool,
    /// When something came in the direction in which it was waited for.
    pub(super) data_since: Option<Instant>,
    /// Bytes that had passed then.
    pub(super) passed_before: Passed,
    /// Of the random stream of latencies.
    pub(super) seed: u64,
    pub(super) _permit: Permit,
}

/// Bytes that have passed in each direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Passed {
    /// Written to upstream.
    pub(crate) request: u64,
    /// Written to downstream.
    pub(crate) response: u64,
}

impl Passed {
    fn of(self, direction: Phase) -> u64 {
        match direction {
            Phase::Request => self.request,
            Phase::Response => self.response,
        }
    }
}

impl ActiveFaults {
    /// Adds the faults of a rule that is on. `is_new` tells that the connection was accepted just now.
    pub(super) fn add(&mut self, on: &On, is_new: bool) {
        for (index, fault) in (0..).zip(&on.faults) {
            let rule = || on.rule.clone();
            // Two faults of one rule, and the two directions of one fault, draw from streams of their own.
            let seed = on.seed ^ (index << 1);
            match fault {
                Fault::Delay(delay) => self.add_delay(on, delay),
                Fault::Throttle(throttle) => {
                    self.each(throttle.direction, |spec, _| spec.bound(&on.rule, throttle.rate));
                }
                Fault::Slice(slice) => self.each(slice.direction, |spec, side| {
                    spec.slice.get_or_insert_with(|| SliceSpec { rule: rule(), slice: *slice, seed: seed ^ side });
                }),
                Fault::Corrupt(corrupt) => self.each(Some(corrupt.direction), |spec, side| {
                    spec.corrupt.push(CorruptSpec { rule: rule(), rate: corrupt.rate, seed: seed ^ side });
                }),
                Fault::SlowClose(slow) => self.each(slow.direction, |spec, _| {
                    spec.slow_close.get_or_insert_with(|| SlowCloseSpec { rule: rule(), delay: slow.delay });
                }),
                Fault::Stall(stall) => self.each(Some(stall.on), |spec, _| {
                    spec.stall.get_or_insert_with(|| on.stall(stall));
                }),
                terminal => {
                    let terminal = on.terminal(terminal, is_new);
                    let is_first = |new: &Terminal| self.terminals.iter().all(|known| known.lane != new.lane);
                    self.terminals.extend(terminal.filter(is_first));
                }
            }
        }
    }

    /// Alters one direction, or both; each comes with a number of its own.
    fn each(&mut self, direction: Option<Phase>, alter: impl Fn(&mut StreamSpec, u64)) {
        if direction.is_none_or(|direction| direction == Phase::Request) {
            alter(&mut self.request, 0);
        }
        if direction.is_none_or(|direction| direction == Phase::Response) {
            alter(&mut self.response, 1);
        }
    }

    fn add_delay(&mut self, on: &On, delay: &Delay) {
        let Amount::Drawn(latency) = &delay.amount else { return };
        let spec =
            |side| DelaySpec { rule: on.rule.clone(), latency: latency.clone(), max: delay.max, seed: on.seed ^ side };
        match delay.on {
            DelayPoint::Connect if on.is_from_start => {
                let since = self.connect.as_ref().map_or(on.since, |before| before.until);
                let held = LatencyStream::new(latency.clone(), delay.max, on.seed).next_latency();
                self.connect = Some(ConnectDelay { rule: on.rule.clone(), until: since + held });
            }
            DelayPoint::Connect => {}
            DelayPoint::Request => self.request.delays.push(spec(0)),
            DelayPoint::Response => self.response.delays.push(spec(1)),
        }
    }
}

impl StreamSpec {
    /// Of several throttles the slowest holds.
    fn bound(&mut self, rule: &Name, rate: ByteRate) {
        if self.throttle.as_ref().is_none_or(|slowest| rate < slowest.rate) {
            self.throttle = Some(ThrottleSpec { rule: rule.clone(), rate });
        }
    }
}

impl On {
    fn terminal(&self, fault: &Fault, is_new: bool) -> Option<Terminal> {
        let (lane, at, how) = match fault {
            Fault::Refuse if is_new => (None, Cutoff::Due(self.since), How::Reset),
            Fault::Reset(reset) => match reset.moment {
                ResetMoment::Request | ResetMoment::Response { after_bytes: 0 } => {
                    (None, Cutoff::Due(self.since + self.own_delay()), How::Reset)
                }
                ResetMoment::Response { after_bytes } => (None, self.passed(Phase::Response, after_bytes), How::Reset),
                ResetMoment::After(time) => (None, Cutoff::Due(self.since + time), How::Reset),
                ResetMoment::AfterData { on, time } => {
                    let at = self.data_since.map_or(Cutoff::AfterData(on, time), |at| Cutoff::SinceData(on, at + time));
                    (Some(on), at, How::Reset)
                }
            },
            Fault::Truncate(Truncate::AfterBytes { on: Phase::Request, bytes }) => {
                let at = if *bytes == 0 { Cutoff::Due(self.since) } else { self.passed(Phase::Request, *bytes) };
                (Some(Phase::Request), at, How::Close)
            }
            Fault::Truncate(Truncate::AfterBytes { on, bytes }) => (None, self.passed(*on, *bytes), How::Close),
            Fault::Truncate(Truncate::After(time)) => (None, Cutoff::Due(self.since + *time), How::Close),
            Fault::Blackhole(Blackhole { direction: Some(on), max, idle }) => {
                (Some(*on), Cutoff::Hole { on: *on, since: self.since, max: *max, idle: *idle }, How::Close)
            }
            Fault::Blackhole(hole) => (None, Cutoff::Silence(hole.max.map(|max| self.since + max)), How::Close),
            _ => return None,
        };
        Some(Terminal { rule: self.rule.clone(), kind: fault.kind(), lane, at, how })
    }

    fn passed(&self, on: Phase, bytes: u64) -> Cutoff {
        Cutoff::Passed(on, self.passed_before.of(on).saturating_add(bytes))
    }

    fn stall(&self, stall: &Stall) -> StallSpec {
        StallSpec {
            rule: self.rule.clone(),
            pass_until: self.passed_before.of(stall.on).saturating_add(stall.after_bytes),
            until: stall.max.map(|max| self.since + max),
        }
    }

    /// Delay first, then the terminal fault: the latency of its rule puts a reset off.
    fn own_delay(&self) -> Duration {
        let draw = |fault: &Fault| match fault {
            Fault::Delay(Delay { amount: Amount::Drawn(latency), on: DelayPoint::Request, max }) => {
                LatencyStream::new(latency.clone(), *max, self.seed).next_latency()
            }
            _ => Duration::ZERO,
        };
        self.faults.iter().map(draw).sum()
    }
}
