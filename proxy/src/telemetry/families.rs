//! Metrics in the messages of the Prometheus client: what each needs of name, labels and value.

use std::time::Duration;

use prometheus::proto::{self, Bucket, Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

use super::shard::{BUCKETS, Histogram};

/// The metrics of one name.
pub(super) fn family(name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

fn labelled(labels: &[(&str, &str)]) -> Metric {
    let pairs = labels.iter().map(|(name, value)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    });
    Metric::from_label(pairs.collect())
}

/// So many.
pub(super) fn counter(labels: &[(&str, &str)], count: u64) -> Metric {
    counted(labels, count as f64)
}

/// So much time.
pub(super) fn seconds(labels: &[(&str, &str)], time: Duration) -> Metric {
    counted(labels, time.as_secs_f64())
}

fn counted(labels: &[(&str, &str)], value: f64) -> Metric {
    let mut metric = labelled(labels);
    let mut counter = Counter::default();
    counter.set_value(value);
    metric.set_counter(counter);
    metric
}

/// What goes up and down.
pub(super) fn gauge(labels: &[(&str, &str)], value: f64) -> Metric {
    let mut metric = labelled(labels);
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    metric.set_gauge(gauge);
    metric
}

/// What all workers have observed.
pub(super) fn histogram<'a>(labels: &[(&str, &str)], shards: impl Iterator<Item = &'a Histogram>) -> Metric {
    let (mut counts, mut sum_ns) = ([0u64; BUCKETS.len() + 1], 0u64);
    for shard in shards {
        for (total, count) in counts.iter_mut().zip(&shard.buckets) {
            *total += count.get();
        }
        sum_ns += shard.sum_ns.get();
    }
    let mut cumulative = 0;
    let buckets = BUCKETS.iter().zip(&counts).map(|(bound, count)| {
        cumulative += count;
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(*bound);
        bucket.set_cumulative_count(cumulative);
        bucket
    });
    let mut histogram = proto::Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(counts.iter().sum());
    histogram.set_sample_sum(sum_ns as f64 / 1e9);
    let mut metric = labelled(labels);
    metric.set_histogram(histogram);
    metric
}
