//! Who gets what.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use squall_config::model::Pods;
use squall_orders::{ExperimentOrder, Orders};

use super::{EXPERIMENT_PODS_MAX, Fleet, Halt, OrderedExperiment, OrderedRule, Rank, Sidecar, orders, share};

/// What each sidecar is ordered, and what that means for each object.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Plan {
    /// By the uid of the pod.
    pub(crate) orders: BTreeMap<String, Arc<Orders>>,
    /// By the uid of the FaultRule or Experiment.
    pub(crate) shares: BTreeMap<String, Share>,
    /// So many pods may be hit.
    pub(crate) pods_hit_max: usize,
    /// Pods that are hit.
    pub(crate) pods_hit: BTreeSet<String>,
    /// The next time at which the same fleet has another plan.
    pub(crate) until: Option<Timestamp>,
}

/// What an object gets of the fleet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Share {
    /// Connected pods that it is for.
    pub(crate) matched: usize,
    /// Of these, those in its percentage.
    pub(crate) wanted: usize,
    /// Of these, those that are hit: fewer when others were there first and the bound of the fleet is reached.
    pub(crate) hit: Vec<String>,
    /// Why it hits none.
    pub(crate) halted: Option<String>,
}

/// What hits pods.
#[derive(Clone, Copy)]
enum Item<'a> {
    Rule(&'a OrderedRule),
    Experiment(&'a OrderedExperiment),
}

impl<'a> Item<'a> {
    fn rank(self) -> &'a Rank {
        match self {
            Self::Rule(rule) => &rule.rank,
            Self::Experiment(experiment) => &experiment.rank,
        }
    }

    fn namespace(self) -> &'a str {
        match self {
            Self::Rule(rule) => &rule.namespace,
            Self::Experiment(experiment) => &experiment.namespace,
        }
    }

    fn pods(self) -> &'a Pods {
        match self {
            Self::Rule(rule) => &rule.pods,
            Self::Experiment(experiment) => &experiment.pods,
        }
    }
}

impl Fleet {
    /// Who gets what, at this time.
    pub(crate) fn plan(&self, now: Timestamp) -> Plan {
        let items = items(self, now);
        let pods_hit_max = share::count(self.sidecars.len(), self.settings.pods_hit_max);
        let mut plan = Plan {
            pods_hit_max,
            until: self.rules.values().map(|rule| rule.expires_at).filter(|at| *at > now).min(),
            ..Plan::default()
        };
        let halts = Halts::of(self);
        let mut namespaces: BTreeMap<&str, Vec<&Sidecar>> = BTreeMap::new();
        for sidecar in self.sidecars.values() {
            namespaces.entry(&sidecar.pod.namespace).or_default().push(sidecar);
        }
        let mut given: BTreeMap<String, Vec<Item<'_>>> = BTreeMap::new();
        for item in items {
            let there = namespaces.get(item.namespace()).map_or(&[][..], Vec::as_slice);
            let share = share_of(item, there, halts.of_namespace(item.namespace()), &mut plan);
            for pod in &share.hit {
                given.entry(pod.clone()).or_default().push(item);
            }
            plan.shares.insert(item.rank().uid.clone(), share);
        }
        let lease_ms = u64::try_from(self.settings.lease.as_millis()).unwrap_or(u64::MAX);
        for sidecar in self.sidecars.values() {
            let items = given.get(&sidecar.pod.uid).map_or(&[][..], Vec::as_slice);
            let halt = halts.of_namespace(&sidecar.pod.namespace).map(Halt::text);
            let orders = Orders { lease_ms, halt, ..orders_of(items) };
            plan.orders.insert(sidecar.pod.uid.clone(), Arc::new(orders::named(orders)));
        }
        debug_assert!(plan.pods_hit.len() <= plan.pods_hit_max, "no more pods are hit than may be");
        plan
    }
}

/// All that may hit pods, those that are served first at the beginning.
fn items(fleet: &Fleet, now: Timestamp) -> Vec<Item<'_>> {
    let rules = fleet.rules.values().filter(|rule| rule.expires_at > now).map(Item::Rule);
    let mut items: Vec<Item<'_>> = rules.chain(fleet.experiments.values().map(Item::Experiment)).collect();
    items.sort_by_key(|item| item.rank());
    items
}

/// Which pods of those that are there an object gets; they count from then on.
fn share_of(item: Item<'_>, there: &[&Sidecar], halted: Option<&Halt>, plan: &mut Plan) -> Share {
    let pods = item.pods();
    let mut matched: Vec<&str> = there
        .iter()
        .filter(|sidecar| pods.selector.matches(&sidecar.report.labels))
        .map(|sidecar| sidecar.pod.uid.as_str())
        .collect();
    let uid = &item.rank().uid;
    matched.sort_by_cached_key(|pod| (share::place(uid, pod), *pod));
    let n_matched = matched.len();
    let wanted: Vec<&str> = match item {
        Item::Experiment(OrderedExperiment { participants: Some(participants), .. }) => {
            let is_there = |uid: &&str| there.iter().any(|sidecar| sidecar.pod.uid == *uid);
            participants.iter().map(String::as_str).filter(is_there).collect()
        }
        Item::Experiment(_) => {
            matched.truncate(share::count(n_matched, pods.percentage).min(EXPERIMENT_PODS_MAX));
            matched
        }
        Item::Rule(_) => {
            matched.truncate(share::count(n_matched, pods.percentage));
            matched
        }
    };
    let mut share = Share { matched: n_matched, wanted: wanted.len(), ..Share::default() };
    if let Some(halt) = halted {
        share.halted = Some(halt.text());
        return share;
    }
    for pod in wanted {
        if plan.pods_hit.len() < plan.pods_hit_max || plan.pods_hit.contains(pod) {
            plan.pods_hit.insert(pod.to_owned());
            share.hit.push(pod.to_owned());
        }
    }
    share
}

/// What a sidecar does. One that halts gets nothing to do: what was in force when the halt began ends, too.
fn orders_of(items: &[Item<'_>]) -> Orders {
    let mut orders = Orders::default();
    for item in items {
        match item {
            Item::Rule(rule) => orders.rules.push((*rule.rule).clone()),
            Item::Experiment(experiment) if experiment.participants.is_some() => {
                let (run, document) = (experiment.run.clone(), (*experiment.document).clone());
                orders.experiments.push(ExperimentOrder { run, document });
            }
            Item::Experiment(_) => {}
        }
    }
    orders
}

/// The halts, those that are told first at the beginning.
struct Halts<'a>(Vec<&'a Halt>);

impl<'a> Halts<'a> {
    fn of(fleet: &'a Fleet) -> Self {
        let mut halts: Vec<&Halt> = fleet.halts.values().collect();
        halts.sort_by_key(|halt| &halt.rank);
        Self(halts)
    }

    fn of_namespace(&self, namespace: &str) -> Option<&'a Halt> {
        self.0.iter().find(|halt| halt.covers(namespace)).copied()
    }
}
