//! What is another in a document than in the one before it.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use squall_config::spec::{ConfigSpec, RuleSpec};

use super::redact::redacted;

/// Of a change of more rules, so many of each kind are shown.
const RULES_MAX: usize = 50;

/// What is another than before. Secrets are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "AuditChanges")]
pub(crate) struct Changes {
    /// Rules that were not there before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    added: Vec<Value>,
    /// Rules that are not there any more, as they were.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    removed: Vec<Value>,
    /// Rules that are another than before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changed: Vec<RuleChange>,
    /// The rules apply in another order.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    reordered: bool,
    /// Other parts of the configuration that changed, such as `listeners`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sections: Vec<String>,
    /// Rules that changed beside those that are shown.
    #[serde(skip_serializing_if = "is_zero")]
    more: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// What is another in a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "AuditRuleChange")]
struct RuleChange {
    /// Its name.
    name: String,
    /// By place, as in `match.path.prefix`.
    fields: BTreeMap<String, FieldChange>,
}

/// A field of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "AuditFieldChange")]
struct FieldChange {
    /// Null when it was not written.
    before: Value,
    /// Null when it is not written.
    after: Value,
}

impl Changes {
    /// Whether nothing is another.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What is another in `after` than in `before`.
    pub(crate) fn between(before: &ConfigSpec, after: &ConfigSpec) -> Self {
        let mut changes = Self::of_rules(&before.rules, &after.rules);
        changes.sections = sections(before, after);
        changes
    }

    fn of_rules(before: &[RuleSpec], after: &[RuleSpec]) -> Self {
        let (old, new) = (by_name(before), by_name(after));
        let added: Vec<_> = after.iter().filter(|rule| !old.contains_key(rule.name.as_str())).collect();
        let removed: Vec<_> = before.iter().filter(|rule| !new.contains_key(rule.name.as_str())).collect();
        let other = |rule: &'_ RuleSpec| old.get(rule.name.as_str()).copied().filter(|other| **other != *rule);
        let changed: Vec<_> = after.iter().filter_map(|rule| Some((other(rule)?, rule))).collect();
        let stay = |rules: &[RuleSpec], others: &BTreeMap<&str, &RuleSpec>| -> Vec<String> {
            let names = rules.iter().map(|rule| rule.name.clone());
            names.filter(|name| others.contains_key(name.as_str())).collect()
        };
        let more = [added.len(), removed.len(), changed.len()].map(|n| n.saturating_sub(RULES_MAX)).iter().sum();
        let shown =
            |rules: Vec<&RuleSpec>| rules.into_iter().take(RULES_MAX).map(|rule| redacted(&json(rule))).collect();
        let difference = |(before, after): (&RuleSpec, &RuleSpec)| RuleChange {
            name: after.name.clone(),
            fields: fields(before, after),
        };
        Self {
            added: shown(added),
            removed: shown(removed),
            changed: changed.into_iter().take(RULES_MAX).map(difference).collect(),
            reordered: stay(before, &new) != stay(after, &old),
            sections: Vec::new(),
            more,
        }
    }
}

fn by_name(rules: &[RuleSpec]) -> BTreeMap<&str, &RuleSpec> {
    rules.iter().map(|rule| (rule.name.as_str(), rule)).collect()
}

fn json<T: Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// The differences of two rules of one name. Secrets are taken out first: that one changed shows as no difference of its
/// value, so the field is named all the same.
fn fields(before: &RuleSpec, after: &RuleSpec) -> BTreeMap<String, FieldChange> {
    let written = FieldChange { before: json(before), after: json(after) };
    let shown = FieldChange { before: redacted(&written.before), after: redacted(&written.after) };
    let mut found = BTreeMap::new();
    compare("", &written, shown, &mut found);
    found
}

fn compare(place: &str, written: &FieldChange, shown: FieldChange, found: &mut BTreeMap<String, FieldChange>) {
    if written.before == written.after {
        return;
    }
    let Some(names) = written.members().filter(|_| shown.members().is_some()) else {
        found.insert(place.to_owned(), shown);
        return;
    };
    for name in names {
        let place = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
        compare(&place, &written.member(name), shown.member(name), found);
    }
}

impl FieldChange {
    /// The names of the fields of both, where both are objects.
    fn members(&self) -> Option<BTreeSet<&String>> {
        Some(self.before.as_object()?.keys().chain(self.after.as_object()?.keys()).collect())
    }

