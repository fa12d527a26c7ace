//! Bounds on how much of the traffic rules may reach, and whether a rule keeps within them.

use std::time::Duration;

use crate::defaults;
use crate::model::{BlastRadius, Limits, Match, Mode, Name, Protected, Rule, TrafficShare};
use crate::report::Report;
use crate::spec::{LimitsSpec, ProtectedSpec, TrafficShareSpec};
use crate::units::{Percentage, format_duration};

use super::matches::url_path;

pub(crate) fn blast_radius(spec: &LimitsSpec, cluster_names: &[&str], report: &mut Report) -> BlastRadius {
    let none = BlastRadius::default();
    let percentage_max =
        spec.percentage_max.as_ref().and_then(|value| report.percentage("limits.percentage_max", value));
    BlastRadius {
        percentage_max: percentage_max.unwrap_or(none.percentage_max),
        traffic_share: spec.traffic_share.as_ref().and_then(|spec| traffic_share(spec, report)),
        ttl_max: spec.ttl_max.as_ref().and_then(|value| report.positive_duration("limits.ttl_max", value)),
        protected: spec.protected.as_ref().map(|spec| protected(spec, cluster_names, report)).unwrap_or_default(),
    }
}

/// The life of rules that say nothing of it: no longer than the longest.
pub(crate) fn default_ttl(spec: &LimitsSpec, ttl_max: Option<Duration>, report: &mut Report) -> Duration {
    const PATH: &str = "limits.default_ttl";
    let longest = ttl_max.unwrap_or(Duration::MAX);
    let ttl = report.duration_or(PATH, spec.default_ttl.as_ref(), defaults::DEFAULT_TTL.min(longest));
    if ttl > longest {
        let (ttl, longest) = (format_duration(ttl), format_duration(longest));
        report.add(PATH, format!("{ttl} exceeds limits.ttl_max {longest}"), "lower it, or raise the limit");
    }
    ttl
}

fn traffic_share(spec: &TrafficShareSpec, report: &mut Report) -> Option<TrafficShare> {
    const MAX: &str = "limits.traffic_share.max";
    const WINDOW: &str = "limits.traffic_share.window";
    const HINT: &str = "write the largest share, such as max: 10";
    let max = report.required(MAX, spec.max.as_ref(), HINT).and_then(|value| report.percentage(MAX, value));
    if max == Some(Percentage::NEVER) {
        report.add(MAX, "0 lets no fault happen", "write a share above 0; squall halt stops all faults");
    }
    let window = report.duration_or(WINDOW, spec.window.as_ref(), defaults::TRAFFIC_SHARE_WINDOW);
    let bounds = defaults::TRAFFIC_SHARE_WINDOW_MIN..=defaults::TRAFFIC_SHARE_WINDOW_MAX;
    if !bounds.contains(&window) {
        let hint = format!("write {} to {}", format_duration(*bounds.start()), format_duration(*bounds.end()));
        report.add(WINDOW, format!("{} is not a window", format_duration(window)), hint);
    }
    Some(TrafficShare { max: max?, window })
}

fn protected(spec: &ProtectedSpec, cluster_names: &[&str], report: &mut Report) -> Protected {
    let paths = spec.paths.iter().enumerate();
    let paths = paths.filter_map(|(i, path)| url_path(&format!("limits.protected.paths[{i}]"), path, report)).collect();
    for (i, name) in spec.clusters.iter().enumerate() {
        report.reference(&format!("limits.protected.clusters[{i}]"), "cluster", name, cluster_names);
    }
    Protected { paths, clusters: spec.clusters.iter().filter_map(|name| Name::new(name).ok()).collect() }
}

/// Notes what of a rule is beyond the limits.
pub(crate) fn rule_is_within(path: &str, rule: &Rule, limits: &Limits, report: &mut Report) {
    let bounds = &limits.blast_radius;
    let (reach, max) = (rule.reach(), bounds.percentage_max);
    if rule.mode == Mode::Inject && reach > max {
        let of_every = if reach == rule.percentage { String::new() } else { format!(" (of every match {reach})") };
        report.add(
            format!("{path}.percentage"),
            format!("{}{of_every} exceeds limits.percentage_max {max}", rule.percentage),
            "lower the percentage, try the rule with mode: shadow, or raise the limit",
        );
    }
    if let (Some(ttl), Some(longest)) = (rule.ttl, bounds.ttl_max)
        && ttl > longest
    {
        let (ttl, longest) = (format_duration(ttl), format_duration(longest));
        let detail = format!("{ttl} exceeds limits.ttl_max {longest}");
        report.add(format!("{path}.ttl"), detail, "lower the ttl, or raise the limit");
    }
    names_nothing_protected(path, &rule.matches, &bounds.protected, report);
}

fn names_nothing_protected(path: &str, matches: &Match, protected: &Protected, report: &mut Report) {
    if let Some(cluster) = matches.cluster.as_ref().filter(|cluster| protected.has_cluster(cluster)) {
        report.add(
            format!("{path}.match.cluster"),
            format!("cluster {:?} is in limits.protected.clusters, which no rule touches", cluster.as_str()),
            "match another cluster, or take this one out of the limits",
        );
    }
    if let Some(exact) = matches.exact_path().filter(|exact| protected.has_path(exact)) {
        let field = if matches.path.is_some() { "path" } else { "grpc" };
        report.add(
            format!("{path}.match.{field}"),
            format!("path {exact:?} is in limits.protected.paths, which no rule touches"),
            "match another path, or take this one out of the limits",
        );
    }
}
