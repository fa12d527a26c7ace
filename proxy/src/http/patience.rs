//! How long a client is waited for that moves nothing.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::request_body::Upload;
use crate::downstream::Downstream;
use crate::telemetry::shard::Cut;

/// How long a client that is between two requests, or before its first, may still begin one while the worker drains: a connection
/// that is closed under its hands looks like a failure.
pub(crate) const DRAIN_GRACE: Duration = Duration::from_millis(500);

/// Watches one exchange for a client that neither goes on nor leaves. Costs nothing until it has to be waited for.
///
/// One timer, which progress does not touch: it looks each time it is over whether anything has moved since the last time.
/// So a stall is seen after at least the limit, and at most twice that.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    timer: Option<Pin<Box<Sleep>>>,
    /// How much had moved at the last look; `None` when something else was waited for meanwhile.
    seen: Option<u64>,
}

impl Patience {
    /// The client is waited for, after so many bytes in all; ready when that has been so for too long. Without a limit it is
    /// waited for forever.
    pub(crate) fn poll(&mut self, moved: u64, limit: Option<Duration>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(limit) = limit else { return Poll::Pending };
        let Self { timer, seen } = self;
        let timer = timer.get_or_insert_with(|| {
            *seen = Some(moved);
            Box::pin(tokio::time::sleep(limit))
        });
        loop {
            ready!(timer.as_mut().poll(cx));
            if seen.replace(moved) == Some(moved) {
                return Poll::Ready(());
            }
            timer.as_mut().reset(Instant::now() + limit);
        }
    }

    /// It is not the client that is waited for.
    pub(crate) fn pause(&mut self) {
        self.seen = None;
    }
}

impl Downstream {
    /// Whether the body of a request that is not answered yet is to be given up, which ends it in an error.
    #[inline]
    pub(crate) fn has_stalled(&self, upload: Option<&Upload>, patience: &mut Patience, cx: &mut Context<'_>) -> bool {
        let Some(upload) = upload else { return false };
        let is_over = self.is_out_of_patience(upload.waits_after(), patience, cx);
        if is_over {
            upload.give_up();
        }
        is_over
    }

    /// Whether the client takes no more of an answer; `waits_after` as [`Patience::poll`] has it, while it is waited for.
    #[inline]
    pub(crate) fn takes_no_more(
        &self,
        waits_after: Option<u64>,
        patience: &mut Patience,
        cx: &mut Context<'_>,
    ) -> bool {
        self.is_out_of_patience(waits_after, patience, cx)
    }

    fn is_out_of_patience(&self, waits_after: Option<u64>, patience: &mut Patience, cx: &mut Context<'_>) -> bool {
        let Some(moved) = waits_after else {
            patience.pause();
            return false;
        };
        let listener = self.current_listener();
        let is_over = patience.poll(moved, listener.compiled.listener.stall_timeout, cx).is_ready();
        if is_over {
            listener.shard.count_cut(Cut::Stalled);
            tracing::debug!(listener = %listener.key.listener, source = %self.ends.source, "a client that moved nothing was cut");
        }
        is_over
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn who_moves_now_and_then_is_waited_for_and_who_does_not_is_not() {
        let (mut patience, begun) = (Patience::default(), Instant::now());
        let mut moves = |n: u64| {
            let wait = poll_fn(|cx| patience.poll(n, Some(LIMIT), cx));
            futures_util::FutureExt::now_or_never(wait).is_none()
        };
        for n in 0..20 {
            assert!(moves(n), "after {n} moves");
            tokio::time::advance(LIMIT * 9 / 10).await;
        }
        poll_fn(|cx| patience.poll(19, Some(LIMIT), cx)).await;
        let stalled = begun.elapsed() - LIMIT * 9 / 10 * 19;
        assert!(stalled >= LIMIT && stalled <= LIMIT * 2, "{stalled:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_somebody_else_does_not_count() {
        let mut patience = Patience::default();
        let mut is_stalled = |is_waiting: bool| {
            let mut look = std::pin::pin!(poll_fn(|cx| match is_waiting {
                true => patience.poll(1, Some(LIMIT), cx),
                false => {
                    patience.pause();
                    Poll::Pending
                }
            }));
            futures_util::FutureExt::now_or_never(look.as_mut()).is_some()
        };
        assert!(!is_stalled(true));
        tokio::time::advance(LIMIT / 2).await;
        assert!(!is_stalled(false));
        tokio::time::advance(LIMIT).await;
        assert!(!is_stalled(true), "the wait begins anew");
        tokio::time::advance(LIMIT * 2).await;
        assert!(is_stalled(true));
    }
}
