//! Both directions of a relay: polled together, and what the end of one means for the other.

use std::io;
use std::task::{Context, Poll};
use std::time::Instant;

use squall_config::model::Phase;

use super::active::Passed;
use super::end::Side;
use super::pump::{Pump, PumpEnd};
use super::record::RelayRecord;
use crate::net::stream::Stream;

/// The two directions.
#[derive(Debug)]
pub(super) struct Pumps {
    /// Downstream → upstream.
    pub(super) request: Pump,
    /// Upstream → downstream.
    pub(super) response: Pump,
    /// The side that a pump could not write to, while the other pump still brings over what that side had sent.
    pub(super) broken: Option<Broken>,
}

/// A side that is of no use any more.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) by: Side,
    pub(super) error: io::Error,
}

/// How both came to an end together.
#[derive(Debug)]
pub(super) enum FlowEnd {
    Finished,
    Broken(Broken),
    LimitReached(Phase),
    /// No end yet: what was waited for has come.
    DataCame(Phase),
    Abandoned,
}

impl Pumps {
    pub(super) fn of(&self, direction: Phase) -> &Pump {
        match direction {
            Phase::Request => &self.request,
            Phase::Response => &self.response,
        }
    }

    pub(super) fn of_mut(&mut self, direction: Phase) -> &mut Pump {
        match direction {
            Phase::Request => &mut self.request,
            Phase::Response => &mut self.response,
        }
    }

    /// Bytes written so far.
    pub(super) fn passed(&self) -> Passed {
        Passed { request: self.request.passed(), response: self.response.passed() }
    }

    /// When a byte was last read or written, either way.
    pub(super) fn last_moved(&self) -> Instant {
        self.request.last_moved().max(self.response.last_moved())
    }

    /// Polls both directions. A half-closed connection goes on in its other direction.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        downstream: &mut Stream,
        upstream: &mut Stream,
        record: &dyn RelayRecord,
    ) -> Poll<FlowEnd> {
        if !self.request.is_done()
            && let Poll::Ready(end) = self.request.poll(cx, downstream, upstream, record)
            && let Some(end) = self.after(Phase::Request, end)
        {
            return Poll::Ready(end);
        }
        if !self.response.is_done()
            && let Poll::Ready(end) = self.response.poll(cx, upstream, downstream, record)
            && let Some(end) = self.after(Phase::Response, end)
        {
            return Poll::Ready(end);
        }
        if !self.request.is_done() || !self.response.is_done() {
            return Poll::Pending;
        }
        Poll::Ready(self.broken.take().map_or(FlowEnd::Finished, FlowEnd::Broken))
    }

    /// What the end of a direction means for the whole; `None` when the other one goes on.
    fn after(&mut self, direction: Phase, end: PumpEnd) -> Option<FlowEnd> {
        let (source, sink, other) = match direction {
            Phase::Request => (Side::Downstream, Side::Upstream, &mut self.response),
            Phase::Response => (Side::Upstream, Side::Downstream, &mut self.request),
        };
        match end {
            PumpEnd::Eof => None,
            PumpEnd::LimitReached => Some(FlowEnd::LimitReached(direction)),
            PumpEnd::DataCame => Some(FlowEnd::DataCame(direction)),
            PumpEnd::SourceBroken(error) => Some(FlowEnd::Broken(Broken { by: source, error })),
            PumpEnd::SinkBroken(error) => {
                // What the broken side had sent before still reaches the other one; then comes the reset, not a FIN.
                other.end_without_fin();
                self.broken = Some(Broken { by: sink, error });
                None
            }
        }
    }
}
