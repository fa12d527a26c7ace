//! `squall-kubernetes`: what Squall is in a cluster besides its sidecars.
//!
//! ```text
//! API server ─▶ reconcile: FaultRule, Experiment, ClusterHalt ─▶ fleet: who gets what ─▶ sidecars: the answers of /v1/sidecars
//!      ▲                      │                                                               │
//!      └──────── status ◀─────┴────────────────── what sidecars report ◀──────────────────────┘
//! ```
//!
//! Nothing is ordered that is not written down in a status first, and nothing that is known is older than a lease: where the API
//! server falls silent, so does the controller, and the faults end.
//!
//! `run` is the composition root. Webhooks decide by pure functions, certificates are given or made here.

mod args;
mod controller;
mod crds;
mod dispatch;
mod fleet;
mod footing;
mod reconcile;
mod run;
mod serve;
mod sidecars;
mod tls;
mod webhook;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let done = match args::Cli::parse().verb {
        args::Verb::Run(args) => run::run(&args),
        args::Verb::Crds => print_crds(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // On stderr whatever becomes of the log; nothing can be done when that is closed.
            let _closed = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn print_crds() -> anyhow::Result<()> {
    Ok(std::io::stdout().write_all(crds::yaml()?.as_bytes())?)
}
