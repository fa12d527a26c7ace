//! The rules of a file, and listeners and clusters for them to apply to.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use squall_config::model::Config;
use squall_config::spec::{ClusterSpec, ConfigSpec, ListenerSpec, RuleSpec, Written};
use squall_fault::snapshot::Snapshot;
use squall_fault::{Stamp, compile};

use crate::exit::Failure;
use crate::source;

/// Nobody listens on these; they only have to be valid and different.
const PORT_FIRST: u16 = 1;

/// The snapshot of a file: as it stands when it is a configuration, in a made-up world when it has rules alone.
pub(super) fn load(path: &Path) -> Result<Snapshot, Failure> {
    let text = source::read(path)?;
    let invalid = |problems| source::invalid(path, &problems);
    let config = match rules_alone(&text) {
        None => squall_config::load_text(&text).map_err(invalid)?.1,
        Some(value) => {
            let spec: ConfigSpec = squall_config::parse_value(&value).map_err(invalid)?;
            made_up(spec.rules).map_err(invalid)?
        }
    };
    let seed = config.seed.unwrap_or_default();
    Ok(compile(Arc::new(config), None, Stamp::first(seed)))
}

/// A document that is not a configuration as `{rules: [...]}`.
fn rules_alone(text: &str) -> Option<Value> {
    // What is no YAML at all is reported with its position by the loader of configurations.
    let value: Value = serde_saphyr::from_str(text).ok()?;
    match &value {
        Value::Array(_) => Some(serde_json::json!({ "rules": value })),
        Value::Object(fields) if fields.contains_key("fault") || fields.contains_key("percentage") => {
            let mut rule = fields.clone();
            rule.entry("name").or_insert_with(|| "rule".into());
            Some(serde_json::json!({ "rules": [rule] }))
        }
        Value::Object(fields) if fields.contains_key("rules") && fields.len() == 1 => Some(value),
        _ => None,
    }
}

/// A listener and a cluster for every one that a rule names; a plain pair when none does.
fn made_up(rules: Vec<RuleSpec>) -> Result<Config, squall_config::Problems> {
    let matches = || rules.iter().filter_map(|rule| rule.matches.as_ref());
    let mut clusters: BTreeSet<_> = matches().filter_map(|m| m.cluster.clone()).collect();
    let mut listeners: BTreeSet<(String, String)> = BTreeSet::new();
    if clusters.is_empty() {
        clusters.insert("upstream".to_owned());
    }
    for (listener, cluster) in matches().filter_map(|m| Some((m.listener.clone()?, m.cluster.clone()))) {
        let cluster = cluster.or_else(|| clusters.first().cloned()).unwrap_or_default();
        if listeners.iter().all(|(name, _)| *name != listener) {
            listeners.insert((listener, cluster));
        }
    }
    for cluster in &clusters {
        if listeners.iter().all(|(_, of)| of != cluster) {
            listeners.insert((format!("to-{cluster}").chars().take(63).collect(), cluster.clone()));
        }
    }
    let listeners = (PORT_FIRST..).zip(listeners).map(|(port, (name, cluster))| ListenerSpec {
        name,
        address: Some(format!("127.0.0.1:{port}").as_str().into()),
        direction: matches().find_map(|m| m.direction.clone()),
        cluster: Some(cluster),
        ..ListenerSpec::default()
    });
    let cluster = |name: String| ClusterSpec {
        name,
        endpoints: vec![Written::Short("127.0.0.1:9000".into())],
        ..ClusterSpec::default()
    };
    let (listeners, clusters) = (listeners.collect(), clusters.iter().cloned().map(cluster).collect());
    squall_config::validate(&ConfigSpec { version: Some(1), listeners, clusters, rules, ..ConfigSpec::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(text: &str) -> Config {
        let spec: ConfigSpec = squall_config::parse_value(&rules_alone(text).unwrap()).unwrap();
        made_up(spec.rules).unwrap()
    }

    #[test]
    fn rules_alone_get_what_they_name() {
        let config = world("percentage: 5\nfault: { delay: 2s }\n");
        assert_eq!((config.listeners[0].name.as_str(), config.rules[0].name.as_str()), ("to-upstream", "rule"));

        let config = world(
            "rules:
             - { name: a, match: { cluster: b }, percentage: 5, fault: { abort: 503 } }
             - { name: c, match: { listener: in, direction: inbound }, percentage: 5, fault: { reset: true } }",
        );
        assert_eq!(config.clusters.len(), 1);
        assert_eq!(config.listeners.iter().map(|l| l.name.as_str()).collect::<Vec<_>>(), ["in"]);
        assert_eq!(config.listeners[0].cluster.as_str(), "b");
    }

    #[test]
    fn a_configuration_stays_as_it_is() {
        assert!(rules_alone("version: 1\nrules: []\n").is_none());
        assert!(rules_alone("listeners: []\n").is_none());
        assert!(rules_alone(": : not yaml").is_none());
    }
}
