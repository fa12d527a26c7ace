//! The JSON Schema of what may be written.
//!
//! It is made from the types that read it, and kept in `schema/documents.json`, where a test compares the two: what makes it is half
//! a megabyte of code that no Squall needs when it runs.

use std::borrow::Cow;
use std::collections::BTreeSet;

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::spec::{ConfigSpec, ExperimentDocument, GameDayDocument, RuleSpec, RulesSpec};

/// The schemas of all types of all documents, by name.
const DOCUMENTS: &str = include_str!("schema/documents.json");
/// What stands before the name of a schema where another one refers to it.
pub const DEFINITIONS: &str = "#/$defs/";
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// What can be read as a whole.
pub trait Document: DeserializeOwned + JsonSchema {
    /// The schemas of its type and of those that it refers to (as [`DEFINITIONS`] and a name), by name, in JSON; for the documents
    /// of this crate those of all of them.
    fn schemas() -> Cow<'static, str> {
        Cow::Borrowed(DOCUMENTS)
    }
}

impl Document for ConfigSpec {}
impl Document for RuleSpec {}
impl Document for RulesSpec {}
impl Document for ExperimentDocument {}
impl Document for GameDayDocument {}

/// The JSON Schema (2020-12) of the configuration file.
pub fn schema() -> Value {
    kept(&ConfigSpec::schema_name())
}

/// The JSON Schema (2020-12) of an experiment.
pub fn experiment_schema() -> Value {
    kept(&ExperimentDocument::schema_name())
}

/// A commented configuration file to begin with; it is valid.
pub fn example() -> &'static str {
    include_str!("example.yaml")
}

/// A commented experiment to begin with; it is valid in the configuration of [`example`].
pub fn example_experiment() -> &'static str {
    include_str!("example_experiment.yaml")
}

/// What [`Document::schemas`] is for a type, made anew.
pub fn schemas_of<T: JsonSchema>() -> String {
    let mut generator = generator();
    generator.subschema_for::<T>();
    Value::Object(generator.take_definitions(true)).to_string()
}

fn generator() -> SchemaGenerator {
    SchemaSettings::draft2020_12().with_transform(RecursiveTransform(refuse_unknown)).into_generator()
}

/// Unknown fields are errors, for an editor too.
fn refuse_unknown(schema: &mut schemars::Schema) {
    if schema.get("properties").is_some() && schema.get("additionalProperties").is_none() {
        schema.insert("additionalProperties".into(), false.into());
    }
}

/// The schema of this name, with those that it refers to.
fn kept(name: &str) -> Value {
    // A test reads all of them.
    let mut all: Map<String, Value> = serde_json::from_str(DOCUMENTS).unwrap_or_default();
    let root = all.remove(name).unwrap_or_default();
    let mut needed = BTreeSet::new();
    collect_references(&root, &all, &mut needed);
    let definitions: Map<_, _> = all.into_iter().filter(|(name, _)| needed.contains(name)).collect();
    let mut schema = Map::new();
    schema.insert("$schema".to_owned(), DIALECT.into());
    schema.insert("title".to_owned(), name.into());
    if let Value::Object(root) = root {
        schema.extend(root);
    }
    schema.insert("$defs".to_owned(), definitions.into());
    schema.into()
}

/// Adds the names of the schemas that this one refers to, and those refer to. No type of a document contains itself, but a name
/// that was seen is not looked at again, so that this ends whatever it reads.
fn collect_references(schema: &Value, all: &Map<String, Value>, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            let reference = fields.get("$ref").and_then(Value::as_str);
            if let Some(name) = reference.and_then(|reference| reference.strip_prefix(DEFINITIONS))
                && found.insert(name.to_owned())
                && let Some(target) = all.get(name)
            {
                collect_references(target, all, found);
            }
            fields.values().for_each(|field| collect_references(field, all, found));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_references(item, all, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
