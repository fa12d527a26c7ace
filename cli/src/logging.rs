//! What Squall says while it runs: on stderr, as text or JSON lines.

use clap::ValueEnum;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

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

/// Starts logging with `filter`, else `RUST_LOG`, else [`FILTER_DEFAULT`].
pub(crate) fn start(filter: Option<&str>, format: LogFormat) -> Result<(), Failure> {
    let rust_log = std::env::var("RUST_LOG").ok().filter(|text| !text.is_empty());
    let text = filter.or(rust_log.as_deref()).unwrap_or(FILTER_DEFAULT);
    let targets: Targets = text.parse().map_err(|e| {
        let fix = "use a level (error, warn, info, debug) or target=level pairs";
        Failure::new(Exit::Usage, format_args!("log filter {text:?} is not valid: {e}; {fix}"))
    })?;
    // `log_internal_errors(false)`: a closed stderr must not make the logger write to stderr about it.
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .log_internal_errors(false)
        .with_ansi(output::stderr_has_colour());
    let all = tracing_subscriber::registry().with(targets);
    let started = match format {
        LogFormat::Text => all.with(lines.with_target(false)).try_init(),
        LogFormat::Json => all.with(lines.json().flatten_event(true).with_current_span(false)).try_init(),
    };
    started.map_err(|e| Failure::new(Exit::Failure, format_args!("cannot start logging: {e}")))
}
