//! Pods of a cluster, by their labels.

use std::collections::BTreeMap;

use crate::units::Percentage;

/// Which pods, and which share of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pods {
    /// Which.
    pub selector: Selector,
    /// The share of those.
    pub percentage: Percentage,
}

/// All of them.
impl Default for Pods {
    fn default() -> Self {
        Self { selector: Selector::default(), percentage: Percentage::ALWAYS }
    }
}

/// Conditions on labels that must all hold; none select everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector(pub Vec<LabelCondition>);

impl Selector {
    /// Whether all conditions hold for these labels.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|condition| condition.holds(labels))
    }
}

/// A condition on one label, as Kubernetes understands it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelCondition {
    /// It has one of these values.
    In(String, Vec<String>),
    /// It has none of these values, or is not there.
    NotIn(String, Vec<String>),
    /// It is there.
    Exists(String),
    /// It is not there.
    DoesNotExist(String),
}

impl LabelCondition {
    fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        match self {
            Self::In(key, values) => labels.get(key).is_some_and(|value| values.contains(value)),
            Self::NotIn(key, values) => labels.get(key).is_none_or(|value| !values.contains(value)),
            Self::Exists(key) => labels.contains_key(key),
            Self::DoesNotExist(key) => !labels.contains_key(key),
        }
    }
}
