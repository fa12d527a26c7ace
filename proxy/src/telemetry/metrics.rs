//! The names, help texts and labels of the data plane's metrics, merged over the workers.

use std::collections::BTreeMap;
use std::hash::Hash;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use prometheus::proto::{Metric, MetricFamily, MetricType};
use squall_config::model::Cluster;
use squall_fault::snapshot::Snapshot;

use crate::balance::Load;
use crate::tls::accept::Handshake;
use crate::tls::store::TlsStore;
use crate::upstream::caps::CAPS;
use crate::upstream::shared::SharedCluster;
use crate::upstream::status;

use super::families::{counter, family, gauge, histogram, seconds};
use super::shard::{
    CONNECT_RESULTS, ClusterShard, Count, Cut, FaultKey, FaultShard, ListenerKey, ListenerShard, Origin,
    STATUS_CLASSES, Shard,
};
use super::trace::queue::SpanCounts;

/// What counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted<'a> {
    /// Of all workers.
    pub(crate) shards: &'a [Arc<Shard>],
    /// Of all workers.
    pub(crate) loads: &'a [Load],
    /// Those in force.
    pub(crate) clusters: &'a [Arc<SharedCluster>],
    /// The certificates in use.
    pub(crate) tls: &'a TlsStore,
    /// When exchanges are traced.
    pub(crate) spans: Option<&'a SpanCounts>,
}

/// All families, from what counts and from the rules of the current snapshot.
pub(crate) fn families(counted: Counted<'_>, snapshot: &Snapshot) -> Vec<MetricFamily> {
    let Counted { shards, loads, clusters, tls, spans } = counted;
    let mut families = rule_families(snapshot);
    families.extend(worker_families(loads));
    families.extend(fault_families(&gather(shards, |s| &s.faults)));
    families.extend(listener_families(&gather(shards, |s| &s.listeners)));
    families.extend(cluster_families(&gather(shards, |s| &s.clusters)));
    families.extend(endpoint_families(clusters));
    families.extend(tls_families(tls, snapshot));
    families.extend(spans.map(spans_family));
    families.retain(|family| !family.get_metric().is_empty());
    families.sort_by(|a, b| a.name().cmp(b.name()));
    families
}

/// The shards of all workers by key, in a stable order.
fn gather<K, V>(
    shards: &[Arc<Shard>],
    map: impl Fn(&Shard) -> &Mutex<std::collections::HashMap<K, Arc<V>>>,
) -> Vec<(K, Vec<Arc<V>>)>
where
    K: LabelKey + Clone + Eq + Hash,
{
    let mut merged: BTreeMap<String, (K, Vec<Arc<V>>)> = BTreeMap::new();
    for shard in shards {
        for (key, value) in map(shard).lock().unwrap_or_else(PoisonError::into_inner).iter() {
            merged.entry(key.sort_key()).or_insert_with(|| (key.clone(), Vec::new())).1.push(Arc::clone(value));
        }
    }
    merged.into_values().collect()
}

/// A key that can be sorted, so that an exposition lists series in a stable order.
trait LabelKey {
    fn sort_key(&self) -> String;
}

impl LabelKey for ListenerKey {
    fn sort_key(&self) -> String {
        format!("{}/{}/{}", self.listener, self.cluster, self.direction.as_str())
    }
}

impl LabelKey for FaultKey {
    fn sort_key(&self) -> String {
        format!("{}/{}/{}", self.rule, self.kind, self.listener.sort_key())
    }
}

impl LabelKey for squall_config::model::Name {
    fn sort_key(&self) -> String {
        self.to_string()
    }
}

