//! One direction of a connection under stream faults: what was read waits here until it may be written.
//!
//! Delay is pipelined: each chunk is due its own latency after it arrived, so latency never becomes a bound on
//! throughput. Pure but for the timer; the pump does the I/O.

use std::collections::VecDeque;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use squall_config::model::{Delay, Name};
use squall_config::units::ByteRate;
use squall_fault::decide::LatencyStream;

use super::throttle::TokenBucket;
use crate::net::timer::ExactSleep;

/// What a queued chunk costs beside its bytes, so that one-byte chunks cannot exhaust memory.
const CHUNK_OVERHEAD: usize = 128;
/// How much may wait for a throttle: as much as one read. The rest waits in the kernel, as on a slow line.
const THROTTLE_BACKLOG: usize = 64 * 1024;

/// A delay that a rule puts on this direction.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct DelaySpec {
    pub(super) rule: Name,
    pub(super) delay: Delay,
    pub(super) seed: u64,
}

/// The stream faults of one direction; empty means none.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct StreamSpec {
    pub(super) delays: Vec<DelaySpec>,
    /// With the rule that it counts under.
    pub(super) throttle: Option<(Name, ByteRate)>,
}

impl StreamSpec {
    pub(super) fn is_empty(&self) -> bool {
        self.delays.is_empty() && self.throttle.is_none()
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

/// What can be done with the front of the queue.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Front {
    /// So many bytes of [`StreamFaults::front`] may be written.
    Write(usize),
    /// Nothing before this moment.
    Wait(Instant),
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
    throttle: Option<TokenBucket>,
    queue: VecDeque<Chunk>,
    queued: usize,
    queued_max: usize,
    /// Arrival and release of the end of the stream.
    end: Option<(Instant, Instant)>,
    timer: Option<ExactSleep>,
}

impl StreamFaults {
    pub(super) fn new(queued_max: usize) -> Self {
        Self {
            spec: StreamSpec::default(),
            latency_rule: None,
            latencies: Vec::new(),
            latency_max: Duration::ZERO,
            throttle: None,
            queue: VecDeque::new(),
            queued: 0,
            queued_max: queued_max.max(1),
            end: None,
            timer: None,
        }
    }

    /// Other faults from now on. What is queued leaves no later than it would have, and at once when no delay is left.
    pub(super) fn configure(&mut self, spec: &StreamSpec, now: Instant) {
        if self.spec.delays != spec.delays {
            self.latencies = spec.delays.iter().map(|d| LatencyStream::new(d.delay.clone(), d.seed)).collect();
            self.latency_max = Duration::ZERO;
            self.retime();
            self.latency_rule = spec.delays.first().map(|first| first.rule.clone()).or(self.latency_rule.take());
        }
        let rate = spec.throttle.as_ref().map(|(_, rate)| *rate);
        if self.throttle.as_ref().map(TokenBucket::rate) != rate {
            self.throttle = rate.map(|rate| TokenBucket::new(rate, now));
        }
        self.spec.clone_from(spec);
    }

    /// Whether it has nothing left to do, so that the direction can be relayed without it.
    pub(super) fn is_spent(&self) -> bool {
        self.spec.is_empty() && self.queue.is_empty() && self.end.is_none()
    }

    /// How many bytes may be read now.
    pub(super) fn room(&self) -> usize {
        let most = match &self.throttle {
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

    /// Queues what has arrived.
    pub(super) fn push(&mut self, bytes: Bytes, now: Instant) {
        self.queued += bytes.len() + CHUNK_OVERHEAD;
        let release_at = self.release_of(now);
        self.queue.push_back(Chunk { arrived: now, release_at, is_delayed: !self.latencies.is_empty(), bytes });
    }

    /// Queues the end of the stream, which is delayed like data.
    pub(super) fn push_end(&mut self, now: Instant) {
        debug_assert!(self.end.is_none(), "a stream ends once");
        self.end = Some((now, self.release_of(now)));
    }

    /// What can be done now.
    pub(super) fn next(&mut self, now: Instant) -> Front {
        let Some(front) = self.queue.front() else {
            return match self.end {
                Some((_, at)) if at <= now => Front::End,
                Some((_, at)) => Front::Wait(at),
                None => Front::Empty,
            };
        };
        if front.release_at > now {
            return Front::Wait(front.release_at);
        }
        let wanted = front.bytes.len();
        match &mut self.throttle {
            None => Front::Write(wanted),
            Some(bucket) => match bucket.allowance(wanted, now) {
                0 => Front::Wait(bucket.ready_at(wanted)),
                granted => Front::Write(granted),
            },
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
    pub(super) fn advance(&mut self, written: usize) {
        if let Some(bucket) = &mut self.throttle {
            bucket.spend(written);
        }
        let Some(front) = self.queue.front_mut() else { return };
        debug_assert!(written <= front.bytes.len());
        front.bytes.advance(written);
        self.queued -= written;
        if front.bytes.is_empty() {
            self.queued -= CHUNK_OVERHEAD;
            self.queue.pop_front();
        }
        debug_assert_eq!(self.queued, self.queue.iter().map(|c| c.bytes.len() + CHUNK_OVERHEAD).sum::<usize>());
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

    fn retime(&mut self) {
        let mut last = None;
        for index in 0..self.queue.len() {
            let latency = self.draw();
            let chunk = &mut self.queue[index];
            chunk.release_at = chunk.release_at.min(chunk.arrived + latency);
            last = last.max(Some(chunk.release_at));
            chunk.release_at = last.unwrap_or(chunk.release_at);
        }
        if let Some((arrived, at)) = self.end {
            let at = at.min(arrived + self.draw());
            self.end = Some((arrived, last.map_or(at, |last| at.max(last))));
        }
    }
}
