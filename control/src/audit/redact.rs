//! What an audit shows of a rule: everything but secrets, and not at any length.

use serde_json::{Value, json};

/// What the values of fields with such words in their names are is nobody's business.
const SECRET_WORDS: [&str; 12] = [
    "authorization",
    "cookie",
    "credential",
    "password",
    "passwd",
    "secret",
    "token",
    "session",
    "signature",
    "api-key",
    "api_key",
    "apikey",
];
/// A longer text is cut.
const TEXT_BYTES_MAX: usize = 256;
/// Of a longer list the first items are shown.
const ITEMS_MAX: usize = 50;
/// Rules are at most seven levels deep.
const DEPTH_MAX: usize = 16;

/// The value without secrets and bodies, with long texts and lists cut.
pub(super) fn redacted(value: &Value) -> Value {
    shown(value, DEPTH_MAX)
}

fn shown(value: &Value, depth: usize) -> Value {
    match value {
        _ if depth == 0 => json!("[…]"),
        Value::Object(members) => {
            let show = |name: &String, value: &Value| match name.to_ascii_lowercase() {
                // A condition that a field is there says nothing of its value.
                name if SECRET_WORDS.iter().any(|word| name.contains(word)) && *value != json!({ "present": true }) => {
                    json!("[redacted]")
                }
                name if name == "body" => json!(format!("[{} bytes]", value.as_str().map_or(0, str::len))),
                _ => shown(value, depth - 1),
            };
            members.iter().map(|(name, value)| (name.clone(), show(name, value))).collect()
        }
        Value::Array(items) => {
            let mut shown: Vec<Value> = items.iter().take(ITEMS_MAX).map(|item| shown(item, depth - 1)).collect();
            if items.len() > ITEMS_MAX {
                shown.push(json!(format!("[{} more]", items.len() - ITEMS_MAX)));
            }
            Value::Array(shown)
        }
        Value::String(text) if text.len() > TEXT_BYTES_MAX => {
            let end = (0..=TEXT_BYTES_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
            json!(format!("{}… [{} bytes]", &text[..end], text.len()))
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_bodies_are_not_shown() {
        let rule = json!({
            "match": {
                "headers": { "Authorization": "Bearer abc", "x-api-key": { "regex": "k.*" }, "cookie": { "present": true }, "x-user": "7" },
                "query": { "access_token": "abc", "page": "2" },
            },
            "fault": { "modify": { "set_headers": { "Set-Cookie": "id=abc", "x": "y" }, "body": "password" } },
        });
        let text = redacted(&rule).to_string();
        assert!(!text.contains("abc") && !text.contains("k.*") && !text.contains("password"), "{text}");
        for kept in ["x-user\":\"7\"", "page\":\"2\"", "\"present\":true", "\"x\":\"y\"", "[8 bytes]"] {
            assert!(text.contains(kept), "{kept} in {text}");
        }
    }

    #[test]
    fn what_is_long_is_cut() {
        let text = redacted(&json!({ "name": "ä".repeat(500), "method": vec!["GET"; 60] }));
        assert!(text["name"].as_str().is_some_and(|name| name.len() < 300 && name.ends_with("[1000 bytes]")), "{text}");
        assert_eq!(text["method"].as_array().map(Vec::len), Some(51));
        let mut deep = json!(1);
        (0..100).for_each(|_| deep = json!([deep]));
        assert!(redacted(&deep).to_string().contains('…'));
    }
}
