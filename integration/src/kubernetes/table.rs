//! What `kubectl get` shows of custom resources: the columns that their definitions name.

use serde_json::{Value, json};

use super::place::Resource;
use super::store::Store;

/// The columns of a resource: none where no definition names some, and then clients look at the objects themselves.
pub(super) fn columns(store: &Store, resource: &Resource) -> Option<Vec<Value>> {
    let versions = store.definition(resource)?["spec"]["versions"].as_array()?;
    let version = versions.iter().find(|version| version["name"] == resource.version.as_str())?;
    // Whatever is in here is no older than its test.
    let shown = version["additionalPrinterColumns"].as_array()?.iter().filter(|column| column["type"] != "date");
    Some(shown.cloned().collect())
}

/// Objects as rows.
pub(super) fn table(columns: &[Value], objects: &[&Value], version: u64) -> Value {
    let name = json!({ "name": "Name", "type": "string", "format": "name", "description": "", "priority": 0 });
    let told = columns.iter().map(|column| {
        let priority = column["priority"].as_i64().unwrap_or(0);
        json!({ "name": column["name"], "type": column["type"], "format": "", "description": "", "priority": priority })
    });
    let definitions: Vec<Value> = std::iter::once(name).chain(told).collect();
    let row = |object: &&Value| {
        let cells = columns.iter().map(|column| cell(object, column["jsonPath"].as_str().unwrap_or_default()));
        let cells: Vec<Value> = std::iter::once(object["metadata"]["name"].clone()).chain(cells).collect();
        json!({ "cells": cells, "object": {
            "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"],
        } })
    };
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": { "resourceVersion": version.to_string() },
        "columnDefinitions": definitions, "rows": objects.iter().map(row).collect::<Vec<Value>>(),
    })
}

/// What is at a path such as `.status.phase`; what is no text or number is written as JSON.
fn cell(object: &Value, path: &str) -> Value {
    match path.trim_start_matches('.').split('.').fold(object, |value, step| &value[step]) {
        whole @ (Value::Object(_) | Value::Array(_)) => whole.to_string().into(),
        simple => simple.clone(),
    }
}
