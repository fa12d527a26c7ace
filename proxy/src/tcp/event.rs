//! What a relay waits for besides its sockets.

use std::future::{Future, pending};
use std::pin::pin;
use std::time::Instant;

use crate::life::{Control, Life};
use crate::when_woken::when_woken;

/// What happened.
pub(super) enum Event<T> {
    Cut,
    /// What faults are on may be others now.
    Changed,
    /// The time that was asked for has come.
    Due,
    Work(T),
}

impl Control {
    /// The next thing that happens. Control comes before work, so that a rule is on before the next byte.
    pub(super) async fn next<T>(&mut self, due: Option<Instant>, work: impl Future<Output = T>) -> Event<T> {
        let control = pin!(self.event(due));
        tokio::select! {
            biased;
            event = when_woken(control) => event,
            done = work => Event::Work(done),
        }
    }

    /// The next thing that happens besides work.
    async fn event<T>(&mut self, due: Option<Instant>) -> Event<T> {
        let due = async {
            match due {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            Ok(()) = self.life.changed() => match *self.life.borrow() {
                Life::Cut => Event::Cut,
                _ => Event::Changed,
            },
            Ok(()) = self.changes.changed() => Event::Changed,
            () = due => Event::Due,
        }
    }
}
