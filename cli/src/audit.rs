//! `squall audit`: who changed what.

use clap::Args;
use http::Method;
use serde_json::Value;

use crate::client::Call;
use crate::exit::Outcome;
use crate::output;
use crate::verb::{ClientArgs, EPILOGUE};

/// Arguments of `squall audit`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "\
Examples:
  squall audit                    the last 100 changes, the newest last
  squall audit --limit 5 -o json  every field that changed, before and after",
    after_long_help = EPILOGUE
)]
pub(crate) struct AuditArgs {
    /// How many entries at most
    #[arg(long, value_name = "N", default_value = "100", value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    #[command(flatten)]
    client: ClientArgs,
}

/// Asks and prints.
pub(crate) fn execute(args: &AuditArgs) -> Outcome {
    args.client.call(&Call::new(Method::GET, format!("/v1/audit?limit={}", args.limit)), table)
}

fn table(audit: &Value) -> String {
    let entries = audit["entries"].as_array().map(Vec::as_slice).unwrap_or_default();
    let rows = entries.iter().map(|entry| {
        let result = match entry["status"].as_u64() {
            Some(status) => format!("{} {status}", text(&entry["result"])),
            None => text(&entry["result"]),
        };
        let generation = entry["generation"].to_string();
        let (who, from) = (who(&entry["actor"]), text(&entry["actor"]["from"]));
        vec![text(&entry["at"]), who, from, text(&entry["operation"]), result, generation, what(entry)]
    });
    output::table(&["TIME", "WHO", "FROM", "DID", "RESULT", "GENERATION", "WHAT"], rows)
}

fn who(actor: &Value) -> String {
    match (actor["kind"].as_str(), actor["name"].as_str(), actor["role"].as_str()) {
        (_, Some(name), Some(role)) => format!("{name} ({role})"),
        (Some("uid"), Some(uid), None) => format!("uid {uid}"),
        (_, Some(name), None) => name.to_owned(),
        (Some("address"), None, _) => "-".to_owned(),
        (kind, None, _) => kind.unwrap_or("-").to_owned(),
    }
}

/// What changed, in a line: rules with + and -, fields with their values before and after.
fn what(entry: &Value) -> String {
    let changes = &entry["changes"];
    let list = |key: &str| changes[key].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut words = Vec::new();
    words.extend(list("added").iter().map(|rule| format!("+{}", text(&rule["name"]))));
    words.extend(list("removed").iter().map(|rule| format!("-{}", text(&rule["name"]))));
    for rule in list("changed") {
        let fields = rule["fields"].as_object().into_iter().flatten();
        let fields: Vec<_> = fields
            .map(|(place, field)| format!("{place}: {} -> {}", text(&field["before"]), text(&field["after"])))
            .collect();
        words.push(format!("{} ({})", text(&rule["name"]), fields.join(", ")));
    }
    words.extend(list("sections").iter().map(text));
    if changes["reordered"] == true {
        words.push("another order".to_owned());
    }
    if let Some(more) = changes["more"].as_u64() {
        words.push(format!("and {more} more"));
    }
    // A rule that was named says nothing new when it is among what changed.
    if words.is_empty() && entry["rule"].is_string() {
        words.push(text(&entry["rule"]));
    }
    if entry["reason"].is_string() {
        words.push(text(&entry["reason"]));
    }
    words.join(" ")
}

/// A value without JSON's punctuation, on one line.
fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_entry_is_a_line() {
        let entry = |more: Value| {
            let mut entry = json!({
                "id": 1, "at": "2026-01-01T00:00:00.000Z", "operation": "putRule", "result": "ok", "generation": 2,
                "actor": { "kind": "token", "name": "alice", "role": "admin", "from": "127.0.0.1:1" },
            });
            for (key, value) in more.as_object().into_iter().flatten() {
                entry[key] = value.clone();
            }
            let text = table(&json!({ "entries": [entry] }));
            text.lines().nth(1).unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
        };
        let begin = "2026-01-01T00:00:00.000Z alice (admin) 127.0.0.1:1 putRule ok 2";
        assert_eq!(entry(json!({ "changes": { "added": [{ "name": "slow" }] } })), format!("{begin} +slow"));
        let fields = json!({ "percentage": { "before": 5, "after": 10 }, "ttl": { "before": null, "after": "1m" } });
        assert_eq!(
            entry(json!({ "changes": { "changed": [{ "name": "slow", "fields": fields }], "reordered": true } })),
            format!("{begin} slow (percentage: 5 -> 10, ttl: - -> 1m) another order")
        );
        assert_eq!(
            entry(
                json!({ "result": "refused", "status": 403, "rule": "slow", "actor": { "kind": "uid", "name": "0", "from": "unix" } })
            ),
            "2026-01-01T00:00:00.000Z uid 0 unix putRule refused 403 2 slow"
        );
        assert_eq!(
            entry(json!({ "operation": "halt", "reason": "two\nlines", "actor": { "kind": "signal" } })),
            "2026-01-01T00:00:00.000Z signal - halt ok 2 two lines"
        );
    }
}
