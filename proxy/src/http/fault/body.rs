//! Faults of a body on its way: its bytes altered, slowed, stopped, or at an end too early.
//!
//! What comes is altered at once and held; what is held leaves as the faults allow. A rule that ends, and halt, let go at
//! once; a drain lets go of what only takes time.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::Frame;
use squall_fault::noise::BitFlips;
use squall_fault::snapshot::RuleState;

use super::ending::{Cutoff, Ending, How};
use crate::http::interrupt::Interrupt;
use crate::life::{Control, Life};
use crate::net::timer::sleep_until_exact;
use crate::pace::{Leave, Pace};

/// What one fault does to a body.
#[derive(Debug)]
pub(super) enum BodyFault {
    Flips(BitFlips),
    Pace(Pace),
    /// So many bytes pass, the rest from some moment on, or never.
    Stall {
        pass_until: u64,
        until: Option<Instant>,
    },
    Ending(Ending),
}

/// Why there is no frame.
#[derive(Debug)]
pub(crate) enum Stopped<E> {
    /// The body itself failed.
    Body(E),
    /// A fault ended it.
    Injected(Interrupt),
}

/// The faults of one body.
#[derive(Debug)]
pub(crate) struct BodyFaults {
    faults: Vec<(Arc<RuleState>, BodyFault)>,
    control: Control,
    /// What came and has not left.
    held: Bytes,
    passed: u64,
    /// The end came, with these.
    end: Option<Option<HeaderMap>>,
    /// Waits for this moment, or for other rules.
    waiting: Option<Waiting>,
    flush_until: Option<Instant>,
}

struct Waiting {
    until: Option<Instant>,
    over: Pin<Box<dyn Future<Output = ()>>>,
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiting").field("until", &self.until).finish_non_exhaustive()
    }
}

/// A reset throws away what the kernel has not sent; so much time is given to the bytes before it.
const FLUSH_TIME: Duration = Duration::from_millis(20);

/// What may be done next.
enum Next {
    Leave(usize),
    Wait(Option<Instant>),
}

impl BodyFaults {
    pub(super) fn new(faults: Vec<(Arc<RuleState>, BodyFault)>, control: Control) -> Self {
        Self { faults, control, held: Bytes::new(), passed: 0, end: None, waiting: None, flush_until: None }
    }

