//! Which processor runs what: the service on one, those who attack it on another.
//!
//! Attackers would be elsewhere. On the processor that Squall and its neighbours run on, each of them takes a time slice of
//! milliseconds, and that is no doing of Squall's.

use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use rustix::process::setpriority_process;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// A priority before what else runs on the machine, but not so far that the kernel's own threads, which carry the packets of a
/// busy machine, do not get their share.
const AHEAD: i32 = -10;
/// The lowest, for attackers that have no processor to themselves.
const BEHIND: i32 = 19;

/// Where a thread runs, and whatever it starts from then on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Squall, its neighbour, and what answers that one: the first processor, before everybody else where that is allowed.
    Service,
    /// The attackers, and an upstream that is one of them: the last processor.
    Attack,
}

impl Place {
    /// Puts this thread there.
    pub(crate) fn enter(self) {
        let (first, last) = ends();
        let (core, priority) = match self {
            Self::Service => (first, AHEAD),
            Self::Attack => (last, if are_apart() { 0 } else { BEHIND }),
        };
        let mut only = CpuSet::new();
        only.set(core);
        // A machine that refuses either is measured as it is.
        let _ = (sched_setaffinity(None, &only), setpriority_process(None, priority));
    }

    /// Does this there, on a thread of its own.
    pub(crate) fn run<T: Send>(self, work: impl FnOnce() -> T + Send) -> T {
        let there = || {
            self.enter();
            work()
        };
        std::thread::scope(|scope| scope.spawn(there).join().unwrap())
    }
}

/// Has this thread run as soon as it has something to do, where that is allowed.
///
/// A client and an upstream would be elsewhere, too. On Squall's processor, at whatever priority of the usual kind, they wait until
/// the kernel ends the time slice of a Squall that has much to do: one to three milliseconds, and no doing of Squall's.
pub(crate) fn run_at_once() {
    let this = rustix::thread::gettid().as_raw_nonzero().to_string();
    // What it starts is of the usual kind again.
    let done = Command::new("chrt").args(["--reset-on-fork", "--fifo", "--pid", "1", &this]).output();
    MAY_RUN_AT_ONCE.store(done.is_ok_and(|done| done.status.success()), Relaxed);
}

/// Whether that was allowed.
pub(crate) fn may_run_at_once() -> bool {
    MAY_RUN_AT_ONCE.load(Relaxed)
}

static MAY_RUN_AT_ONCE: AtomicBool = AtomicBool::new(false);

/// Whether service and attackers have a processor each.
pub(crate) fn are_apart() -> bool {
    let (first, last) = ends();
    first != last
}

/// The first and the last processor that this process may use.
fn ends() -> (usize, usize) {
    static ENDS: OnceLock<(usize, usize)> = OnceLock::new();
    *ENDS.get_or_init(|| {
        let allowed = sched_getaffinity(None).unwrap();
        let all: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect();
        (all[0], all[all.len() - 1])
    })
}

/// Keeps this processor busy with nothing until it is told to stop.
pub(crate) fn burn(is_over: &AtomicBool) {
    while !is_over.load(Relaxed) {
        std::hint::spin_loop();
    }
}
