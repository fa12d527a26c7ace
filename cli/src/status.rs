//! `squall status`: what a running squall is doing.

use clap::Args;
use http::Method;
use serde_json::Value;

use crate::client::Call;
use crate::exit::Outcome;
use crate::output;
use crate::verb::{ClientArgs, EPILOGUE};

/// Arguments of `squall status`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "\
Examples:
  squall status
  squall status -o json
  squall status --control http://10.0.0.7:9470",
    after_long_help = EPILOGUE
)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    client: ClientArgs,
}

/// Asks and prints.
pub(crate) fn execute(args: &StatusArgs) -> Outcome {
    args.client.call(&Call::new(Method::GET, "/v1/status"), table)
}

/// One row a fact; a list of objects (listeners, clusters) becomes one row an object, and so do the endpoints in it.
fn table(status: &Value) -> String {
    let mut rows = Vec::new();
    for (key, value) in status.as_object().into_iter().flatten() {
        let Some(items) = value.as_array() else {
            rows.push(vec![key.clone(), plain(value)]);
            continue;
        };
        for item in items {
            let mut item = item.clone();
            let endpoints = item.as_object_mut().and_then(|fields| fields.remove("endpoints"));
            rows.push(vec![key.clone(), plain(&item)]);
            let endpoints = endpoints.as_ref().and_then(Value::as_array).into_iter().flatten();
            rows.extend(endpoints.map(|endpoint| vec![format!("{key}.endpoints"), plain(endpoint)]));
        }
    }
    output::table(&["WHAT", "IS"], rows)
}

/// A value without JSON's punctuation.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Object(fields) => {
            let fields: Vec<_> = fields.iter().map(|(key, value)| format!("{key}={}", plain(value))).collect();
            fields.join(" ")
        }
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_listener_has_its_row() {
        let status = json!({"halted": false, "listeners": [{"name": "a"}, {"name": "b"}], "last_reload": null});
        let text = table(&status);
        assert_eq!(text.lines().count(), 5, "{text}");
        assert!(text.contains("name=a") && text.contains("name=b"), "{text}");
    }

    #[test]
    fn every_endpoint_has_its_row() {
        let endpoint = |name: &str| json!({"name": name, "health": "healthy", "labels": {"region": "a"}});
        let status = json!({"clusters": [{"name": "b", "endpoints": [endpoint("one:1"), endpoint("two:1")]}]});
        let text = table(&status);
        assert_eq!(text.lines().count(), 4, "{text}");
        assert!(text.contains("health=healthy labels=region=a name=two:1"), "{text}");
    }
}
