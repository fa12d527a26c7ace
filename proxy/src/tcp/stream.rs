//! One direction of a connection under stream faults: what was read waits here until it may be written.
//!
//! Delay is pipelined: each chunk is due its own latency after it arrived, so latency never becomes a bound on
//! throughput. Pure but for the timer; the pump does the I/O.

use std::collections::VecDeque;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use squall_config::model::{Latency, Name, Slice};
use squall_config::units::{ByteRate, Percentage};
use squall_fault::decide::LatencyStream;
use squall_fault::noise::BitFlips;

use crate::net::timer::ExactSleep;
use crate::pace::pieces::Pieces;
use crate::pace::throttle::TokenBucket;
use crate::pace::{Leave, Pace};

/// What a queued chunk costs beside its bytes, so that one-byte chunks cannot exhaust memory.
const CHUNK_OVERHEAD: usize = 128;
/// How much may wait for a throttle: as much as one read. The rest waits in the kernel, as on a slow line.
const THROTTLE_BACKLOG: usize = 64 * 1024;

/// A delay that a rule puts on this direction.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct DelaySpec {
    pub(super) rule: Name,
    pub(super) latency: Latency,
    pub(super) max: Duration,
    pub(super) seed: u64,
}

/// How fast this direction may be.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ThrottleSpec {
    pub(super) rule: Name,
    pub(super) rate: ByteRate,
}

/// Into which pieces it is cut.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SliceSpec {
    pub(super) rule: Name,
    pub(super) slice: Slice,
    pub(super) seed: u64,
}

/// How often a bit of it is another one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct CorruptSpec {
    pub(super) rule: Name,
    pub(super) rate: Percentage,
    pub(super) seed: u64,
}

/// How late its end is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SlowCloseSpec {
    pub(super) rule: Name,
    pub(super) delay: Duration,
}

/// A place in the stream where it stops.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct StallSpec {
    pub(super) rule: Name,
    /// So many bytes pass in all.
    pub(super) pass_until: u64,
    /// The rest passes from then on; `None` never.
    pub(super) until: Option<Instant>,
}

/// The stream faults of one direction, each with the rule that it counts under; empty means none.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct StreamSpec {
    pub(super) delays: Vec<DelaySpec>,
    pub(super) throttle: Option<ThrottleSpec>,
    pub(super) slice: Option<SliceSpec>,
    pub(super) corrupt: Vec<CorruptSpec>,
    pub(super) stall: Option<StallSpec>,
    pub(super) slow_close: Option<SlowCloseSpec>,
}

impl StreamSpec {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// How long the end of the stream is held back alone.
    fn slow_close(&self) -> Duration {
        self.slow_close.as_ref().map_or(Duration::ZERO, |slow| slow.delay)
    }

    /// What is on, under which rules.
    pub(super) fn kinds(&self) -> impl Iterator<Item = (&Name, &'static str)> {
        let delays = self.delays.iter().map(|delay| (&delay.rule, "delay"));
        let throttle = self.throttle.iter().map(|throttle| (&throttle.rule, "throttle"));
        let slice = self.slice.iter().map(|slice| (&slice.rule, "slice"));
        let corrupt = self.corrupt.iter().map(|corrupt| (&corrupt.rule, "corrupt"));
        let stall = self.stall.iter().map(|stall| (&stall.rule, "stall"));
        let slow_close = self.slow_close.iter().map(|slow| (&slow.rule, "slow_close"));
        delays.chain(throttle).chain(slice).chain(corrupt).chain(stall).chain(slow_close)
    }
}

#[derive(Debug)]
struct Chunk {
    arrived: Instant,
    release_at: Instant,
    /// Whether its latency is still to be recorded.
    is_delayed: bool,
    bytes: Bytes,
}

/// The end of the stream.
#[derive(Clone, Copy, Debug)]
struct QueuedEnd {
    arrived: Instant,
    release_at: Instant,
}

/// What can be done with the front of the queue.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Front {
    /// So many bytes of [`StreamFaults::front`] may be written.
    Write(usize),
    /// Nothing before this moment.
    Wait(Instant),
    /// Nothing before other faults are on.
    Held,
    /// All has been written, and the end of the stream is due.
    End,
    /// Nothing is queued.
    Empty,
}

