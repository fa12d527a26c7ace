//! The JSON Schema of what may be written.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::Value;

use crate::spec::{ConfigSpec, ExperimentDocument};

/// The JSON Schema (2020-12) of the configuration file, made from the types that read it.
pub fn schema() -> Value {
    of::<ConfigSpec>()
}

/// The JSON Schema (2020-12) of an experiment, made from the types that read it.
pub fn experiment_schema() -> Value {
    of::<ExperimentDocument>()
}

/// A commented configuration file to begin with; it is valid.
pub fn example() -> &'static str {
    include_str!("example.yaml")
}

/// A commented experiment to begin with; it is valid in the configuration of [`example`].
pub fn example_experiment() -> &'static str {
    include_str!("example_experiment.yaml")
}

/// The schema of any of the documents.
pub(crate) fn of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with_transform(RecursiveTransform(refuse_unknown));
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// Unknown fields are errors, for an editor too.
fn refuse_unknown(schema: &mut schemars::Schema) {
    if schema.get("properties").is_some() && schema.get("additionalProperties").is_none() {
        schema.insert("additionalProperties".into(), false.into());
    }
}

#[cfg(test)]
mod tests;
