//! Holds traffic for a fault, and lets it go the moment the fault is over.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use squall_fault::snapshot::Snapshot;
use tokio::time::Sleep;

use crate::life::{Control, Life};
use crate::net::timer::sleep_until_exact;

/// Why holding ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Released {
    /// The time was up.
    Elapsed,
    /// The rule ended, everything was halted, or the process drains.
    Early,
}

/// Waits until the time that `deadline` names; it is asked anew at each published snapshot, and `None` means that
/// nothing holds any more. A deadline is a moment, not a span: however often it is asked, nothing adds up.
pub(crate) async fn hold(mut control: Control, deadline: impl Fn(&Arc<Snapshot>) -> Option<Until>) -> Released {
    loop {
        if *control.life.borrow_and_update() != Life::Serving {
            return Released::Early;
        }
        let Some(until) = deadline(&control.changes.borrow_and_update()) else { return Released::Early };
        let elapsed = async {
            match until {
                Until::At(deadline) => sleep_until_exact(deadline).await,
                Until::Forever => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            changed = control.changes.changed() => if changed.is_err() { return Released::Early },
            Ok(()) = control.life.changed() => {}
            () = elapsed => return Released::Elapsed,
        }
    }
}

/// How long to hold.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    At(Instant),
    Forever,
}

/// Faults of an exchange stand where the upstream's answer would be, and that is waited for only so long: `None` when it
/// is too late.
pub(crate) struct InTime<F> {
    faults: Pin<Box<F>>,
    late: Option<Pin<Box<Sleep>>>,
}

impl<F> InTime<F> {
    pub(crate) fn new(deadline: Option<Instant>, faults: Pin<Box<F>>) -> Self {
        Self { faults, late: deadline.map(|deadline| Box::pin(tokio::time::sleep_until(deadline.into()))) }
    }
}

impl<F: Future> Future for InTime<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(applied) = self.faults.as_mut().poll(cx) {
            return Poll::Ready(Some(applied));
        }
        self.late.as_mut().map_or(Poll::Pending, |late| late.as_mut().poll(cx).map(|()| None))
    }
}
