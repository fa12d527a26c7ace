//! Asks a connection to say that it goes away, from whichever worker serves one of its streams.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::task::{Context, Waker};

use futures_util::task::AtomicWaker;
use h2::Reason;
use squall_config::model::Http2Code;

/// Shared by the task of a connection, by what its exchanges here share, and by each of its streams that another worker serves.
#[derive(Clone, Debug)]
pub(crate) struct GoingAway(Arc<Asked>);

/// How many of them are no guests.
const AT_HOME: usize = 2;

#[derive(Debug)]
struct Asked {
    /// [`NOTHING`], or the code.
    code: AtomicU32,
    connection: AtomicWaker,
}

/// No code of HTTP/2.
const NOTHING: u32 = u32::MAX;

impl Default for GoingAway {
    fn default() -> Self {
        Self(Arc::new(Asked { code: AtomicU32::new(NOTHING), connection: AtomicWaker::new() }))
    }
}

impl GoingAway {
    /// Asks for a GOAWAY with this code.
    pub(crate) fn ask(&self, code: Http2Code) {
        self.0.code.store(code.number(), Release);
        self.0.connection.wake();
    }

    /// Whether streams of the connection are with other workers.
    pub(crate) fn has_guests(&self) -> bool {
        Arc::strong_count(&self.0) > AT_HOME
    }

    /// Whom to wake when somebody asks.
    pub(crate) fn register(&self, waker: &Waker) {
        self.0.connection.register(waker);
    }

    /// What was asked for since the last time. Who asks next wakes this task again: who asked before took its waker.
    pub(crate) fn take(&self, cx: &Context<'_>) -> Option<Reason> {
        // A plain look first: it is asked at each turn of the connection.
        if self.0.code.load(Relaxed) == NOTHING {
            return None;
        }
        self.register(cx.waker());
        let code = self.0.code.swap(NOTHING, Acquire);
        (code != NOTHING).then(|| Reason::from(code))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn each_who_asks_wakes_the_connection() {
        let (going_away, woken) = (GoingAway::default(), Arc::new(Woken::default()));
        let waker = Waker::from(Arc::clone(&woken));
        let cx = Context::from_waker(&waker);
        going_away.register(&waker);
        assert_eq!(going_away.take(&cx), None);
        for (n, code) in [Http2Code::NO_ERROR, Http2Code::ENHANCE_YOUR_CALM].into_iter().enumerate() {
            going_away.ask(code);
            assert_eq!(woken.0.load(Relaxed), n + 1);
            assert_eq!(going_away.take(&cx), Some(Reason::from(code.number())));
            assert_eq!(going_away.take(&cx), None);
        }
    }
}