fn rule_families(snapshot: &Snapshot) -> Vec<MetricFamily> {
    let rules = || snapshot.rules.iter().map(|r| (r.rule.name.as_str(), &r.state));
    let matched = rules().map(|(name, s)| counter(&[("rule", name)], s.matched.load(Relaxed)));
    let active = rules().map(|(name, s)| gauge(&[("rule", name)], s.active.load(Relaxed) as f64));
    let skipped = rules().flat_map(|(name, s)| {
        [
            ("budget", s.skipped_budget.load(Relaxed)),
            ("plan_full", s.skipped_plan_full.load(Relaxed)),
            ("not_applicable", s.skipped_not_applicable.load(Relaxed)),
            ("excluded_path", s.skipped_excluded_path.load(Relaxed)),
            ("no_key", s.skipped_no_key.load(Relaxed)),
            ("protected", s.skipped_protected.load(Relaxed)),
            ("traffic_share", s.skipped_traffic_share.load(Relaxed)),
            ("shadow", s.skipped_shadow.load(Relaxed)),
        ]
        .map(|(reason, n)| counter(&[("rule", name), ("reason", reason)], n))
    });
    vec![
        family(
            "chaos_rule_matched_total",
            "Requests (HTTP) or connections (TCP) that the rule matched, injected or not.",
            MetricType::COUNTER,
            matched.collect(),
        ),
        family(
            "chaos_skipped_faults_total",
            "Faults that a rule would have injected but that were left out, by reason.",
            MetricType::COUNTER,
            skipped.collect(),
        ),
        family(
            "chaos_active_faults",
            "Requests or connections in progress that the rule was decided to hold or alter.",
            MetricType::GAUGE,
            active.collect(),
        ),
        family(
            "chaos_halted",
            "1 while the kill switch is on, else 0.",
            MetricType::GAUGE,
            vec![gauge(&[], f64::from(u8::from(snapshot.halted)))],
        ),
    ]
}

fn fault_families(faults: &[(FaultKey, Vec<Arc<FaultShard>>)]) -> Vec<MetricFamily> {
    let injected = faults.iter().map(|(key, shards)| {
        let labels = [
            ("rule", key.rule.as_str()),
            ("kind", key.kind),
            ("cluster", key.listener.cluster.as_str()),
            ("listener", key.listener.listener.as_str()),
            ("direction", key.listener.direction.as_str()),
        ];
        counter(&labels, sum(shards, |s| &s.injected))
    });
    let latency = faults.iter().filter(|(key, _)| key.kind == "delay").map(|(key, shards)| {
        let labels = [
            ("rule", key.rule.as_str()),
            ("cluster", key.listener.cluster.as_str()),
            ("listener", key.listener.listener.as_str()),
        ];
        histogram(&labels, shards.iter().map(|s| &s.latency))
    });
    vec![
        family(
            "chaos_injected_faults_total",
            "Faults injected, by rule and kind.",
            MetricType::COUNTER,
            injected.collect(),
        ),
        family(
            "chaos_injected_network_latency_seconds",
            "Latency that was really added by delay faults, as measured.",
            MetricType::HISTOGRAM,
            latency.collect(),
        ),
    ]
}

fn listener_families(listeners: &[(ListenerKey, Vec<Arc<ListenerShard>>)]) -> Vec<MetricFamily> {
    let requests = listeners.iter().flat_map(|(key, shards)| {
        let cells = Origin::ALL.into_iter().flat_map(|o| (0..STATUS_CLASSES.len()).map(move |c| (o, c)));
        cells.filter_map(move |(origin, class)| {
            let n = sum(shards, |s| &s.requests[origin as usize][class]);
            let [listener, cluster, direction] = listener_labels(key);
            let labels =
                [listener, cluster, direction, ("status_class", STATUS_CLASSES[class]), ("origin", origin.as_str())];
            (n > 0).then(|| counter(&labels, n))
        })
    });
    let duration =
        listeners.iter().map(|(key, shards)| histogram(&listener_labels(key), shards.iter().map(|s| &s.duration)));
    let bytes = listeners.iter().flat_map(|(key, shards)| {
        [("request", sum(shards, |s| &s.bytes_request)), ("response", sum(shards, |s| &s.bytes_response))].map(
            |(flow, n)| {
                let [listener, cluster, _] = listener_labels(key);
                counter(&[listener, cluster, ("flow", flow)], n)
            },
        )
    });
    vec![
        family(
            "squall_requests_total",
            "Finished HTTP exchanges by status class and by who made the answer.",
            MetricType::COUNTER,
            requests.collect(),
        ),
        family(
            "squall_request_duration_seconds",
            "Time from a request's head to the end of its response.",
            MetricType::HISTOGRAM,
            duration.collect(),
        ),
        family(
            "squall_bytes_total",
            "Bytes of bodies (HTTP) or of streams (TCP); request is towards the upstream.",
            MetricType::COUNTER,
            bytes.collect(),
        ),
        connections_family(listeners),
        handshakes_family(listeners),
        cuts_family(listeners),
        proxy_protocol_family(listeners),
    ]
}

