//! The schema that the API server asks for, made of the schema of the types.
//!
//! It wants one type for each field ("structural"). Where the configuration accepts several forms, such as `5`, `"5"` and
//! `"5%"`, it is told to keep what it gets: an admission webhook and the controller look at that.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceValidation,
};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

/// What of a schema stays as it is. Formats of numbers and patterns of texts that the API server reads differently do not.
const KEPT: [&str; 10] =
    ["description", "type", "enum", "minimum", "maximum", "minItems", "maxItems", "required", "pattern", "maxLength"];

/// Keywords of Kubernetes begin so.
const EXTENSION: &str = "x-kubernetes-";

/// The definition with a schema for its spec and its status.
pub(super) fn with_schema<S: JsonSchema, T: JsonSchema>(
    mut definition: CustomResourceDefinition,
) -> serde_json::Result<CustomResourceDefinition> {
    let spec = of::<S>();
    let description = spec.get("description").cloned().unwrap_or_default();
    let schema = json!({
        "description": description,
        "type": "object",
        "required": ["spec"],
        "properties": { "spec": spec, "status": of::<T>() },
    });
    let schema: CustomResourceValidation = serde_json::from_value(json!({ "openAPIV3Schema": schema }))?;
    for version in &mut definition.spec.versions {
        version.schema = Some(schema.clone());
    }
    Ok(definition)
}

/// Conditions, of which there is one of each type.
pub(super) fn conditions(_: &mut SchemaGenerator) -> Schema {
    let text = json!({ "type": "string" });
    json_schema!({
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "reason", "message", "lastTransitionTime"],
            "properties": {
                "type": text,
                "status": { "type": "string", "enum": ["True", "False", "Unknown"] },
                "reason": text,
                "message": text,
                "observedGeneration": { "type": "integer" },
                "lastTransitionTime": text,
            }
        }
    })
}

/// As the configuration writes it.
pub(super) fn duration(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "pattern": "^\\s*([0-9]+(\\.[0-9]+)?\\s*[a-zµ]+\\s*)+$" })
}

fn of<T: JsonSchema>() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    structural(&settings.into_generator().into_root_schema_for::<T>().to_value())
}

/// This schema, with one type for each field.
fn structural(schema: &Value) -> Value {
    let Some(schema) = schema.as_object() else { return anything(None) };
    let description = schema.get("description");
    let Some(schema) = the_only_form(schema) else { return anything(description) };
    let Some(type_) = schema.get("type").and_then(Value::as_str) else { return anything(description) };
    let is_kept = |key: &str| KEPT.contains(&key) || key.starts_with(EXTENSION);
    let mut kept: Map<String, Value> =
        schema.iter().filter(|(key, _)| is_kept(key)).map(|(key, value)| (key.clone(), value.clone())).collect();
    if let Some(description) = description {
        kept.insert("description".to_owned(), description.clone());
    }
    match type_ {
        "object" => fields(&schema, &mut kept),
        "array" => {
            let items = schema.get("items").map_or_else(|| anything(None), structural);
            kept.insert("items".to_owned(), items);
        }
        _ => {}
    }
    Value::Object(kept)
}

/// Fields by name where they are known, and any others where all have the same form.
fn fields(schema: &Map<String, Value>, kept: &mut Map<String, Value>) {
    let properties = schema.get("properties").and_then(Value::as_object);
    if let Some(properties) = properties.filter(|properties| !properties.is_empty()) {
        let structural = properties.iter().map(|(name, field)| (name.clone(), structural(field)));
        kept.insert("properties".to_owned(), Value::Object(structural.collect()));
    } else if let Some(others) = schema.get("additionalProperties").filter(|others| others.is_object()) {
        kept.insert("additionalProperties".to_owned(), structural(others));
    } else {
        kept.insert(format!("{EXTENSION}preserve-unknown-fields"), true.into());
    }
}

/// The schema itself, or its only form besides `null`; `None` when there are several.
fn the_only_form(schema: &Map<String, Value>) -> Option<Map<String, Value>> {
    if let Some(types) = schema.get("type").and_then(Value::as_array) {
        let mut types = types.iter().filter(|type_| *type_ != "null");
        let only = types.next().filter(|_| types.next().is_none())?;
        let mut schema = schema.clone();
        schema.insert("type".to_owned(), only.clone());
        return Some(schema);
    }
    let forms = ["anyOf", "oneOf"].iter().find_map(|key| schema.get(*key)?.as_array());
    let Some(forms) = forms else { return Some(schema.clone()) };
    let mut forms = forms.iter().filter(|form| form.get("type") != Some(&json!("null")));
    let only = forms.next().filter(|_| forms.next().is_none())?;
    the_only_form(only.as_object()?)
}

/// A field of which only the description is known.
fn anything(description: Option<&Value>) -> Value {
    let mut schema = json!({ "x-kubernetes-preserve-unknown-fields": true });
    if let Some(description) = description {
        schema["description"] = description.clone();
    }
    schema
}
