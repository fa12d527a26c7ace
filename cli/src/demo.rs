//! `squall demo`: the whole story on one machine, with nothing but this binary.
//!
//! Load → Squall (inbound) → Service A → Squall (outbound) → Service B, all on loopback ports that the system chooses.
//! The hypothesis "A stays within its steady state when 5 % of its calls to B take 2 s" becomes true or false: an experiment
//! is put to the control API, and is followed through its phases to its verdict. Squall is the very one of `squall run`, and
//! the demo knows of it only what any client can: its ports and its control API.

mod args;
mod caller;
mod chosen;
mod load;
mod sample;
mod scene;
mod services;
mod story;
mod table;

use crate::exit::Outcome;
use crate::logging::{self, LogFormat};

pub(crate) use args::DemoArgs;

/// Plays it.
pub(crate) fn execute(args: &DemoArgs) -> Outcome {
    // The table is the talk here; the log only speaks up when something is wrong.
    let filter = std::env::var("SQUALL_LOG").ok();
    let _log = logging::start(filter.as_deref().or(Some("error")), LogFormat::Text)?;
    story::play(args)
}
