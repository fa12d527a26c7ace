//! What `squall demo` is asked for.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::verb::EPILOGUE;

/// What is run unless another experiment is named, and for how long.
const DEFAULT: &str = "slow-dependency";
const SECONDS_DEFAULT: u16 = 20;

/// Arguments of `squall demo`.
#[derive(Clone, Debug, Args)]
#[command(
    before_long_help = "\
Examples:
  squall demo                  20 seconds; the hypothesis holds, exit 0
  squall demo --fragile        Service A without timeout and fallback; it fails, exit 6
  squall demo --seconds 60 --report out
  squall demo --experiment instance-loss

Nothing leaves this machine, and nothing stays behind but the report.",
    after_long_help = EPILOGUE
)]
pub(crate) struct DemoArgs {
    /// How long the whole takes [default: 20 for slow-dependency, else what the experiment says]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(6..=600), env = "SQUALL_DEMO_SECONDS")]
    seconds: Option<u16>,
    /// The experiment: slow-dependency, instance-loss, card-authorisation or a file
    #[arg(long, value_name = "NAME|FILE", default_value = DEFAULT)]
    pub(super) experiment: String,
    /// Runs a Service A without timeout and fallback
    #[arg(long)]
    pub(super) fragile: bool,
    /// Seed of every random choice
    #[arg(long, value_name = "N", default_value_t = 1, env = "SQUALL_SEED")]
    pub(super) seed: u64,
    /// Where the report goes [default: a new directory for temporary files]
    #[arg(long, value_name = "DIR")]
    pub(super) report: Option<PathBuf>,
}

impl DemoArgs {
    /// Whether the experiment is to take another time than it says.
    pub(super) fn is_scaled(&self) -> bool {
        self.seconds.is_some() || self.experiment == DEFAULT
    }

    pub(super) fn bound(&self) -> Duration {
        Duration::from_secs(self.seconds.unwrap_or(SECONDS_DEFAULT).into())
    }
}
