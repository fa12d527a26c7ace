//! The compiled configuration: immutable, shared by all workers.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};

use squall_config::model::{Cluster, Config, Destination, Fault, Listener, Rule};
use squall_config::pattern::Pattern;

use crate::attempts::Attempts;
use crate::index::Index;
use crate::plan::{RuleIndex, Step};

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
    /// Picked, but the exchange had nothing that the fault could be applied to.
    pub skipped_not_applicable: AtomicU64,
    /// Matched, but passed because the path is excluded from faults.
    pub skipped_excluded_path: AtomicU64,
    /// Matched, but passed because it has no key that the sample could go by.
    pub skipped_no_key: AtomicU64,
    /// Matched, but passed because the path or the cluster is protected.
    pub skipped_protected: AtomicU64,
    /// Picked, but passed because more of the traffic must not be faulted.
    pub skipped_traffic_share: AtomicU64,
    /// Would have been injected, were the rule not in shadow mode.
    pub skipped_shadow: AtomicU64,
    /// Tries of the same request, for a sample that goes by them.
    pub(crate) attempts: Attempts,
}

/// A rule ready to be evaluated.
#[derive(Debug)]
pub struct CompiledRule {
    /// As validated, but for two things: its faults are sorted into the order of application, and no delay's `max` is
    /// beyond `limits.delay_max`.
    pub rule: Rule,
    /// Shared with the same rule of earlier and later snapshots.
    pub state: Arc<RuleState>,
    /// Names the random stream of this rule; from the rule's name alone.
    pub stream: u64,
    /// The authority condition, ready for text in lower case.
    pub(crate) authority: Option<Pattern>,
}

/// A listener with what it needs per exchange.
#[derive(Debug)]
pub struct CompiledListener {
    /// As validated; in a route, `cluster` is that of the route.
    pub listener: Listener,
    /// Index into [`Snapshot::clusters`].
    pub cluster: usize,
    /// What belongs to that cluster, where connections go on to their original destination.
    pub destinations: Vec<Destination>,
    /// Whether no rule touches what goes there.
    pub is_protected: bool,
    /// The enabled rules that can match HTTP exchanges here, in order; empty when halted.
    pub http_rules: Vec<RuleIndex>,
    /// The enabled rules that can match TCP connections here, in order; empty when halted.
    pub tcp_rules: Vec<RuleIndex>,
    /// The enabled rules that can match the tunnels opened here, in order; empty when halted.
    pub tunnel_rules: Vec<RuleIndex>,
    /// The enabled rules that can match the handshakes here, in order; empty when halted.
    pub tls_rules: Vec<RuleIndex>,
    /// This listener with each of the other clusters that server names or original destinations lead to.
    pub routes: Vec<Arc<CompiledListener>>,
    /// Finds those of `http_rules` that a request can match.
    pub(crate) index: Index,
}

impl CompiledListener {
    /// Whether a rule can match a handshake, whatever server name the client asks for.
    pub fn has_tls_rules(&self) -> bool {
        !self.tls_rules.is_empty() || self.routes.iter().any(|route| !route.tls_rules.is_empty())
    }

    /// Whether a name can decide what a redirected connection belongs to.
    pub fn goes_by_names(&self) -> bool {
        self.routes.iter().any(|route| route.destinations.iter().any(Destination::is_name))
    }

    /// What belongs to this: the listener itself, or one of its routes (the index).
    pub fn route(&self, sought: Sought<'_>) -> Option<usize> {
        if self.routes.is_empty() {
            return None;
        }
        if self.listener.original_dst.is_some() {
            let port = sought.port?;
            return self.routes.iter().position(|route| sought.is_among(&route.destinations, port));
        }
        let cluster = self.listener.server_names.cluster(sought.server_name?)?;
        self.routes.iter().position(|route| route.listener.cluster == *cluster)
    }
}

/// What may decide which of a listener's clusters an exchange or a connection belongs to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sought<'a> {
    /// The name that the client asked for in its TLS handshake.
    pub server_name: Option<&'a str>,
    /// The address that it goes to, where that is known.
    pub ip: Option<IpAddr>,
    /// And its port.
    pub port: Option<u16>,
    /// Host or `:authority`, perhaps with a port.
    pub authority: Option<&'a str>,
}

impl Sought<'_> {
    /// Whether it is one of these: by its address, or by one of the names that the client has for it.
    fn is_among(&self, destinations: &[Destination], port: u16) -> bool {
        let host = self.authority.map(|authority| authority.rsplit_once(':').map_or(authority, |(host, _)| host));
        let names = [host, self.server_name];
        destinations.iter().any(|listed| {
            listed.allows_address(self.ip, port)
                || names.into_iter().flatten().any(|name| listed.allows_name(name, port))
        })
    }
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
    /// Whether the rule with this state may still hold traffic: it is in this snapshot, injects, and nothing is halted.
    pub fn is_active(&self, state: &Arc<RuleState>) -> bool {
        !self.halted && self.rules.iter().any(|r| r.rule.injects() && Arc::ptr_eq(&r.state, state))
    }

    /// The listener of this name.
    pub fn listener(&self, name: &str) -> Option<&Arc<CompiledListener>> {
        self.listeners.iter().find(|l| l.listener.name.as_str() == name)
    }

    /// The rule of an index, which is always one of this snapshot: one of its listeners has it, or a decision on it. What
    /// outlives a snapshot keeps the rule's state instead.
    ///
    /// # Panics
    /// When the index is of another snapshot that had more rules.
    pub fn rule(&self, index: RuleIndex) -> &CompiledRule {
        &self.rules[index.place()]
    }

    /// The rule of a step of a plan; see [`Self::rule`].
    pub fn step_rule(&self, step: Step) -> &CompiledRule {
        self.rule(step.rule)
    }

    /// The fault of a step of a plan; see [`Self::rule`].
    pub fn step_fault(&self, step: Step) -> &Fault {
        &self.step_rule(step).rule.faults[usize::from(step.fault)]
    }

    /// Whether one of these steps is of the experiment that this rule belongs to; all of them decided on this snapshot.
    pub fn has_part_of_experiment(&self, rule: RuleIndex, steps: &[Step]) -> bool {
        let experiment = self.rule(rule).rule.experiment.as_ref();
        experiment.is_some() && steps.iter().any(|step| self.step_rule(*step).rule.experiment.as_ref() == experiment)
    }
}

#[cfg(test)]
#[path = "experiment_tests.rs"]
mod tests;
