//! Moves the bytes of one direction: a state machine that keeps all it knows between polls, so that dropping the
//! future that polls it loses nothing.

mod held_back;

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::{Buf, Bytes};
use squall_config::model::Phase;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::record::RelayRecord;
use super::stream::{Front, StreamFaults, StreamSpec};
use crate::net::splice::Pipe;
use crate::net::stream::Stream;

/// One read takes at most this much; a multiple of what loopback and large receive offload deliver at once.
const SCRATCH_BYTES: usize = 64 * 1024;

thread_local! {
    /// Shared by all connections of a worker, so that an idle one holds no buffer.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH_BYTES].into_boxed_slice());
}

/// A read of so much makes a stream one that is worth splicing: a pipe costs more system calls than a copy, and fewer
/// instructions for each byte.
const BULK_BYTES: usize = 16 * 1024;

/// How the bytes of a direction without stream faults move.
#[derive(Debug)]
enum Path {
    /// Through the scratch buffer.
    Copied,
    /// Through the kernel, where both sides are plain; the pipe is there while it holds something.
    Spliced(Option<Pipe>),
    /// Through the kernel for what is in the pipe, and then copied: it has become a trickle.
    Drying(Pipe),
}

/// How a direction ended.
#[derive(Debug)]
pub(super) enum PumpEnd {
    /// Everything was passed on, the end of the stream too.
    Eof,
    /// What it reads from broke; all that came before was passed on.
    SourceBroken(io::Error),
    /// What it writes to broke.
    SinkBroken(io::Error),
    /// It passed as much as it was allowed to.
    LimitReached,
    /// No end: what was waited for has come, and is kept.
    DataCame,
}

/// What becomes of what the source sends. What was read before passes in any case, but where it is shut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Intake {
    Passed,
    /// It is read and dropped; its end is passed on.
    Dropped,
    /// The first that comes is kept, and told.
    Awaited,
    /// Nothing is read, and nothing is written.
    Shut,
}

/// Where what was read and is not written yet is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    InPipe,
    Unwritten,
    /// With the stream faults, which say when it is due.
    Queued,
    None,
}

#[derive(Debug)]
enum Source {
    Open,
    /// `Some` when it did not end in FIN.
    Ended(Option<io::Error>),
}

/// One direction of a relay.
#[derive(Debug)]
pub(super) struct Pump {
    direction: Phase,
    /// Read before the relay began, or while something was waited for.
    early: Bytes,
    /// Read without stream faults, but not taken by the socket yet.
    unwritten: Bytes,
    path: Path,
    source: Source,
    faults: Option<Box<StreamFaults>>,
    /// It ends when `passed` has come to this.
    pass_until: Option<u64>,
    intake: Intake,
    passed: u64,
    /// Whether the end of the stream is passed on; not when the connection is going to end in a reset.
    ends_in_fin: bool,
    last_moved: Instant,
    is_done: bool,
}

impl Pump {
    pub(super) fn new(direction: Phase, early: Bytes, now: Instant) -> Self {
        Self {
            direction,
            early,
            unwritten: Bytes::new(),
            path: Path::Copied,
            source: Source::Open,
            faults: None,
            pass_until: None,
            intake: Intake::Passed,
            passed: 0,
            ends_in_fin: true,
            last_moved: now,
            is_done: false,
        }
    }

    /// Bytes written so far.
    pub(super) fn passed(&self) -> u64 {
        self.passed
    }

    /// When a byte was last read or written.
    pub(super) fn last_moved(&self) -> Instant {
        self.last_moved
    }