/// The queue of one direction, its delays and its throttle.
#[derive(Debug)]
pub(super) struct StreamFaults {
    spec: StreamSpec,
    /// Under which measured latency counts, also of what a lifted delay has held.
    latency_rule: Option<Name>,
    latencies: Vec<LatencyStream>,
    /// The longest that was drawn under these delays.
    latency_max: Duration,
    pace: Pace,
    corrupt: Vec<BitFlips>,
    queue: VecDeque<Chunk>,
    queued: usize,
    queued_max: usize,
    end: Option<QueuedEnd>,
    timer: Option<ExactSleep>,
}

impl StreamFaults {
    pub(super) fn new(queued_max: usize) -> Self {
        Self {
            spec: StreamSpec::default(),
            latency_rule: None,
            latencies: Vec::new(),
            latency_max: Duration::ZERO,
            pace: Pace::default(),
            corrupt: Vec::new(),
            queue: VecDeque::new(),
            queued: 0,
            queued_max: queued_max.max(1),
            end: None,
            timer: None,
        }
    }

    /// Other faults from now on. What is queued leaves no later than it would have, and at once when no delay is left.
    pub(super) fn configure(&mut self, spec: &StreamSpec, now: Instant) {
        if self.spec.delays != spec.delays || self.spec.slow_close != spec.slow_close {
            self.latencies = spec.delays.iter().map(|d| LatencyStream::new(d.latency.clone(), d.max, d.seed)).collect();
            self.latency_max = Duration::ZERO;
            self.retime(spec.slow_close());
            self.check_invariants();
            self.latency_rule = spec.delays.first().map(|first| first.rule.clone()).or(self.latency_rule.take());
        }
        let rate = spec.throttle.as_ref().map(|throttle| throttle.rate);
        if self.pace.throttle.as_ref().map(TokenBucket::rate) != rate {
            self.pace.throttle = rate.map(|rate| TokenBucket::new(rate, now));
        }
        if self.spec.slice != spec.slice {
            self.pace.pieces = spec.slice.as_ref().map(|on| Pieces::of_stream(&on.slice, on.seed, now));
        }
        if self.spec.corrupt != spec.corrupt {
            self.corrupt = spec.corrupt.iter().map(|on| BitFlips::new(on.rate, on.seed)).collect();
        }
        self.spec.clone_from(spec);
    }

    /// Whether it has nothing left to do, so that the direction can be relayed without it.
    pub(super) fn is_spent(&self) -> bool {
        self.spec.is_empty() && !self.has_queued()
    }

    /// Whether something that was read waits here, the end of the stream too.
    pub(super) fn has_queued(&self) -> bool {
        !self.queue.is_empty() || self.end.is_some()
    }

    /// How many bytes may be read now, when so many have passed. A stalled direction reads nothing, so that the window
    /// of its sender stays shut.
    pub(super) fn room(&self, passed: u64, now: Instant) -> usize {
        if self.stalled(passed, now).is_some() {
            return 0;
        }
        let most = match &self.pace.throttle {
            None => self.queued_max,
            // Beside what waits for the throttle there is what is on its way through the delay: with less than rate ×
            // latency of it the delay would starve the throttle.
            Some(bucket) => {
                let rate = u128::from(bucket.rate().bytes_per_second());
                let in_flight =
                    usize::try_from(rate * self.latency_max.as_nanos() / 1_000_000_000).unwrap_or(usize::MAX);
                in_flight.saturating_add(THROTTLE_BACKLOG).min(self.queued_max)
            }
        };
        most.saturating_sub(self.queued)
    }

    /// Where it stops, once it has come there.
    fn stalled(&self, passed: u64, now: Instant) -> Option<&StallSpec> {
        let is_on = |stall: &&StallSpec| passed >= stall.pass_until && stall.until.is_none_or(|until| now < until);
        self.spec.stall.as_ref().filter(is_on)
    }

    /// Queues what has arrived.
    pub(super) fn push(&mut self, bytes: Bytes, now: Instant) {
        let bytes = self.corrupted(bytes);
        self.queued += bytes.len() + CHUNK_OVERHEAD;
        let release_at = self.release_of(now);
        self.queue.push_back(Chunk { arrived: now, release_at, is_delayed: !self.latencies.is_empty(), bytes });
        self.check_invariants();
    }

    fn corrupted(&mut self, bytes: Bytes) -> Bytes {
        if self.corrupt.is_empty() {
            return bytes;
        }
        let mut bytes = bytes.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        self.corrupt.iter_mut().for_each(|flips| flips.apply(&mut bytes));
        bytes.freeze()
    }

