//! What Squall says while it runs: on stderr, as text or JSON lines; how much of it can be changed meanwhile.
//!
//! Lines are written by a thread of their own. When nobody reads stderr they are lost and counted: neither traffic nor the
//! control API ever waits for a reader of the log.

mod repeats;

use std::sync::OnceLock;
use std::time::Duration;

use clap::ValueEnum;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, reload};

use self::repeats::Repeats;
use crate::exit::{Exit, Failure};
use crate::output;

/// Shape of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Without a filter: what starts, stops and changes, and what goes wrong.
const FILTER_DEFAULT: &str = "info,hyper=warn,h2=warn";

/// Lines that may wait for whoever reads them, about 512 KiB. Each has its place, of 32 bytes, from the start on: 256 KiB for four times
/// as many would be a tenth of what an idle Squall has of its own.
const LINES_MAX: usize = 2 * 1024;

/// How often it is looked whether lines were lost.
const LOSS_INTERVAL: Duration = Duration::from_secs(10);

/// The log is one for the process, as `tracing` has it.
static LOG: OnceLock<Log> = OnceLock::new();

#[derive(Debug)]
struct Log {
    filter: reload::Handle<Targets, Registry>,
    repeats: Repeats,
    lost: ErrorCounter,
}

/// Starts logging with `filter`, else `RUST_LOG`, else [`FILTER_DEFAULT`]. Dropping the guard writes what is left, for at most
/// a second.
pub(crate) fn start(filter: Option<&str>, format: LogFormat) -> Result<WorkerGuard, Failure> {
    let rust_log = std::env::var("RUST_LOG").ok().filter(|text| !text.is_empty());
    let text = filter.or(rust_log.as_deref()).unwrap_or(FILTER_DEFAULT);
    let targets = parse(text).map_err(|problem| Failure::new(Exit::Usage, problem))?;
    let (targets, filter) = reload::Layer::new(targets);
    let repeats = Repeats::default();
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(LINES_MAX)
        .lossy(true)
        .thread_name("squall-log")
        .finish(std::io::stderr());
    let lost = writer.error_counter();
    // `log_internal_errors(false)`: a closed stderr must not make the logger write to stderr about it.
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .log_internal_errors(false)
        .with_ansi(output::stderr_has_colour());
    let all = tracing_subscriber::registry().with(targets).with(repeats.clone());
    let started = match format {
        LogFormat::Text => all.with(lines.with_target(false)).try_init(),
        LogFormat::Json => all.with(lines.json().flatten_event(true).with_current_span(false)).try_init(),
    };
    started.map_err(|error| Failure::caused_by(Exit::Failure, error).of("cannot start logging"))?;
    let _ = LOG.set(Log { filter, repeats, lost });
    Ok(guard)
}

/// The filter in force, in its canonical form.
pub(crate) fn filter() -> String {
    let current = LOG.get().and_then(|log| log.filter.with_current(ToString::to_string).ok());
    current.unwrap_or_default()
}

/// Checks another filter; the closure puts it in force.
///
/// # Errors
/// What is not valid in it, and what would be.
pub(crate) fn prepare_filter(text: &str) -> Result<Box<dyn FnOnce() + Send>, String> {
    let targets = parse(text)?;
    let log = LOG.get().ok_or("this process does not log")?;
    Ok(Box::new(move || {
        if let Err(error) = log.filter.reload(targets) {
            tracing::error!(%error, "the log level cannot be changed");
        }
    }))
}

/// Says what was held back because it repeats itself, as it becomes due, and what was lost. Never ends; safe to drop.
pub(crate) async fn say_repeats() {
    if let Some(log) = LOG.get() {
        tokio::select! {
            () = log.repeats.say_when_due() => {}
            () = log.say_losses() => {}
        }
    }
}

impl Log {
    async fn say_losses(&self) {
        let mut told = 0;
        loop {
            tokio::time::sleep(LOSS_INTERVAL).await;
            let lost = self.lost.dropped_lines();
            if lost > told {
                // It may be lost like them; then the next one tells.
                tracing::warn!(lines_lost_in_all = lost, "nobody reads the log fast enough");
                told = lost;
            }
        }
    }
}

/// How many lines nobody read in time.
pub(crate) fn lines_lost() -> u64 {
    LOG.get().map_or(0, |log| log.lost.dropped_lines() as u64)
}

/// Says now what is held back.
pub(crate) fn say_all_repeats() {
    if let Some(log) = LOG.get() {
        log.repeats.say();
    }
}

fn parse(text: &str) -> Result<Targets, String> {
    let refuse = |what: &dyn std::fmt::Display| {
        let fix = "use a level (error, warn, info, debug, off) or target=level pairs";
        format!("log filter {text:?} is not valid: {what}; {fix}")
    };
    // A word alone would be taken for a target, and silence all others.
    let is_level = |part: &str| !part.is_empty() && part.parse::<LevelFilter>().is_ok();
    if let Some(word) = text.split(',').map(str::trim).find(|part| !part.contains('=') && !is_level(part)) {
        return Err(refuse(&format_args!("{word:?} is no level")));
    }
    text.parse().map_err(|error| refuse(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_a_level_or_pairs() {
        for good in ["debug", "INFO", "off", "info,squall_proxy=debug", FILTER_DEFAULT] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in ["", "loud", "info,loud", "squall_proxy=loud", "info,,warn", "debug verbose"] {
            assert!(parse(bad).is_err_and(|error| error.contains("use a level")), "{bad}");
        }
    }
}