    /// Whether its source has ended.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.source, Source::Ended(_))
    }

    pub(super) fn is_done(&self) -> bool {
        self.is_done
    }

    /// Ends with [`PumpEnd::LimitReached`] once so many bytes have been passed since the beginning.
    pub(super) fn set_pass_until(&mut self, pass_until: Option<u64>) {
        self.pass_until = pass_until;
    }

    /// What becomes of what comes from now on.
    pub(super) fn set_intake(&mut self, intake: Intake) {
        self.intake = intake;
    }

    /// The other side is going to get a reset: nothing like a FIN may come before it.
    pub(super) fn end_without_fin(&mut self) {
        self.ends_in_fin = false;
    }

    /// Puts other stream faults on it, from now on.
    pub(super) fn configure(&mut self, spec: &StreamSpec, queued_max: usize) {
        if spec.is_empty() && self.faults.is_none() {
            return;
        }
        self.faults.get_or_insert_with(|| Box::new(StreamFaults::new(queued_max))).configure(spec, Instant::now());
    }

    /// Moves what can be moved. Not to be polled again once it was ready, but with [`PumpEnd::DataCame`].
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Stream,
        to: &mut Stream,
        record: &dyn RelayRecord,
    ) -> Poll<PumpEnd> {
        debug_assert!(!self.is_done, "a direction ends once");
        self.check_invariants();
        // What TLS holds back for want of room leaves; an error of that is one of the next write, too.
        let _unflushed = Pin::new(&mut *to).poll_flush(cx);
        if self.intake != Intake::Passed {
            return self.poll_held_back(cx, from, to, record);
        }
        loop {
            if self.is_limit_reached() {
                return self.end(PumpEnd::LimitReached);
            }
            let step = match self.rest() {
                Rest::InPipe => self.poll_drain(cx, to.tcp(), record),
                Rest::Unwritten => self.poll_unwritten(cx, to, record),
                Rest::Queued | Rest::None => self.poll_on(cx, from, to, record),
            };
            if let Err(end) = ready!(step) {
                return self.end(end);
            }
        }
    }

    /// Reads on, and writes what may be written of that.
    #[inline]
    fn poll_on(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Stream,
        to: &mut Stream,
        record: &dyn RelayRecord,
    ) -> Poll<Result<(), PumpEnd>> {
        if self.faults.is_some() {
            return self.poll_faulted(cx, from, to, record);
        }
        if matches!(self.path, Path::Spliced(_)) && !self.has_ended() && self.early.is_empty() {
            return self.poll_splice(cx, from.tcp());
        }
        self.poll_plain(cx, from, to, record)
    }

    /// What is to be written before anything else.
    fn rest(&self) -> Rest {
        if matches!(self.path, Path::Spliced(Some(_)) | Path::Drying(_)) {
            Rest::InPipe
        } else if !self.unwritten.is_empty() {
            Rest::Unwritten
        } else if self.faults.as_ref().is_some_and(|faults| faults.has_queued()) {
            Rest::Queued
        } else {
            Rest::None
        }
    }

    fn end(&mut self, end: PumpEnd) -> Poll<PumpEnd> {
        self.check_invariants();
        self.is_done = true;
        Poll::Ready(end)
    }

    /// What holds between two polls, and at the end; looked at in debug builds alone.
    fn check_invariants(&self) {
        let is_in_pipe = self.rest() == Rest::InPipe;
        let is_queued = self.faults.as_ref().is_some_and(|faults| faults.has_queued());
        debug_assert!(
            u8::from(is_in_pipe) + u8::from(!self.unwritten.is_empty()) + u8::from(is_queued) <= 1,
            "what was read waits in one place, so that it leaves in order"
        );
        debug_assert!(self.pass_until.is_none_or(|limit| self.passed <= limit), "no more passes than may");
    }

    fn is_limit_reached(&self) -> bool {
        self.pass_until.is_some_and(|limit| self.passed >= limit)
    }

    /// Without faults: read into the scratch buffer and write at once; only what does not fit is kept.
    fn poll_plain(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Stream,
        to: &mut Stream,
        record: &dyn RelayRecord,
    ) -> Poll<Result<(), PumpEnd>> {
        if !self.early.is_empty() {
            self.unwritten = std::mem::take(&mut self.early);
            return Poll::Ready(Ok(()));
        }
        if self.has_ended() {
            return self.poll_end(cx, to).map(Err);
        }
        SCRATCH.with_borrow_mut(|scratch| {
            match ready!(poll_read(from, cx, scratch)) {
                Ok(0) => self.source = Source::Ended(None),
                Err(error) => self.source = Source::Ended(Some(error)),
                Ok(read) => {
                    if read >= BULK_BYTES && from.plain().is_some() && to.plain().is_some() {
                        self.path = Path::Spliced(None);
                    }
                    let mut chunk = &scratch[..read];
                    // What the socket does not take wakes us when it will: `poll_unwritten` asks again.
                    while let Poll::Ready(written) = self.poll_write(cx, to, chunk, record) {
                        chunk.advance(written?);
                        if chunk.is_empty() || self.is_limit_reached() {
                            break;
                        }
                    }
                    self.unwritten = Bytes::copy_from_slice(chunk);
                }
            }
            Poll::Ready(Ok(()))
        })
    }

    /// Without faults, in bulk: from the socket into the pipe, which is empty.
    fn poll_splice(&mut self, cx: &mut Context<'_>, from: &TcpStream) -> Poll<Result<(), PumpEnd>> {
        let Ok(mut lent) = Pipe::take() else {
            // No descriptors are left.
            self.path = Path::Copied;
            return Poll::Ready(Ok(()));
        };
        // While there is nothing, the connection holds no pipe.
        match ready!(lent.poll_fill(from, self.allowed(), cx)) {
            Ok(0) => self.source = Source::Ended(None),
            Ok(moved) if moved < BULK_BYTES => self.path = Path::Drying(lent),
            Ok(_) => self.path = Path::Spliced(Some(lent)),
            // A system without splice for sockets.
            Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
                self.path = Path::Copied;
            }
            Err(error) => self.source = Source::Ended(Some(error)),
        }
        Poll::Ready(Ok(()))
    }

    /// From the pipe into the other socket.
    fn poll_drain(
        &mut self,
        cx: &mut Context<'_>,
        to: &TcpStream,
        record: &dyn RelayRecord,
    ) -> Poll<Result<(), PumpEnd>> {
        let allowed = self.allowed();
        let (Path::Spliced(Some(pipe)) | Path::Drying(pipe)) = &mut self.path else { return Poll::Ready(Ok(())) };
        let drained = ready!(pipe.poll_drain(to, allowed, cx));
        if pipe.is_empty() {
            self.path = if matches!(self.path, Path::Drying(_)) { Path::Copied } else { Path::Spliced(None) };
        }
        Poll::Ready(self.count(drained, record).map(|_| ()))
    }

    fn poll_unwritten(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut Stream,
        record: &dyn RelayRecord,
    ) -> Poll<Result<(), PumpEnd>> {
        let chunk = std::mem::take(&mut self.unwritten);
        let written = self.poll_write(cx, to, &chunk, record);
        self.unwritten = chunk;
        self.unwritten.advance(ready!(written)?);
        Poll::Ready(Ok(()))
    }

    /// With faults: whatever is there is read into the queue, whatever is due is written from it.
    fn poll_faulted(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Stream,
        to: &mut Stream,
        record: &dyn RelayRecord,
    ) -> Poll<Result<(), PumpEnd>> {
        let Some(mut faults) = self.faults.take() else { return Poll::Ready(Ok(())) };
        let filled = self.poll_fill(&mut faults, cx, from);
        let released = self.poll_release(&mut faults, cx, to, record);
        let is_spent = faults.is_spent();
        self.faults = (!is_spent).then_some(faults);
        if released.is_pending() && (filled.is_ready() || is_spent) { Poll::Ready(Ok(())) } else { released }
    }

    /// Ready when something was queued.
    fn poll_fill(&mut self, faults: &mut StreamFaults, cx: &mut Context<'_>, from: &mut Stream) -> Poll<()> {
        let now = Instant::now();
        let room = faults.room(self.passed, now).min(SCRATCH_BYTES);
        if self.has_ended() || room == 0 {
            return Poll::Pending; // writing makes room, and is what we are woken by
        }
        if !self.early.is_empty() {
            faults.push(std::mem::take(&mut self.early), now);
            return Poll::Ready(());
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let read = ready!(poll_read(from, cx, &mut scratch[..room]));
            self.last_moved = now;
            match read {
                Ok(read) if read > 0 => faults.push(Bytes::copy_from_slice(&scratch[..read]), now),
                end => {
                    self.source = Source::Ended(end.err());
                    faults.push_end(now);
                }
            }
            Poll::Ready(())
        })
    }

    /// Ready when something was written, or when the direction has ended.
    fn poll_release(
        &mut self,
        faults: &mut StreamFaults,
        cx: &mut Context<'_>,
        to: &mut Stream,
        record: &dyn RelayRecord,
    ) -> Poll<Result<(), PumpEnd>> {
        loop {
            let now = Instant::now();
            match faults.next(self.passed, now) {
                Front::Wait(at) => ready!(faults.poll_until(at, cx)),
                Front::Write(granted) => {
                    if let Some((rule, latency)) = faults.take_latency(now) {
                        record.on_latency(rule, latency);
                    }
                    let written = ready!(self.poll_write(cx, to, &faults.front()[..granted], record))?;
                    faults.advance(written, now);
                    return Poll::Ready(Ok(()));
                }
                Front::End => return self.poll_end(cx, to).map(Err),
                // The end of the stream was read before these faults began.
                Front::Empty if self.has_ended() => return self.poll_end(cx, to).map(Err),
                Front::Held | Front::Empty => return Poll::Pending,
            }
        }
    }

    /// Passes the end of the source on: FIN as FIN, anything else as the caller decides.
    fn poll_end(&mut self, cx: &mut Context<'_>, to: &mut Stream) -> Poll<PumpEnd> {
        if let Source::Ended(error) = &mut self.source
            && let Some(error) = error.take()
        {
            return Poll::Ready(PumpEnd::SourceBroken(error));
        }
        debug_assert!(
            self.early.is_empty() && self.rest() == Rest::None,
            "what came before the end is passed on before it"
        );
        if self.ends_in_fin {
            // Fails only when the peer has gone already: an end all the same.
            let _gone = ready!(Pin::new(to).poll_shutdown(cx));
        }
        Poll::Ready(PumpEnd::Eof)
    }

    /// Writes once, within the limit, and counts.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut Stream,
        chunk: &[u8],
        record: &dyn RelayRecord,
    ) -> Poll<Result<usize, PumpEnd>> {
        let most = self.allowed().min(chunk.len());
        debug_assert!(most > 0, "an empty write is no progress");
        let written = ready!(Pin::new(to).poll_write(cx, &chunk[..most]));
        Poll::Ready(self.count(written, record))
    }

    /// How much it may still pass.
    fn allowed(&self) -> usize {
        let left = self.pass_until.map_or(u64::MAX, |limit| limit.saturating_sub(self.passed));
        usize::try_from(left).unwrap_or(usize::MAX)
    }

    /// Counts what the sink took.
    fn count(&mut self, written: io::Result<usize>, record: &dyn RelayRecord) -> Result<usize, PumpEnd> {
        let written = written.map_err(PumpEnd::SinkBroken)?;
        self.passed += written as u64;
        self.last_moved = Instant::now();
        record.on_bytes(self.direction, written as u64);
        Ok(written)
    }
}

fn poll_read(from: &mut Stream, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
    let mut buffer = ReadBuf::new(buffer);
    ready!(Pin::new(from).poll_read(cx, &mut buffer))?;
    Poll::Ready(Ok(buffer.filled().len()))
}
