//! `benches/compare`: what a proxy costs, Squall beside its peers, in one run. `benches/README.md` tells the method.

mod args;
mod config;
mod copy;
mod identity;
mod measure;
mod open_loop;
mod origin;
mod peer;
mod picture;
mod report;
mod setup;
mod work;

use clap::Parser;

fn main() -> anyhow::Result<()> {
    match args::Cli::parse().command {
        Some(args::Command::Origin) => origin::serve(),
        Some(args::Command::Copy { upstream }) => copy::serve(upstream),
        None => measure::run(&args::Cli::parse().options),
    }
}
