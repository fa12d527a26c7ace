//! `benches/experiment`: what an experiment that runs costs for each request. `benches/README.md` tells the method.

mod api;
mod load;
mod measure;
mod services;

use std::path::PathBuf;

use clap::Parser;

/// Measures CPU time for each request to A, with and without an experiment, in turns.
#[derive(Debug, Parser)]
#[command(name = "experiment")]
struct Options {
    /// Rounds, each of both; the last line has their median.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Requests to A a second, at most; 0 is as many as there can be.
    #[arg(long, default_value_t = 0)]
    rate: u32,
    /// Connections to A.
    #[arg(long, default_value_t = 16)]
    connections: u32,
    /// Requests come without ids, so that Squall gives them some; else with a `traceparent`.
    #[arg(long)]
    without_ids: bool,
    /// `joined_per_second` of the experiment; its default when it is not said.
    #[arg(long)]
    joined_per_second: Option<u64>,
    /// Workers of Squall, all on one core.
    #[arg(long, default_value_t = 1)]
    workers: u32,
    /// The `squall` to measure.
    #[arg(long, default_value = "target/release/squall")]
    squall: PathBuf,
    /// Where its configuration and its log go.
    #[arg(long, default_value = "target/experiment")]
    out: PathBuf,
}

fn main() -> anyhow::Result<()> {
    measure::run(&Options::parse())
}
