//! The page of the control API, from its own description.

use std::fmt::Write as _;

use serde_json::Value;
use squall_integration::{Settings, Squall};

use crate::reference::{schema_of, types_of_configuration};
use crate::schema::{Writer, place, reached};

const METHODS: [&str; 5] = ["get", "put", "post", "patch", "delete"];

/// Refusals that say the same everywhere.
const OF_ALL: [&str; 10] = ["400", "401", "403", "405", "408", "413", "422", "429", "500", "507"];

/// The page.
pub(crate) fn page() -> String {
    let squall = Squall::start(&Settings::new());
    let description = squall.api().json("/openapi.json");
    let types = &description["components"]["schemas"];
    let configuration = schema_of(&["config", "schema"]);
    let document = schema_of(&["config", "schema", "--experiment"]);
    let (file, experiment) =
        (types_of_configuration(&configuration), reached(&[&document["properties"]], &document["$defs"]));
    let elsewhere = |name: &str| match name {
        "ConfigSpec" => Some("configuration.md#the-file".to_owned()),
        _ if file.contains(&name) => Some(place("configuration.md", name)),
        _ if experiment.contains(&name) => Some(place("experiments.md", name)),
        _ => None,
    };
    let mut out = "# API\n\n\
        Every call of the control API; `GET /openapi.json` of a running Squall describes the same in full (OpenAPI 3.1). Bodies are JSON,\n\
        whatever their content type. [Who may do what](../access.md) says what roles are.\n\n"
        .to_owned();
    parameters(&description["components"]["parameters"], &mut out);
    out.push_str(
        "\n## Calls\n\nRefusals say what is wrong as a [Problem](#problem). Any call may be refused with 401 or 403 (no token, or one without\n\
        the role), 405 (another method is meant), 429 (too many wrong tokens) or 500; one with a name or a body with 400, 408, 413 or 422\n\
        (it cannot be read, or not be had), and one that changes something with 507 (the state directory takes nothing).\n\n",
    );
    out.push_str("| call | role | does | body | answers |\n|---|---|---|---|---|\n");
    let writer = Writer { elsewhere: &elsewhere };
    let mut bodies = Vec::new();
    for (path, calls) in description["paths"].as_object().unwrap() {
        for (method, call) in METHODS.iter().filter_map(|m| calls.get(m).map(|call| (m, call))) {
            let role = call["x-squall-role"].as_str().unwrap_or("nobody is asked");
            let body = writer.kind(schema(&call["requestBody"]));
            let optional = if call["requestBody"]["required"] == false { " (optional)" } else { "" };
            let does = call["summary"].as_str().unwrap_or_default();
            let answers = answers(&writer, &call["responses"]);
            let call_name = format!("{} {path}", method.to_uppercase());
            let _ = writeln!(out, "| `{call_name}` | {role} | {does} | {body}{optional} | {answers} |");
            bodies.push(schema(&call["requestBody"]));
            bodies.extend(call["responses"].as_object().unwrap().values().map(schema));
        }
    }
    for name in reached(&bodies, types).into_iter().filter(|name| elsewhere(name).is_none()) {
        writer.write(name, &types[name], &mut out);
    }
    out
}

/// The schema of a body, whatever its media type.
fn schema(body: &Value) -> &Value {
    body["content"].as_object().and_then(|c| c.values().next()).map_or(&Value::Null, |content| &content["schema"])
}

/// Answers with their bodies, and refusals that are not of all calls.
fn answers(writer: &Writer<'_>, responses: &Value) -> String {
    let of_this = responses.as_object().unwrap().iter().filter(|(status, _)| !OF_ALL.contains(&status.as_str()));
    let parts = of_this.map(|(status, answer)| {
        let body = if status.starts_with('2') { writer.kind(schema(answer)) } else { String::new() };
        format!("{status} {body}").trim_end().to_owned()
    });
    parts.collect::<Vec<_>>().join(", ")
}

fn parameters(parameters: &Value, out: &mut String) {
    out.push_str("## Parameters\n\n| parameter | in | says |\n|---|---|---|\n");
    for parameter in parameters.as_object().unwrap().values() {
        let [name, place, says] = ["name", "in", "description"].map(|f| parameter[f].as_str().unwrap_or_default());
        let _ = writeln!(out, "| `{name}` | {place} | {says} |");
    }
    out.push_str("\n`If-Match` and `dry_run` are of every call that changes something; `limit` is of the audit.\n");
}
