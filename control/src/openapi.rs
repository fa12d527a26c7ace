//! The API's description (OpenAPI 3.1): made from the table of calls and the types, and kept in `openapi.json`, where a test
//! compares the two, so that no Squall has to make it. The schemas of documents are those that the configuration keeps.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use squall_config::spec::{ConfigSpec, RuleSpec};

use crate::audit::ENTRIES_MAX;
use crate::calls::audit::{AuditOut, LIMIT_DEFAULT};
use crate::calls::config::ConfigChange;
use crate::calls::experiments::{ExperimentWhole, ExperimentsOut, NoteIn};
use crate::calls::halt_status::HaltStatus;
use crate::calls::lease::{LeaseHolder, LeaseRequest, LeaseStatus};
use crate::calls::log_level::LogLevel;
use crate::calls::openapi::{SCHEMAS, of_documents};
use crate::calls::status::StatusOut;
use crate::calls::traffic::TrafficOut;
use crate::error::{PROBLEM_JSON, ProblemOut};
use crate::experiment::plan::Plan;
use crate::routes::{Body, Route, routes};
use crate::view::RuleStatus;

/// The description without the schemas of documents, made anew.
pub fn openapi() -> Value {
    let mut paths = Map::new();
    for route in routes() {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.as_str().to_lowercase()] = operation(&route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Squall control API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Changes which faults are injected while traffic flows.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "paths": paths,
        // Where there is a token file; else nobody is asked for a token.
        "security": [{ "token": [] }, {}],
        "components": {
            "schemas": schemas(),
            "parameters": parameters(),
            "securitySchemes": {
                "token": {
                    "type": "http", "scheme": "bearer",
                    "description": "A token of control.token_file; the role that a call needs is its x-squall-role.",
                },
            },
        },
    })
}

fn operation(route: &Route) -> Value {
    let mut operation = json!({
        "operationId": route.operation,
        "summary": route.summary,
        "parameters": [],
        "responses": {},
    });
    let mut needed = Vec::new();
    if route.path.contains("{name}") {
        needed.push("Name");
    }
    if route.path == "/v1/audit" {
        needed.push("Limit");
    }
    if route.is_write() {
        needed.extend(["IfMatch", "DryRun"]);
    }
    operation["parameters"] =
        needed.iter().map(|name| json!({ "$ref": format!("#/components/parameters/{name}") })).collect();
    let required = matches!(route.request, Body::Json(_));
    if let Some(content) = content(route.request) {
        operation["requestBody"] = json!({ "required": required, "content": content });
    }
    for (status, body) in route.success {
        operation["responses"][status.to_string()] = success(route, *status, *body);
    }
    let at_the_door: &[u16] = if route.is_open() { &[405, 500] } else { &[401, 403, 405, 429, 500] };
    for status in route.refusals.iter().chain(at_the_door) {
        operation["responses"][status.to_string()] = refusal(*status);
    }
    if route.is_write() {
        operation["responses"]["507"] = refusal(507);
    }
    if route.is_open() {
        operation["security"] = json!([]);
    } else {
        operation["x-squall-role"] = json!(route.role().as_str());
    }
    operation
}

fn success(route: &Route, status: u16, body: Body) -> Value {
    let mut response = json!({ "description": reason(status) });
    if let Some(content) = content(body) {
        response["content"] = content;
    }
    if route.path.starts_with("/v1/") && route.path != "/v1/events" {
        response["headers"] = json!({
            "ETag": { "description": "The generation, for If-Match.", "schema": { "type": "string" } },
        });
    }
    response
}

fn refusal(status: u16) -> Value {
    let schema = json!({ "$ref": format!("{SCHEMAS}Problem") });
    json!({ "description": reason(status), "content": { PROBLEM_JSON: { "schema": schema } } })
}

fn reason(status: u16) -> &'static str {
    http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Other")
}

fn content(body: Body) -> Option<Value> {
    match body {
        Body::Json("Any") => Some(json!({ "application/json": { "schema": { "type": "object" } } })),
        Body::Json(name) | Body::OptionalJson(name) => {
            Some(json!({ "application/json": { "schema": { "$ref": format!("{SCHEMAS}{name}") } } }))
        }
        Body::Text(media_type) => Some(json!({ media_type: { "schema": { "type": "string" } } })),
        Body::Nothing => None,
    }
}

fn parameters() -> Value {
    json!({
        "Name": {
            "name": "name", "in": "path", "required": true, "description": "The name of the rule, or of the experiment.",
            "schema": { "type": "string", "pattern": "^[a-z0-9A-Z][a-z0-9._-]{0,62}$" },
        },
        "IfMatch": {
            "name": "If-Match", "in": "header", "required": false,
            "description": "The generation that the change is meant for, as in \"7\"; 412 when it is another one now.",
            "schema": { "type": "string" },
        },
        "Limit": {
            "name": "limit", "in": "query", "required": false, "description": "How many entries at most.",
            "schema": { "type": "integer", "minimum": 1, "maximum": ENTRIES_MAX, "default": LIMIT_DEFAULT },
        },
        "DryRun": {
            "name": "dry_run", "in": "query", "required": false,
            "description": "Check everything, change nothing.",
            "schema": { "type": "boolean", "default": false },
        },
    })
}

/// Schemas of the types, and of the bodies that are made of them.
fn schemas() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    generator.subschema_for::<ConfigSpec>();
    generator.subschema_for::<RuleSpec>();
    generator.subschema_for::<RuleStatus>();
    generator.subschema_for::<StatusOut<'_>>();
    generator.subschema_for::<HaltStatus>();
    generator.subschema_for::<TrafficOut>();
    generator.subschema_for::<ConfigChange<'_>>();
    generator.subschema_for::<LogLevel>();
    generator.subschema_for::<LeaseRequest>();
    generator.subschema_for::<LeaseHolder>();
    generator.subschema_for::<LeaseStatus>();
    generator.subschema_for::<ProblemOut<'_>>();
    generator.subschema_for::<ExperimentsOut>();
    generator.subschema_for::<ExperimentWhole>();
    generator.subschema_for::<NoteIn>();
    generator.subschema_for::<Plan>();
    generator.subschema_for::<AuditOut>();
    let documents = of_documents();
    let mut schemas = generator.take_definitions(false);
    schemas.retain(|name, _| !documents.contains_key(name));
    let mut schemas = Value::Object(schemas);

    // What was got can be put back: `status` is allowed in a body and not looked at.
    let mut rule = documents["RuleSpec"].clone();
    rule["properties"]["status"] = json!({ "$ref": format!("{SCHEMAS}RuleStatus"), "readOnly": true });
    rule["properties"]["experiment"] = json!({
        "type": "string", "readOnly": true, "description": "The experiment that the rule belongs to, and ends with.",
    });
    schemas["Rule"] = rule.clone();
    // In a patch nothing is required, and null removes.
    schemas["RulePatch"] =
        json!({ "type": "object", "description": "The fields of a rule that change; null removes one." });
    let rules = json!({ "type": "array", "items": { "$ref": format!("{SCHEMAS}Rule") } });
    schemas["Rules"] = json!({
        "type": "object",
        "required": ["generation", "rules"],
        "properties": { "generation": { "type": "integer", "minimum": 1 }, "rules": rules },
    });
    schemas["RuleSet"] = json!({
        "oneOf": [rules, { "type": "object", "required": ["rules"], "properties": { "rules": rules } }],
    });
    schemas["Reason"] = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": { "reason": { "type": "string", "maxLength": 500 } },
    });
    schemas
}

#[cfg(test)]
mod tests;
