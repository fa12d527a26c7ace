//! A warning that comes again and again is one line and a number.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// For so long a line is not repeated.
const WINDOW: Duration = Duration::from_secs(10);
/// So many different lines may come from one place of the code meanwhile.
const DIFFERENT_MAX: usize = 10;
/// Lines that count others; they are never held back.
const TARGET: &str = "squall::repeats";

/// Lets a line through once, and counts the same, and too many of the same kind, until [`Self::say`]. Only warnings and
/// errors: the rest says what changes, or was asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Repeats(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    call_sites: Mutex<HashMap<Identifier, CallSite>>,
    /// The first line of a window was held back.
    holds_back: Notify,
}

/// What came from one place of the code since its numbers were told.
#[derive(Debug, Default)]
struct CallSite {
    lines: Vec<String>,
    held_back: u64,
}

impl CallSite {
    /// Whether the line is to be written.
    fn takes(&mut self, line: String) -> bool {
        let is_new = self.lines.len() < DIFFERENT_MAX && !self.lines.contains(&line);
        if is_new {
            self.lines.push(line);
        } else {
            self.held_back += 1;
        }
        is_new
    }

    fn summary(&self) -> String {
        let line = self.lines.last().map_or("", String::as_str);
        if self.lines.len() == 1 { format!("again: {line}") } else { format!("again, or much the same: {line}") }
    }
}

impl Repeats {
    fn call_sites(&self) -> MutexGuard<'_, HashMap<Identifier, CallSite>> {
        self.0.call_sites.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts what was held back, a window after each time that something is first.
    pub(super) async fn say_when_due(&self) {
        loop {
            self.0.holds_back.notified().await;
            tokio::time::sleep(WINDOW).await;
            self.say();
        }
    }

    /// Counts what was held back; the next of each kind is written again.
    pub(super) fn say(&self) {
        // Not under the lock: what is said comes through here.
        let call_sites = std::mem::take(&mut *self.call_sites());
        for site in call_sites.into_values().filter(|site| site.held_back > 0) {
            tracing::warn!(target: TARGET, times = site.held_back, "{}", site.summary());
        }
    }
}

impl<S: Subscriber> Layer<S> for Repeats {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        if *metadata.level() > Level::WARN || metadata.target() == TARGET {
            return true;
        }
        let mut line = Line(String::new());
        event.record(&mut line);
        let mut call_sites = self.call_sites();
        let site = call_sites.entry(metadata.callsite()).or_default();
        let is_written = site.takes(line.0);
        if !is_written && site.held_back == 1 {
            self.0.holds_back.notify_one();
        }
        is_written
    }
}

/// An event in words.
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let gap = if self.0.is_empty() { "" } else { " " };
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{gap}{value:?}"),
            name => write!(self.0, "{gap}{name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines that are left of what `say` says.
    fn lines(say: impl FnOnce(&Repeats)) -> Vec<String> {
        let (repeats, written) = (Repeats::default(), Written::default());
        let writer = written.clone();
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .with_target(false)
            .without_time();
        let all = tracing_subscriber::registry().with(repeats.clone()).with(lines);
        tracing::subscriber::with_default(all, || say(&repeats));
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| line.trim().to_owned()).collect()
    }

    #[test]
    fn a_storm_is_one_line_and_a_count() {
        let said = lines(|repeats| {
            let storm = || (0..500).for_each(|_| tracing::warn!(cluster = "b", "no address"));
            storm();
            repeats.say();
            storm();
            repeats.say();
            repeats.say();
        });
        let once = ["WARN no address cluster=\"b\"", "WARN again: no address cluster=\"b\" times=499"];
        assert_eq!(said, [once, once].concat());
    }

    #[test]
    fn different_lines_of_one_place_are_written_until_there_are_too_many() {
        let said = lines(|repeats| {
            (0..100).for_each(|n| tracing::error!(n, "bad"));
            tracing::error!("another place");
            repeats.say();
        });
        assert_eq!(said.len(), 10 + 1 + 1, "{said:?}");
        assert_eq!(said[11], "WARN again, or much the same: bad n=9 times=90");
    }

    #[test]
    fn what_is_no_warning_is_never_held_back() {
        assert_eq!(lines(|_| (0..30).for_each(|_| tracing::info!("rules changed"))).len(), 30);
    }
}
