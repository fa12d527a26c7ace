//! `squall run`: the proxy and its control API, until a signal ends them. The composition root.

mod address;
mod args;
mod banner;
mod exposition;
mod plane;
mod settings;
mod sidecar;
mod signals;
mod traces;
mod web;

use crate::exit::Outcome;
use crate::logging::{self, LogFormat};

pub(crate) use args::RunArgs;
pub(crate) use settings::Overrides;
pub(crate) use sidecar::{Sidecar, SidecarOptions};

use settings::{Settings, seed_of_system};

/// Runs until a signal.
pub(crate) fn execute(args: &RunArgs) -> Outcome {
    // First of all: process 1 of a container ignores signals that it has no handler for, and a signal that comes during
    // the start must find one.
    let signals = signals::Signals::install()?;
    let _log = logging::start(args.log.as_deref(), args.log_format)?;
    let Settings { document, config, file, overrides } = Settings::load(args)?;
    let seed = config.seed.unwrap_or_else(seed_of_system);
    let (n_workers, watch) = (args.n_workers(), !args.no_watch);
    let sidecar = Sidecar::start(SidecarOptions { document, config, file, overrides, seed, n_workers, watch })?;
    if args.log_format == LogFormat::Text {
        banner::print(&sidecar);
    }
    signals.serve(sidecar)
}