    /// Queues the end of the stream, which is delayed like data, and by what holds back the end alone.
    pub(super) fn push_end(&mut self, now: Instant) {
        debug_assert!(self.end.is_none(), "a stream ends once");
        self.end = Some(QueuedEnd { arrived: now, release_at: self.release_of(now) + self.spec.slow_close() });
    }

    /// What can be done now, when so many bytes have passed.
    pub(super) fn next(&mut self, passed: u64, now: Instant) -> Front {
        if let Some(stall) = self.stalled(passed, now) {
            return stall.until.map_or(Front::Held, Front::Wait);
        }
        let Some(front) = self.queue.front() else {
            return match self.end {
                Some(end) if end.release_at <= now => Front::End,
                Some(end) => Front::Wait(end.release_at),
                None => Front::Empty,
            };
        };
        if front.release_at > now {
            return Front::Wait(front.release_at);
        }
        let until_stall = self.spec.stall.as_ref().filter(|stall| stall.until.is_none_or(|until| now < until));
        let most = until_stall.map_or(u64::MAX, |stall| stall.pass_until - passed);
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(front.bytes.len());
        match self.pace.ask(&front.bytes[..most], now) {
            Leave::Now(granted) => Front::Write(granted),
            Leave::At(at) => Front::Wait(at),
        }
    }

    /// The bytes at the front.
    pub(super) fn front(&self) -> &[u8] {
        self.queue.front().map_or(&[], |chunk| &chunk.bytes)
    }

    /// Measured latency of the front chunk, once, with the rule it counts under (the first that delays).
    pub(super) fn take_latency(&mut self, now: Instant) -> Option<(&Name, Duration)> {
        let front = self.queue.front_mut()?;
        let rule = self.latency_rule.as_ref()?;
        std::mem::take(&mut front.is_delayed).then(|| (rule, now - front.arrived))
    }

    /// Takes bytes that were written off the front.
    pub(super) fn advance(&mut self, written: usize, now: Instant) {
        let Some(front) = self.queue.front_mut() else { return };
        debug_assert!(written <= front.bytes.len());
        self.pace.spend(&front.bytes[..written], now);
        front.bytes.advance(written);
        self.queued -= written;
        if front.bytes.is_empty() {
            self.queued -= CHUNK_OVERHEAD;
            self.queue.pop_front();
        }
        self.check_invariants();
    }

    /// What holds of the queue whenever it has changed; looked at in debug builds alone.
    fn check_invariants(&self) {
        let cost = |chunk: &Chunk| chunk.bytes.len() + CHUNK_OVERHEAD;
        debug_assert_eq!(self.queued, self.queue.iter().map(cost).sum::<usize>(), "what is held is what is counted");
        debug_assert!(
            self.queued - self.queue.back().map_or(0, cost) < self.queued_max,
            "the last chunk came while there was room"
        );
        debug_assert!(
            self.queue.iter().is_sorted_by_key(|chunk| chunk.release_at),
            "nothing leaves before what came earlier"
        );
        debug_assert!(
            self.end.is_none_or(|end| self.queue.back().is_none_or(|last| last.release_at <= end.release_at)),
            "the end comes last"
        );
    }

    /// Ready once `at` has passed.
    pub(super) fn poll_until(&mut self, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| ExactSleep::new(at));
        if timer.deadline() != at {
            timer.reset(at);
        }
        timer.poll(cx)
    }

    /// Order is kept: nothing leaves before what arrived earlier.
    fn release_of(&mut self, arrived: Instant) -> Instant {
        let own = arrived + self.draw();
        self.last_release().map_or(own, |last| own.max(last))
    }

    fn draw(&mut self) -> Duration {
        let latency = self.latencies.iter_mut().map(LatencyStream::next_latency).sum();
        self.latency_max = self.latency_max.max(latency);
        latency
    }

    fn last_release(&self) -> Option<Instant> {
        self.queue.back().map(|chunk| chunk.release_at)
    }

    fn retime(&mut self, slow_close: Duration) {
        let mut last = None;
        for index in 0..self.queue.len() {
            let latency = self.draw();
            let chunk = &mut self.queue[index];
            chunk.release_at = chunk.release_at.min(chunk.arrived + latency);
            last = last.max(Some(chunk.release_at));
            chunk.release_at = last.unwrap_or(chunk.release_at);
        }
        if let Some(end) = self.end {
            let release_at = end.release_at.min(end.arrived + self.draw() + slow_close);
            self.end = Some(QueuedEnd { release_at: last.map_or(release_at, |last| release_at.max(last)), ..end });
        }
    }
}
