//! The compiled configuration: immutable, shared by all workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};

use squall_config::model::{Cluster, Config, Listener, Rule};

/// What a rule has done since it was made; survives changes of other rules and of its own definition.
#[derive(Debug, Default)]
pub struct RuleState {
    /// Exchanges (HTTP) or connections (TCP) that matched; also the ordinal of the next draw.
    pub matched: AtomicU64,
    /// Those whose fault was begun to be applied.
    pub injected: AtomicU64,
    /// Those that are being held or altered right now.
    pub active: AtomicI64,
    /// Picked, but passed because a budget was used up.
    pub skipped_budget: AtomicU64,
    /// Picked, but passed because the plan had no room.
    pub skipped_plan_full: AtomicU64,
    /// Matched, but passed because the path is excluded from faults.
    pub skipped_excluded_path: AtomicU64,
}

/// A rule ready to be evaluated.
#[derive(Debug)]
pub struct CompiledRule {
    /// As validated.
    pub rule: Rule,
    /// Shared with the same rule of earlier and later snapshots.
    pub state: Arc<RuleState>,
    /// Names the random stream of this rule; from the rule's name alone.
    pub stream: u64,
}

/// A listener with what it needs per exchange.
#[derive(Debug)]
pub struct CompiledListener {
    /// As validated.
    pub listener: Listener,
    /// Index into [`Snapshot::clusters`].
    pub cluster: usize,
    /// Indices of the enabled rules that can match HTTP exchanges here, in order; empty when halted.
    pub http_rules: Vec<u16>,
    /// Indices of the enabled rules that can match TCP connections here, in order; empty when halted.
    pub tcp_rules: Vec<u16>,
}

/// Everything that an exchange needs to know, at one moment.
#[derive(Debug)]
pub struct Snapshot {
    /// Counts published snapshots, from 1.
    pub generation: u64,
    /// Whether the kill switch is on; then no listener has rules.
    pub halted: bool,
    /// Seed of every draw.
    pub seed: u64,
    /// The validated configuration (its `rules` are those of `rules` below).
    pub config: Arc<Config>,
    /// In order of application; includes disabled ones.
    pub rules: Vec<CompiledRule>,
    /// In the order of the configuration.
    pub listeners: Vec<Arc<CompiledListener>>,
    /// In the order of the configuration.
    pub clusters: Vec<Arc<Cluster>>,
}

impl Snapshot {
    /// Whether the rule with this state may still hold traffic: it is in this snapshot, enabled, and nothing is halted.
    pub fn is_active(&self, state: &Arc<RuleState>) -> bool {
        !self.halted && self.rules.iter().any(|r| r.rule.enabled && Arc::ptr_eq(&r.state, state))
    }

    /// The listener of this name.
    pub fn listener(&self, name: &str) -> Option<&Arc<CompiledListener>> {
        self.listeners.iter().find(|l| l.listener.name.as_str() == name)
    }
}
