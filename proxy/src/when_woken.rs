//! Waiting for what seldom happens, in a task that is woken often.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use std::task::{Poll, Wake, Waker};

/// Polls the future at first, and then when it was woken itself, however often its task is: a relay goes on whenever bytes
/// come, while the channels and the timer that control it have nothing to say at nearly all of these times.
pub(crate) async fn when_woken<F: Future>(mut future: Pin<&mut F>) -> F::Output {
    let mut bell: Option<Arc<Bell>> = None;
    poll_fn(|cx| {
        match &bell {
            Some(bell) if bell.task.will_wake(cx.waker()) => {
                if !bell.has_rung.load(Acquire) || !bell.has_rung.swap(false, AcqRel) {
                    return Poll::Pending;
                }
            }
            _ => bell = Some(Arc::new(Bell { has_rung: AtomicBool::new(false), task: cx.waker().clone() })),
        }
        let Some(bell) = &bell else { return Poll::Pending };
        future.as_mut().poll(&mut std::task::Context::from_waker(&Waker::from(Arc::clone(bell))))
    })
    .await
}

/// Tells that it was this future that woke the task.
struct Bell {
    has_rung: AtomicBool,
    task: Waker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.has_rung.store(true, Release);
        self.task.wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::pin::pin;

    use tokio::sync::watch;
    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn it_is_polled_only_when_it_was_woken() {
        let (polls, (sender, mut receiver)) = (Cell::new(0), watch::channel(0));
        let mut changed = pin!(receiver.changed());
        let counted = poll_fn(|cx| {
            polls.set(polls.get() + 1);
            changed.as_mut().poll(cx)
        });
        let counted = pin!(counted);
        let mut waiting = pin!(when_woken(counted));
        let others = async {
            for _ in 0..100 {
                yield_now().await;
            }
            assert_eq!(polls.get(), 1);
            sender.send(1).unwrap();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            changed = &mut waiting => changed.unwrap(),
            () = others => {}
        }
        assert_eq!(polls.get(), 2);
    }

    #[tokio::test]
    async fn another_task_that_takes_it_over_is_woken() {
        let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
        let mut waiting = Box::pin(async move {
            let receiver = pin!(receiver);
            when_woken(receiver).await
        });
        let mut cx = std::task::Context::from_waker(Waker::noop());
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
        let task = tokio::spawn(waiting);
        yield_now().await;
        sender.send(()).unwrap();
        task.await.unwrap().unwrap();
    }
}
