//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::work::Work;

/// Runs Squall beside its peers and writes a table for each kind of work.
#[derive(Debug, Parser)]
#[command(name = "compare", args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) options: Options,
}

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Rounds over all peers; the table has their median.
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
    /// Seconds of load in each round, after a warm-up of one second.
    #[arg(long, default_value_t = 4)]
    pub(crate) seconds: u64,
    /// Only these kinds of work.
    #[arg(long, value_delimiter = ',')]
    pub(crate) work: Vec<Work>,
    /// Only these peers, by the beginning of their names.
    #[arg(long, value_delimiter = ',')]
    pub(crate) peers: Vec<String>,
    /// The `squall` to measure.
    #[arg(long, default_value = "target/release/squall")]
    pub(crate) squall: PathBuf,
    /// Where the results go.
    #[arg(long, default_value = "target/compare")]
    pub(crate) out: PathBuf,
}

/// What the run starts as processes of their own.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The upstream of all proxies.
    #[command(hide = true)]
    Origin,
    /// The floor: copies bytes and knows nothing.
    #[command(hide = true)]
    Copy { upstream: SocketAddr },
}
