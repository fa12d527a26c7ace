//! While what the source sends does not just pass: it is dropped, waited for, or not read at all.

use std::io;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;

use super::{Intake, Pump, PumpEnd, Rest, SCRATCH, Source, poll_read};
use crate::net::stream::Stream;
use crate::tcp::record::RelayRecord;

impl Pump {
    /// While what the source sends does not just pass.
    #[cold]
    pub(super) fn poll_held_back(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Stream,
        to: &mut Stream,
        record: &dyn RelayRecord,
    ) -> Poll<PumpEnd> {
        if self.intake == Intake::Shut {
            return Poll::Pending; // a moment or other faults end that
        }
        loop {
            if self.is_limit_reached() {
                return self.end(PumpEnd::LimitReached);
            }
            match self.poll_rest(cx, to, record) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(end)) => return self.end(end),
                Poll::Pending => break,
            }
        }
        if self.intake == Intake::Dropped {
            ready!(self.poll_drop(cx, from));
            if self.rest() != Rest::None {
                return Poll::Pending;
            }
            let end = ready!(self.poll_end(cx, to));
            return self.end(end);
        }
        match ready!(self.poll_await(cx, from)) {
            Ok(()) => Poll::Ready(PumpEnd::DataCame),
            Err(error) => self.end(PumpEnd::SourceBroken(error)),
        }
    }

    /// Writes what was read before; pending when nothing of it is left, too.
    fn poll_rest(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut Stream,
        record: &dyn RelayRecord,
    ) -> Poll<Result<(), PumpEnd>> {
        match self.rest() {
            Rest::InPipe => self.poll_drain(cx, to.tcp(), record),
            Rest::Unwritten => self.poll_unwritten(cx, to, record),
            Rest::Queued => {
                let Some(mut faults) = self.faults.take() else { return Poll::Pending };
                let step = self.poll_release(&mut faults, cx, to, record);
                self.faults = Some(faults);
                step
            }
            Rest::None => Poll::Pending,
        }
    }

    /// Reads and drops; ready at the end of the source.
    fn poll_drop(&mut self, cx: &mut Context<'_>, from: &mut Stream) -> Poll<()> {
        self.early.clear();
        while !self.has_ended() {
            match ready!(SCRATCH.with_borrow_mut(|scratch| poll_read(from, cx, scratch))) {
                Ok(0) => self.source = Source::Ended(None),
                Ok(_) => self.last_moved = Instant::now(),
                Err(error) => self.source = Source::Ended(Some(error)),
            }
        }
        Poll::Ready(())
    }

    /// Ready when something has come, or the end.
    fn poll_await(&mut self, cx: &mut Context<'_>, from: &mut Stream) -> Poll<io::Result<()>> {
        if !self.early.is_empty() || self.has_ended() {
            return Poll::Ready(Ok(()));
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let read = ready!(poll_read(from, cx, scratch))?;
            self.last_moved = Instant::now();
            match read {
                0 => self.source = Source::Ended(None),
                read => self.early = Bytes::copy_from_slice(&scratch[..read]),
            }
            Poll::Ready(Ok(()))
        })
    }
}
