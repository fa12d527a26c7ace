//! `squall-kubernetes`: what Squall is in a cluster besides its sidecars.
//!
//! `run` is the composition root. Webhooks decide by pure functions, certificates are given or made here.

mod args;
mod run;
mod serve;
mod tls;
mod webhook;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let args::Verb::Run(args) = args::Cli::parse().verb;
    match run::run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // On stderr whatever becomes of the log; nothing can be done when that is closed.
            let _closed = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