/// Connections belong to the listener alone, whatever cluster its traffic went to over time.
fn connections_family(listeners: &[(ListenerKey, Vec<Arc<ListenerShard>>)]) -> MetricFamily {
    let by_listener = by_listener(listeners, |shard| &shard.connections).into_iter();
    let metrics = by_listener.map(|(listener, n)| gauge(&[("listener", listener)], n as f64));
    family(
        "squall_active_connections",
        "Downstream connections that are open right now.",
        MetricType::GAUGE,
        metrics.collect(),
    )
}

/// Only of listeners that have seen one.
fn proxy_protocol_family(listeners: &[(ListenerKey, Vec<Arc<ListenerShard>>)]) -> MetricFamily {
    let by_listener = by_listener(listeners, |shard| &shard.proxy_headers_refused).into_iter();
    let seen = by_listener.filter(|(_, n)| *n > 0);
    family(
        "squall_proxy_protocol_errors_total",
        "Connections that were closed because they did not begin with a PROXY protocol header.",
        MetricType::COUNTER,
        seen.map(|(listener, n)| counter(&[("listener", listener)], n)).collect(),
    )
}

fn by_listener(
    listeners: &[(ListenerKey, Vec<Arc<ListenerShard>>)],
    count: impl Fn(&ListenerShard) -> &Count,
) -> BTreeMap<&str, u64> {
    let mut all: BTreeMap<&str, u64> = BTreeMap::new();
    for (key, shards) in listeners {
        *all.entry(key.listener.as_str()).or_default() += sum(shards, |s| count(s));
    }
    all
}

/// Only of listeners that have seen one.
fn handshakes_family(listeners: &[(ListenerKey, Vec<Arc<ListenerShard>>)]) -> MetricFamily {
    family(
        "squall_tls_handshakes_total",
        "TLS handshakes with clients, by how they ended.",
        MetricType::COUNTER,
        by_value(listeners, "result", 1, &Handshake::ALL.map(Handshake::label), |shard| &shard.handshakes),
    )
}

fn cuts_family(listeners: &[(ListenerKey, Vec<Arc<ListenerShard>>)]) -> MetricFamily {
    family(
        "squall_cut_clients_total",
        "What Squall ended because a client was too slow, or flooded it.",
        MetricType::COUNTER,
        by_value(listeners, "reason", 0, &Cut::ALL.map(Cut::label), |shard| &shard.cuts),
    )
}