    fn member(&self, name: &str) -> Self {
        let of = |object: &Value| object.get(name).cloned().unwrap_or_default();
        Self { before: of(&self.before), after: of(&self.after) }
    }
}

/// The top-level fields, other than the rules, that differ.
fn sections(before: &ConfigSpec, after: &ConfigSpec) -> Vec<String> {
    let without_rules = |document: &ConfigSpec| json(&ConfigSpec { rules: Vec::new(), ..document.clone() });
    let written = FieldChange { before: without_rules(before), after: without_rules(after) };
    let names = written.members().unwrap_or_default().into_iter();
    names.filter(|name| written.before.get(*name) != written.after.get(*name)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[expect(clippy::needless_pass_by_value, reason = "called with json! literals")]
    fn rules(value: Value) -> Vec<RuleSpec> {
        squall_config::parse_value::<squall_config::spec::RulesSpec>(&json!({ "rules": value })).unwrap().rules
    }

    #[test]
    fn rules_are_compared_field_by_field() {
        let before = rules(json!([
            { "name": "a", "match": { "path": { "prefix": "/a" }, "method": ["GET"] }, "percentage": 5, "fault": { "delay": "2s" } },
            { "name": "b", "percentage": 1, "fault": { "abort": 503 } },
            { "name": "c", "percentage": 1, "fault": { "abort": 503 } },
        ]));
        let after = rules(json!([
            { "name": "c", "percentage": 1, "fault": { "abort": 503 } },
            { "name": "a", "match": { "path": { "prefix": "/b" }, "method": ["GET"] }, "percentage": 6, "fault": { "delay": "2s" }, "ttl": "1m" },
            { "name": "d", "percentage": 1, "fault": { "reset": true } },
        ]));
        let changes = serde_json::to_value(Changes::of_rules(&before, &after)).unwrap();
        assert_eq!(
            changes,
            json!({
                "added": [{ "name": "d", "percentage": 1, "fault": { "reset": true } }],
                "removed": [{ "name": "b", "percentage": 1, "fault": { "abort": 503 } }],
                "changed": [{ "name": "a", "fields": {
                    "match.path.prefix": { "before": "/a", "after": "/b" },
                    "percentage": { "before": 5, "after": 6 },
                    "ttl": { "before": null, "after": "1m" },
                } }],
                "reordered": true,
            })
        );
        assert!(Changes::of_rules(&after, &after).is_empty());
    }

    #[test]
    fn a_secret_that_changed_is_named_and_not_shown() {
        let rule = |value: &str| {
            rules(
                json!([{ "name": "a", "match": { "headers": { "authorization": value } }, "percentage": 1, "fault": { "abort": 503 } }]),
            )
        };
        let text = serde_json::to_string(&Changes::of_rules(&rule("Bearer one"), &rule("Bearer two"))).unwrap();
        assert!(text.contains("match.headers.authorization") && text.contains("[redacted]"), "{text}");
        assert!(!text.contains("Bearer"), "{text}");
    }

    #[test]
    fn many_rules_are_counted_and_other_sections_are_named() {
        let many: Vec<Value> =
            (0..200).map(|n| json!({ "name": format!("r{n}"), "percentage": 1, "fault": { "abort": 503 } })).collect();
        let changes = Changes::of_rules(&[], &rules(json!(many)));
        assert_eq!((changes.added.len(), changes.more), (RULES_MAX, 150));
        let parse = |text: &str| squall_config::parse_text(text).unwrap();
        let (before, after) = (parse("version: 1\nseed: 1\n"), parse("version: 1\nlisteners: [{name: a}]\n"));
        assert_eq!(Changes::between(&before, &after).sections, ["listeners", "seed"]);
    }

    fn rule_value() -> impl proptest::strategy::Strategy<Value = Value> {
        use proptest::prelude::*;
        let path = prop_oneof![Just("/a"), Just("/b")];
        ("[abc]", 0..4_u32, path, any::<bool>()).prop_map(|(name, percentage, path, enabled)| {
            json!({ "name": name, "percentage": percentage, "match": { "path": { "prefix": path } }, "enabled": enabled, "fault": { "abort": 503 } })
        })
    }

    proptest::proptest! {
        /// What is told suffices to make the new rules of the old ones.
        #[test]
        fn nothing_that_changed_is_missing(
            before in proptest::collection::vec(rule_value(), 0..4),
            after in proptest::collection::vec(rule_value(), 0..4),
        ) {
            let unique = |values: Vec<Value>| {
                let by_name: BTreeMap<String, Value> = values.into_iter().map(|v| (v["name"].to_string(), v)).collect();
                by_name.into_values().collect::<Vec<_>>()
            };
            let (before, after) = (unique(before), unique(after));
            let changes = Changes::of_rules(&rules(json!(before)), &rules(json!(after)));
            let mut made: Vec<Value> = before.iter().filter(|rule| !changes.removed.contains(rule)).cloned().collect();
            for change in &changes.changed {
                let rule = made.iter_mut().find(|rule| rule["name"] == change.name.as_str()).unwrap();
                for (place, field) in &change.fields {
                    let pointer = format!("/{}", place.replace('.', "/"));
                    let target = rule.pointer_mut(&pointer).unwrap();
                    proptest::prop_assert_eq!(&*target, &field.before);
                    *target = field.after.clone();
                }
            }
            made.extend(changes.added.iter().cloned());
            let sorted = |mut rules: Vec<Value>| { rules.sort_by_key(|rule| rule["name"].to_string()); rules };
            proptest::prop_assert_eq!(sorted(made), sorted(after));
        }
    }
}
