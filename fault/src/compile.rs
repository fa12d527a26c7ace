//! Model → snapshot.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use squall_config::model::{Config, Fault, Limits, Listener, Name, Rule};

use crate::draw::stream_of;
use crate::index::Index;
use crate::matcher::{lowercase, match_listener};
use crate::plan::RuleIndex;
use crate::snapshot::{CompiledListener, CompiledRule, RuleState, Snapshot};

/// What a snapshot is beside its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Its number.
    pub generation: u64,
    /// Whether the kill switch is on; then no listener has rules.
    pub halted: bool,
    /// Seed of every draw.
    pub seed: u64,
}

impl Stamp {
    /// That of the first snapshot, whose rules inject.
    pub fn first(seed: u64) -> Self {
        Self { generation: 1, halted: false, seed }
    }
}

/// Compiles a configuration.
///
/// Rules that `previous` already has by name keep their state (counts, draws), whatever else changed about them.
/// Rules beyond 65,536 are left out; validation refuses that many.
///
/// # Panics
/// When a listener names a cluster that does not exist; validation refuses that.
pub fn compile(config: Arc<Config>, previous: Option<&Snapshot>, stamp: Stamp) -> Snapshot {
    let Stamp { generation, halted, seed } = stamp;
    debug_assert!(config.rules.len() <= RULES_MAX, "invariant: limits.rules_max is at most 65535");
    let states: HashMap<&Name, &Arc<RuleState>> =
        previous.into_iter().flat_map(|snapshot| &snapshot.rules).map(|r| (&r.rule.name, &r.state)).collect();
    let compile = |rule| compile_rule(rule, &config.limits, states.get(&rule.name).copied());
    let rules: Vec<CompiledRule> = config.rules.iter().take(RULES_MAX).map(compile).collect();
    let candidates = if halted { &[][..] } else { &rules[..] };
    let listeners =
        config.listeners.iter().map(|l| Arc::new(compile_listener(l, &config, candidates))).collect::<Vec<_>>();
    let clusters = config.clusters.iter().cloned().map(Arc::new).collect();
    Snapshot { generation, halted, seed, rules, listeners, clusters, config }
}

/// As many as a `u16` can count.
const RULES_MAX: usize = 1 << 16;

fn compile_rule(rule: &Rule, limits: &Limits, state: Option<&Arc<RuleState>>) -> CompiledRule {
    let mut rule = rule.clone();
    // A stable sort: what is listed first of the same rank stays first.
    rule.faults.sort_by_key(Fault::stage);
    for fault in &mut rule.faults {
        if let Fault::Delay(delay) = fault {
            delay.max = delay.max.min(limits.delay_max);
        }
    }
    CompiledRule {
        stream: stream_of(rule.name.as_str()),
        state: state.cloned().unwrap_or_default(),
        authority: rule.matches.authority.as_ref().map(lowercase),
        rule,
    }
}

/// The listener, with what it is to connections whose server name or original destination leads elsewhere.
fn compile_listener(listener: &Listener, config: &Config, rules: &[CompiledRule]) -> CompiledListener {
    let mut seen = BTreeSet::new();
    // In the order of the file, which decides where several clusters have the same destination.
    let others = listener.other_clusters().filter(|cluster| **cluster != listener.cluster && seen.insert(*cluster));
    let others: Vec<&Name> = others.collect();
    let route = |cluster: &&Name| {
        let listener = Listener { cluster: (*cluster).clone(), ..listener.clone() };
        Arc::new(compile_route(&listener, config, rules))
    };
    CompiledListener { routes: others.iter().map(route).collect(), ..compile_route(listener, config, rules) }
}

fn compile_route(listener: &Listener, config: &Config, rules: &[CompiledRule]) -> CompiledListener {
    let cluster = config.clusters.iter().position(|cluster| cluster.name == listener.cluster);
    let here: Vec<(RuleIndex, &Rule)> = RuleIndex::all()
        .zip(rules.iter().map(|compiled| &compiled.rule))
        .filter(|(_, rule)| rule.enabled && match_listener(&rule.matches, listener).is_ok())
        .collect();
    let http = here.iter().filter(|(_, rule)| rule.can_hit_http(listener.protocol));
    let tcp = here.iter().filter(|(_, rule)| rule.can_hit_tcp(listener.protocol));
    let tunnel = here.iter().filter(|(_, rule)| rule.can_hit_tunnel(listener.protocol));
    let ends_tls = listener.ends_tls();
    let tls = here.iter().filter(|(_, rule)| ends_tls && rule.can_hit_handshakes());
    let cluster = cluster.expect("invariant: validation refuses a listener whose cluster does not exist");
    let destinations = listener.original_dst.as_ref().map(|_| config.clusters[cluster].destinations.clone());
    CompiledListener {
        listener: listener.clone(),
        destinations: destinations.unwrap_or_default(),
        is_protected: config.limits.blast_radius.protected.has_cluster(&listener.cluster),
        cluster,
        http_rules: http.clone().map(|(index, _)| *index).collect(),
        index: Index::new(http.map(|(index, rule)| (*index, &rule.matches))),
        tcp_rules: tcp.map(|(index, _)| *index).collect(),
        tunnel_rules: tunnel.map(|(index, _)| *index).collect(),
        tls_rules: tls.map(|(index, _)| *index).collect(),
        routes: Vec::new(),
    }
}

#[cfg(test)]
#[path = "compile_tests.rs"]
mod tests;