    /// The next frame, where `source` gives those that came.
    pub(crate) fn poll<E>(
        &mut self,
        cx: &mut Context<'_>,
        mut source: impl FnMut(&mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, E>>>,
    ) -> Poll<Option<Result<Frame<Bytes>, Stopped<E>>>> {
        loop {
            self.forget_lapsed();
            let now = Instant::now();
            if self.is_cut(now) {
                return self.poll_cut(now, cx).map(|interrupt| Some(Err(Stopped::Injected(interrupt))));
            }
            if self.end_with_status() {
                continue;
            }
            if self.held.is_empty() {
                if let Some(trailers) = &mut self.end {
                    return Poll::Ready(trailers.take().map(|trailers| Ok(Frame::trailers(trailers))));
                }
                match source(cx) {
                    Poll::Ready(Some(Ok(frame))) => self.take(frame),
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(Stopped::Body(error)))),
                    Poll::Ready(None) => self.end = Some(None),
                    Poll::Pending => ready!(self.poll_wait(self.due(), cx)),
                }
                continue;
            }
            match self.ask(now) {
                Next::Leave(bytes) => return Poll::Ready(Some(Ok(Frame::data(self.leave(bytes, now))))),
                Next::Wait(until) => ready!(self.poll_wait(until, cx)),
            }
        }
    }

    /// Whether nothing is to be sent any more, and nothing to happen.
    pub(crate) fn is_over(&self) -> bool {
        self.held.is_empty() && matches!(self.end, Some(None)) && !self.faults.iter().any(|(_, fault)| is_reset(fault))
    }

    /// Whether everything that came has left.
    pub(crate) fn holds_nothing(&self) -> bool {
        self.held.is_empty() && self.end.as_ref().is_none_or(Option::is_none)
    }

    /// Rules that ended since do nothing any more; a process that drains waits for nothing.
    fn forget_lapsed(&mut self) {
        let is_draining = *self.control.life.borrow_and_update() != Life::Serving;
        if !self.control.changes.has_changed().unwrap_or(false) && !is_draining {
            return;
        }
        let latest = Arc::clone(&self.control.changes.borrow_and_update());
        let takes_time = |fault: &BodyFault| matches!(fault, BodyFault::Pace(_) | BodyFault::Stall { .. });
        self.faults.retain(|(rule, fault)| latest.is_active(rule) && !(is_draining && takes_time(fault)));
    }

    /// Holds what came, altered.
    fn take(&mut self, frame: Frame<Bytes>) {
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => {
                self.end = Some(frame.into_trailers().ok());
                return;
            }
        };
        let flips = self.faults.iter_mut().filter_map(|(_, fault)| match fault {
            BodyFault::Flips(flips) => Some(flips),
            _ => None,
        });
        let mut flips = flips.peekable();
        if flips.peek().is_none() {
            self.held = data;
            return;
        }
        let mut altered = data.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        flips.for_each(|flips| flips.apply(&mut altered));
        self.held = altered.freeze();
    }

    /// How much of what is held may leave.
    fn ask(&mut self, now: Instant) -> Next {
        let mut most = self.held.len();
        for (_, fault) in &mut self.faults {
            let left = |limit: u64| usize::try_from(limit.saturating_sub(self.passed)).unwrap_or(usize::MAX);
            match fault {
                BodyFault::Stall { pass_until, until } if until.is_none_or(|until| now < until) => {
                    most = most.min(left(*pass_until));
                    if most == 0 {
                        return Next::Wait(*until);
                    }
                }
                BodyFault::Ending(Ending::Cut { at: Cutoff::Passed(limit), .. }) => most = most.min(left(*limit)),
                BodyFault::Ending(Ending::Status { messages, .. }) => most = messages.allow(&self.held[..most]),
                BodyFault::Pace(pace) => match pace.ask(&self.held[..most], now) {
                    Leave::Now(bytes) => most = bytes,
                    Leave::At(at) => return Next::Wait(Some(at)),
                },
                BodyFault::Stall { .. } | BodyFault::Flips(_) | BodyFault::Ending(_) => {}
            }
        }
        Next::Leave(most)
    }

    fn leave(&mut self, bytes: usize, now: Instant) -> Bytes {
        let data = self.held.split_to(bytes);
        for (_, fault) in &mut self.faults {
            match fault {
                BodyFault::Pace(pace) => pace.spend(&data, now),
                BodyFault::Ending(Ending::Status { messages, .. }) => {
                    messages.advance(&data);
                }
                _ => {}
            }
        }
        self.passed += data.len() as u64;
        data
    }

    /// Whether a fault ends the body now. One that is shorter than a reset allows ends by the reset as well.
    fn is_cut(&self, now: Instant) -> bool {
        let has_ended = self.end.is_some() && self.held.is_empty();
        self.faults.iter().any(|(_, fault)| match fault {
            BodyFault::Ending(Ending::Cut { at: Cutoff::Due(at), .. }) => *at <= now,
            BodyFault::Ending(Ending::Cut { at: Cutoff::Passed(limit), .. }) => {
                let is_longer = !self.held.is_empty() || !has_ended;
                self.passed >= *limit && is_longer || has_ended && is_reset(fault)
            }
            _ => false,
        })
    }

    /// Waits for the bytes before a reset to leave, then ends.
    fn poll_cut(&mut self, now: Instant, cx: &mut Context<'_>) -> Poll<Interrupt> {
        let how = self.faults.iter().find_map(|(_, fault)| match fault {
            BodyFault::Ending(Ending::Cut { how, .. }) => Some(how),
            _ => None,
        });
        let Some(How::Reset { flag, code }) = how else { return Poll::Ready(Interrupt::truncated()) };
        let (flag, code) = (flag.clone(), *code);
        let until = *self.flush_until.get_or_insert(now + FLUSH_TIME);
        if now < until {
            ready!(self.poll_wait(Some(until), cx));
        }
        if let Some(flag) = flag {
            flag.arm();
        }
        Poll::Ready(Interrupt::reset(code))
    }

    /// Makes the status of a gRPC stream its end, once all messages before it have passed.
    fn end_with_status(&mut self) -> bool {
        let is_due = |(_, fault): &(_, BodyFault)| matches!(fault, BodyFault::Ending(Ending::Status { messages, .. }) if messages.are_over());
        let Some(at) = self.faults.iter().position(is_due) else { return false };
        if let (_, BodyFault::Ending(Ending::Status { trailers, .. })) = self.faults.remove(at) {
            self.end = Some(Some(trailers));
            self.held = Bytes::new();
        }
        true
    }

    /// When something happens although nothing comes.
    fn due(&self) -> Option<Instant> {
        let ends = self.faults.iter().filter_map(|(_, fault)| match fault {
            BodyFault::Ending(Ending::Cut { at: Cutoff::Due(at), .. }) => Some(*at),
            _ => None,
        });
        ends.min()
    }

    /// Ready at that moment, and whenever rules change or the process drains.
    fn poll_wait(&mut self, until: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
        if self.waiting.as_ref().is_none_or(|waiting| waiting.until != until) {
            let Control { mut changes, mut life } = self.control.clone();
            let over = Box::pin(async move {
                let due = async {
                    match until {
                        Some(until) => sleep_until_exact(until).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    Ok(()) = changes.changed() => {}
                    Ok(()) = life.changed() => {}
                    () = due => {}
                }
            });
            self.waiting = Some(Waiting { until, over });
        }
        if let Some(waiting) = &mut self.waiting {
            ready!(waiting.over.as_mut().poll(cx));
        }
        self.waiting = None;
        Poll::Ready(())
    }
}

fn is_reset(fault: &BodyFault) -> bool {
    matches!(fault, BodyFault::Ending(Ending::Cut { how: How::Reset { .. }, .. }))
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
