//! Labels of endpoints.

use std::collections::BTreeMap;

use crate::model::Endpoint;
use crate::spec::Scalar;

/// Label values are compared as texts; a number is its digits.
pub(crate) fn labels_of(labels: &BTreeMap<String, Scalar>) -> BTreeMap<String, String> {
    labels.iter().map(|(name, value)| (name.clone(), value.to_string())).collect()
}

/// Whether the endpoint has all of these labels.
pub(crate) fn has_labels(endpoint: &Endpoint, labels: &BTreeMap<String, String>) -> bool {
    labels.iter().all(|(name, value)| endpoint.labels.get(name) == Some(value))
}
