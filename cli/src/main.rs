//! `squall`: a fault-injecting sidecar proxy, and the verbs that drive it.
//!
//! One file per verb; `run` is the composition root, the only place that knows proxy and control at once.

mod args;
mod audit;
mod certs;
mod client;
mod completions;
mod config;
mod demo;
mod exit;
mod experiment;
mod explain;
mod gameday;
mod halt;
mod healthcheck;
mod inject;
mod lease;
mod log_level;
mod logging;
mod net_init;
mod output;
mod rule;
mod run;
mod source;
mod status;
mod tap;
mod top;
mod trust;
mod verb;

use std::process::ExitCode;

use clap::Parser;

/// Static builds get a poor allocator from the C library; this one is fast everywhere.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let outcome = args::Cli::try_parse().unwrap_or_else(|error| args::with_tip(error).exit()).command.execute();
    match outcome {
        Ok(exit) => exit.into(),
        Err(failure) => {
            output::say(&failure.text());
            failure.exit.into()
        }
    }
}
