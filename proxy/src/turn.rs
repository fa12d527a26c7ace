//! Work that one peer makes, done in pieces: between them the others of the same worker have their turn.

use std::pin::pin;
use std::task::{Context, Poll};

/// Waits until everything else that is ready on this worker, and what has come for it meanwhile, had its turn.
#[cold]
pub(crate) fn let_others<T>(cx: &mut Context<'_>) -> Poll<T> {
    // Polled once, it wakes this task behind the others: a plain wake would come before the sockets are looked at.
    let _is_first = pin!(tokio::task::yield_now()).poll(cx);
    Poll::Pending
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::poll_fn;
    use std::rc::Rc;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::task::LocalSet;

    use super::*;
    use crate::net::for_tests::pair;

    #[tokio::test]
    async fn sockets_are_looked_at_between_two_pieces() {
        let work = async {
            let (mut near, mut far) = pair().await;
            let (turns, is_over) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(false)));
            let (count, end) = (Rc::clone(&turns), Rc::clone(&is_over));
            let busy = tokio::task::spawn_local(poll_fn(move |cx| {
                count.set(count.get() + 1);
                if end.get() { Poll::Ready(()) } else { let_others(cx) }
            }));
            let answers = tokio::task::spawn_local(async move {
                while let Ok(byte) = far.read_u8().await {
                    far.write_u8(byte).await.unwrap();
                }
            });
            for _ in 0..100 {
                near.write_u8(1).await.unwrap();
                near.read_u8().await.unwrap();
            }
            is_over.set(true);
            busy.await.unwrap();
            drop(near);
            answers.await.unwrap();
            turns.get()
        };
        // A task that wakes itself at once has dozens of turns for each look at the sockets, of which a round trip takes two.
        let turns = LocalSet::new().run_until(work).await;
        assert!((100..2_000).contains(&turns), "{turns} turns beside a hundred round trips");
    }
}
