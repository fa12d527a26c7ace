//! A JSON Schema as Markdown: a heading for each type, a row for each field.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

/// What is written of some types, and where those are that stand elsewhere.
pub(crate) struct Writer<'a> {
    /// Where a type is that is not on this page.
    pub(crate) elsewhere: &'a dyn Fn(&str) -> Option<String>,
}

/// What people call a type: the names of the code without `Spec`.
fn title(name: &str) -> &str {
    name.strip_suffix("Spec").unwrap_or(name)
}

fn one_line(value: &Value) -> String {
    value.as_str().unwrap_or_default().replace('\n', " ").replace('|', "\\|")
}

impl Writer<'_> {
    /// The heading and the fields of a type.
    pub(crate) fn write(&self, name: &str, schema: &Value, out: &mut String) {
        let _ = write!(out, "\n## {}\n\n", title(name));
        let said = one_line(&schema["description"]);
        if !said.is_empty() {
            let _ = writeln!(out, "{said}\n");
        }
        let Some(fields) = schema["properties"].as_object().filter(|fields| !fields.is_empty()) else {
            let _ = writeln!(out, "{}", self.kind(schema));
            return;
        };
        out.push_str("| field | is | says |\n|---|---|---|\n");
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (field, what) in fields {
            let needed = if required.contains(&field.as_str()) { " (required)" } else { "" };
            let _ = writeln!(out, "| `{field}`{needed} | {} | {} |", self.kind(what), one_line(&what["description"]));
        }
    }

    /// What a value can be.
    pub(crate) fn kind(&self, schema: &Value) -> String {
        let mut kinds = Vec::new();
        self.kinds(schema, &mut kinds);
        kinds.dedup();
        kinds.join(", or ")
    }

    fn kinds(&self, schema: &Value, kinds: &mut Vec<String>) {
        for part in ["anyOf", "oneOf", "allOf"] {
            for one in schema[part].as_array().into_iter().flatten() {
                self.kinds(one, kinds);
            }
        }
        if let Some(reference) = schema["$ref"].as_str() {
            let name = reference.rsplit('/').next().unwrap_or(reference);
            let here = || format!("#{}", title(name).to_lowercase());
            kinds.push(format!("[{}]({})", title(name), (self.elsewhere)(name).unwrap_or_else(here)));
        } else if let Some(words) = schema["enum"].as_array() {
            let words = words
                .iter()
                .filter(|w| !w.is_null())
                .map(|w| format!("`{}`", w.as_str().map_or_else(|| w.to_string(), str::to_owned)));
            kinds.push(words.collect::<Vec<_>>().join(", "));
        } else if !schema["const"].is_null() {
            kinds.push(format!("`{}`", schema["const"]));
        } else {
            let types = schema["type"].as_array().cloned().unwrap_or_else(|| vec![schema["type"].clone()]);
            kinds.extend(
                types.iter().filter_map(Value::as_str).filter(|t| *t != "null").map(|t| self.simple(t, schema)),
            );
        }
    }

    fn simple(&self, kind: &str, schema: &Value) -> String {
        match kind {
            "array" => format!("list of {}", self.kind(&schema["items"])),
            "object" if schema["additionalProperties"].is_object() => {
                format!("names with {}", self.kind(&schema["additionalProperties"]))
            }
            "object" => "object".to_owned(),
            "string" => match schema["examples"].as_array() {
                Some(examples) => {
                    let examples = examples.iter().filter_map(Value::as_str).map(|e| format!("`{e}`"));
                    format!("text such as {}", examples.collect::<Vec<_>>().join(", "))
                }
                None => "text".to_owned(),
            },
            "boolean" => "true or false".to_owned(),
            number => match (bound(&schema["minimum"]), bound(&schema["maximum"])) {
                (Some(least), Some(most)) if least == most => least,
                (Some(least), Some(most)) => format!("{number}, {least} to {most}"),
                (Some(least), None) => format!("{number}, {least} or more"),
                (None, Some(most)) => format!("{number}, at most {most}"),
                (None, None) => number.to_owned(),
            },
        }
    }
}

/// A bound that says something: not that of the type.
fn bound(value: &Value) -> Option<String> {
    let number = value.as_f64()?;
    let of_types = [i64::from(u8::MAX), i64::from(u16::MAX), i64::from(u32::MAX)];
    let is_of_type = value.as_i64().is_some_and(|n| of_types.contains(&n));
    (!is_of_type).then(|| if number.fract() == 0.0 { format!("{number:.0}") } else { number.to_string() })
}

/// The types that these lead to, themselves among them, in the order in which they are met.
pub(crate) fn reached<'a>(from: &[&'a Value], types: &'a Value) -> Vec<&'a str> {
    let (mut seen, mut order, mut open) = (BTreeSet::new(), Vec::new(), Vec::new());
    from.iter().for_each(|schema| references(schema, &mut open));
    open.reverse();
    while let Some(name) = open.pop() {
        if seen.insert(name) {
            order.push(name);
            let mut more = Vec::new();
            references(&types[name], &mut more);
            open.extend(more.into_iter().rev());
        }
    }
    order
}

fn references<'a>(schema: &'a Value, found: &mut Vec<&'a str>) {
    match schema {
        Value::Object(fields) => {
            if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                found.extend(reference.rsplit('/').next());
            }
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

/// Where a type is on another page.
pub(crate) fn place(page: &str, name: &str) -> String {
    format!("{page}#{}", title(name).to_lowercase())
}
