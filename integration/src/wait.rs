//! Deadlines in place of sleeps.

use std::time::{Duration, Instant};

/// How long a test waits for something that should be there at once; generous, as the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Calls `probe` until it gives a value, and returns it.
///
/// # Panics
/// After `deadline`, with `what` was awaited.
pub fn eventually<T>(what: &str, deadline: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + deadline;
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(Instant::now() < end, "not within {deadline:?}: {what}");
        pause(Duration::from_millis(5));
    }
}

/// Lets time pass where nothing can be waited for: to show that something does *not* happen.
#[expect(clippy::disallowed_methods, reason = "the one place where a test may let time pass")]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}