/// What listeners have seen, by the values of a label; of what was seen at least so often.
fn by_value<const N: usize>(
    listeners: &[(ListenerKey, Vec<Arc<ListenerShard>>)],
    label: &str,
    least: u64,
    values: &[&'static str; N],
    counts: impl Fn(&ListenerShard) -> &[Count; N],
) -> Vec<Metric> {
    let mut by_listener: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for (key, shards) in listeners {
        for (at, value) in values.iter().enumerate() {
            *by_listener.entry((key.listener.as_str(), value)).or_default() += sum(shards, |s| &counts(s)[at]);
        }
    }
    let seen = by_listener.into_iter().filter(|(_, n)| *n >= least);
    seen.map(|((listener, value), n)| counter(&[("listener", listener), (label, value)], n)).collect()
}

fn tls_families(tls: &TlsStore, snapshot: &Snapshot) -> Vec<MetricFamily> {
    let is_used = snapshot.config.control.tls.is_some()
        || snapshot.config.listeners.iter().any(|l| l.tls.is_some())
        || snapshot.config.clusters.iter().any(|c| c.tls.is_some());
    let reloads = [("ok", &tls.reloads_ok), ("error", &tls.reloads_failed)]
        .map(|(result, n)| counter(&[("result", result)], n.load(Relaxed)));
    let ends = tls.status(&snapshot.config);
    let ends = ends.iter().filter_map(|c| Some(gauge(&[(c.kind, &c.name)], c.not_after? as f64)));
    vec![
        family(
            "squall_tls_reloads_total",
            "Changes of the files of certificates, keys and authorities, by whether they were taken into use.",
            MetricType::COUNTER,
            if is_used { reloads.to_vec() } else { Vec::new() },
        ),
        family(
            "squall_tls_certificate_not_after_seconds",
            "When the time of the certificate in use ends, in seconds of Unix time.",
            MetricType::GAUGE,
            ends.collect(),
        ),
    ]
}

fn cluster_families(clusters: &[(squall_config::model::Name, Vec<Arc<ClusterShard>>)]) -> Vec<MetricFamily> {
    let connections = clusters.iter().flat_map(|(name, shards)| {
        CONNECT_RESULTS.into_iter().enumerate().map(move |(i, result)| {
            counter(&[("cluster", name.as_str()), ("result", result)], sum(shards, |s| &s.connections[i]))
        })
    });
    vec![family(
        "squall_upstream_connections_total",
        "Attempts to connect to an endpoint, by result.",
        MetricType::COUNTER,
        connections.collect(),
    )]
}

fn endpoint_families(clusters: &[Arc<SharedCluster>]) -> Vec<MetricFamily> {
    let now = Instant::now();
    // Two names can have one address: it is healthy when one of them may use it.
    let mut healthy: BTreeMap<(&str, String), bool> = BTreeMap::new();
    for shared in clusters {
        for endpoint in status::endpoints(shared, now) {
            let label = endpoint.address.map_or_else(|| endpoint.written.address.to_string(), |a| a.to_string());
            *healthy.entry((shared.cluster.name.as_str(), label)).or_default() |= endpoint.health == "healthy";
        }
    }
    let healthy = healthy.iter().map(|((cluster, endpoint), is_healthy)| {
        gauge(&[("cluster", cluster), ("endpoint", endpoint)], f64::from(u8::from(*is_healthy)))
    });
    let ejections = clusters
        .iter()
        .filter(|shared| shared.cluster.ejection.is_some())
        .map(|shared| counter(&[("cluster", shared.cluster.name.as_str())], shared.counts.ejections.load(Relaxed)));
    let is_capped = |cluster: &Cluster| cluster.caps.connections_max.is_some() || cluster.caps.requests_max.is_some();
    let overflows = clusters.iter().filter(|shared| is_capped(&shared.cluster)).flat_map(|shared| {
        let name = shared.cluster.name.as_str();
        let by_cap = CAPS.into_iter().zip(shared.counts.overflows.get());
        by_cap.map(move |(cap, n)| counter(&[("cluster", name), ("cap", cap)], n))
    });
    vec![
        family(
            "squall_endpoint_healthy",
            "1 while an endpoint gets traffic, 0 while it is ejected, fails its health checks or has no address.",
            MetricType::GAUGE,
            healthy.collect(),
        ),
        family(
            "squall_endpoint_ejections_total",
            "Endpoints that were left alone for a while because they failed too often in a row.",
            MetricType::COUNTER,
            ejections.collect(),
        ),
        family(
            "squall_upstream_overflows_total",
            "Exchanges and connections that were turned away because a cluster had too many, by what it had too many of.",
            MetricType::COUNTER,
            overflows.collect(),
        ),
    ]
}

fn worker_families(loads: &[Load]) -> Vec<MetricFamily> {
    let each = || loads.iter().enumerate().map(|(index, load)| (index.to_string(), load));
    let busy = each().map(|(worker, load)| seconds(&[("worker", &worker)], load.busy_total()));
    let connections = each().map(|(worker, load)| gauge(&[("worker", &worker)], load.connections() as f64));
    let handed = each().flat_map(|(worker, load)| {
        [("connection", &load.placed_elsewhere), ("stream", &load.streams_handed_over)]
            .map(|(unit, n)| counter(&[("worker", &worker), ("unit", unit)], n.load(Relaxed)))
    });
    vec![
        family(
            "squall_worker_busy_seconds_total",
            "Time that a worker was not waiting; at one second a second it is saturated.",
            MetricType::COUNTER,
            busy.collect(),
        ),
        family(
            "squall_worker_connections",
            "Downstream connections that a worker has right now.",
            MetricType::GAUGE,
            connections.collect(),
        ),
        family(
            "squall_worker_handovers_total",
            "Connections and HTTP/2 streams that a worker left to another one that had less to do.",
            MetricType::COUNTER,
            handed.collect(),
        ),
    ]
}

fn spans_family(counts: &SpanCounts) -> MetricFamily {
    let results = [("exported", &counts.exported), ("failed", &counts.failed), ("dropped", &counts.dropped)];
    let metrics = results.map(|(result, n)| counter(&[("result", result)], n.load(Relaxed)));
    family(
        "squall_trace_spans_total",
        "Spans by what became of them: the collector has it, did not take it, or the queue to it was full.",
        MetricType::COUNTER,
        metrics.to_vec(),
    )
}

fn listener_labels(key: &ListenerKey) -> [(&str, &str); 3] {
    [("listener", key.listener.as_str()), ("cluster", key.cluster.as_str()), ("direction", key.direction.as_str())]
}

fn sum<V>(shards: &[Arc<V>], count: impl Fn(&V) -> &Count) -> u64 {
    shards.iter().map(|s| count(s).get()).sum()
}
